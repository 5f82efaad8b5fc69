/**
 * A relay and a listener on faith0, instrumented for OpenTelemetry. It writes `ready`; at the end of its input it closes
 * them and writes what was exported, as JSON: `{"spans":[…],"points":[…]}`.
 */
import { createFaithInterface, setKeepfaith } from '../../index.js'
import { instrument } from '../../lib/otel.js'
import { Telemetry } from '../fixtures/telemetry.js'

const telemetry = new Telemetry()
const stop = instrument(telemetry.makers)
setKeepfaith(true)
const faith = await createFaithInterface()
const relay = await faith.relay({
  ports: '7000-7999',
  accessList: [{ action: 'permit', destination: '198.51.100.0/24' }],
})
const listener = await faith.listen({ port: 80 })
listener.on('connection', (socket) => {
  socket.on('error', () => socket.destroy())
  socket.resume().end('hello')
})
console.log('ready')
for await (const _ of process.stdin);
await Promise.all([relay.close(), listener.close()])
await faith.close()
stop()
console.log(JSON.stringify({ spans: telemetry.spans, points: await telemetry.points() }))
await telemetry.close()
