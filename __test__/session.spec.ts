import test from 'ava'
import { sessionLine } from '../cli/log.js'
import { toRelayStats, toSession } from '../lib/session.js'

const record = {
  id: 7,
  source: '2001:db8::1',
  sourcePort: 40_000,
  destination: '64:ff9b::c633:6402',
  destinationPort: 80,
  bytesUp: 12,
  bytesDown: 17,
  startedAtMs: 0,
  durationMs: 1500,
  reason: 'closed',
  joined: true,
}

const line = (server: object): string => sessionLine(toSession({ ...record, ...server }))

test('a session names the server by address and port', (t) => {
  t.deepEqual(toSession({ ...record, ipv4: '198.51.100.2', ipv4Port: 8080 }).destination, {
    address: '64:ff9b::c633:6402',
    port: 80,
    ipv4: '198.51.100.2',
    ipv4Port: 8080,
  })
})

test('a session whose address means no server names none', (t) => {
  t.deepEqual(toSession(record).destination, { address: '64:ff9b::c633:6402', port: 80 })
})

test('the log names the port of the server only where it is another', (t) => {
  const rest = ': 12 bytes up, 17 down in 1.500 s, closed'
  const ends = '[2001:db8::1]:40000 to [64:ff9b::c633:6402]:80'
  t.is(line({}), `${ends}${rest}`)
  t.is(line({ ipv4: '198.51.100.2', ipv4Port: 80 }), `${ends} (198.51.100.2)${rest}`)
  t.is(line({ ipv4: '198.51.100.2', ipv4Port: 8080 }), `${ends} (198.51.100.2:8080)${rest}`)
})

for (const reason of ['client-gone', 'server-gone', 'closed', 'aborted'] as const) {
  test(`${reason} is a reason, and is counted as itself`, (t) => {
    t.is(toSession({ ...record, reason }).reason, reason)
    const counters = {
      active: 0,
      accepted: 3,
      handedOver: 0,
      bytesUp: 0,
      bytesDown: 0,
      sourceFallbacks: 0,
    }
    const stats = { ...counters, eventsDropped: 0, ended: { [reason]: 3 } }
    t.is(toRelayStats(stats).ended[reason], 3)
  })
}
