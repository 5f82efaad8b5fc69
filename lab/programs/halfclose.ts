// One side closes its direction while all its data is still on the way; the other goes on sending. Then the roles
// change. Both directions must arrive whole.
import { askReport, command, options, print } from './dial.js'
import { Reader, digest, send } from './stream.js'

const { bytes, ...target } = options({ port: 7000, bytes: 16 * 2 ** 20 })
const session = `halfclose-${process.pid}-${Date.now()}`
const expected = {
  up: { bytes, sha256: digest('up', bytes) },
  down: { bytes, sha256: digest('down', bytes) },
}

async function clientFirst() {
  const socket = await command(target, { do: 'collect', down: bytes })
  await send(socket, 'up', bytes)
  socket.end()
  const reader = new Reader(socket)
  const report = await reader.report()
  return { up: report.received, down: await reader.hash() }
}

async function serverFirst() {
  const socket = await command(target, { do: 'greet', down: bytes, session })
  const down = await new Reader(socket).hash()
  await send(socket, 'up', bytes)
  socket.end()
  const report = await askReport(target, session)
  return { up: report.received, down }
}

print({ expected, clientFirst: await clientFirst(), serverFirst: await serverFirst() })
