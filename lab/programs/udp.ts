// Sends one datagram from a connected UDP socket and reports the result: an ICMP error's code, an answer, or a timeout
// after `timeout` milliseconds.
import { createSocket } from 'node:dgram'

import { options, print } from './dial.js'

const { address, port, timeout } = options({ port: 443, timeout: 2000 })
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
let start = performance.now()

function finish(outcome: { code?: string; answered?: true }): void {
  clearTimeout(timer)
  socket.removeAllListeners()
  socket.on('error', () => undefined)
  print({ ...outcome, milliseconds: performance.now() - start })
  socket.close()
}

const timer = setTimeout(() => finish({ code: 'ETIMEDOUT' }), timeout)
socket.on('error', ({ code, message }: NodeJS.ErrnoException) => finish({ code: code ?? message }))
socket.on('message', () => finish({ answered: true }))
socket.connect(port, address, () => {
  start = performance.now()
  socket.send('hello')
})
