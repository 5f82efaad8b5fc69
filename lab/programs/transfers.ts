// Sends and receives at the same time on `count` connections, and has both ends hash both streams.
import { Tally, command, options, print } from './dial.js'
import { Reader, send } from './stream.js'

const { count, up, down, ...target } = options({
  port: 7000,
  count: 200,
  up: 2 ** 21,
  down: 2 ** 21,
})

const errors = new Tally()
let exact = 0

async function transfer(): Promise<void> {
  try {
    const socket = await command(target, { do: 'transfer', up, down })
    const reader = new Reader(socket)
    const [sent, received] = await Promise.all([send(socket, 'up', up), reader.hash(down)])
    const report = await reader.report()
    socket.end()
    const isUp = report.received?.bytes === up && report.received.sha256 === sent
    if (isUp && received.bytes === down && report.sent === received.sha256) exact += 1
  } catch (error) {
    errors.add(error)
  }
}

await Promise.all(Array.from({ length: count }, transfer))
print({ count, exact, errors: errors.counts })
