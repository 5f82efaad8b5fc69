// Sends and receives at the same time; both ends hash both streams.
import { command, options, print } from './dial.js'
import { Reader, send } from './stream.js'

const { up, down, ...target } = options({ port: 7000, up: 2 ** 30, down: 2 ** 30 })

const start = performance.now()
const socket = await command(target, { do: 'transfer', up, down })
const reader = new Reader(socket)
const [sent, received] = await Promise.all([send(socket, 'up', up), reader.hash(down)])
const seconds = (performance.now() - start) / 1000
const report = await reader.report()
socket.end()
print({
  up: { bytes: report.received?.bytes ?? 0, sent, received: report.received?.sha256 },
  down: { bytes: received.bytes, sent: report.sent, received: received.sha256 },
  seconds,
})
