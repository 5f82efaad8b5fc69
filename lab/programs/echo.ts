// Sends everything back, and ends when the other side has ended.
import { createServer } from 'node:net'

import { options } from './dial.js'

const { address, port } = options({ port: 7 })
const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
})
server.listen({ port, host: address || '0.0.0.0', backlog: 8192 }, () =>
  process.stdout.write('listening\n'),
)
