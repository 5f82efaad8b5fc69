import test from 'ava'
import { sessionLine, totalsLine, untoldLine } from '../cli/session-lines.js'
import type { FaithInterfaceStats } from '../index.js'
import type { NativeSession } from '../lib/native.js'
import { toRelayStats, toSession } from '../lib/session.js'

const record = {
  id: 7,
  client: '2001:db8::1',
  clientPort: 40_000,
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
    const counters = { active: 0, accepted: 3, handedOver: 0, bytesUp: 0, bytesDown: 0 }
    const limits = { maxHeld: 4096, maxSessions: 0, localAddressFallbacks: 0 }
    const ended = [{ reason, joined: true, count: 3 }]
    const stats = { ...counters, ...limits, untold: [], ended }
    t.is(toRelayStats(stats).ended[reason], 3)
  })
}

/** An attempt that came to nothing. */
const attempt = (facts: Partial<NativeSession>): NativeSession => ({
  ...record,
  bytesUp: 0,
  bytesDown: 0,
  durationMs: 3,
  joined: false,
  ipv4: '198.51.100.2',
  ipv4Port: 80,
  ...facts,
})

test('an attempt says what turned it away, by cause and by error', (t) => {
  const denied = toSession(attempt({ reason: 'denied', cause: 'denied-by-rule' }))
  t.like(denied, { joined: false, reason: 'denied', cause: 'denied-by-rule' })
  t.false('code' in denied)
  const refused = toSession(attempt({ reason: 'refused', errno: -111 }))
  t.like(refused, { reason: 'refused', code: 'ECONNREFUSED' })
  t.false('cause' in refused)
  const session = toSession(record)
  t.true(session.joined)
  t.false('cause' in session || 'code' in session)
})

for (const [facts, why] of [
  [{ reason: 'refused', errno: -111 }, 'refused'],
  [{ reason: 'unreachable', errno: -113 }, 'unreachable (EHOSTUNREACH)'],
  [{ reason: 'connect-timeout' }, 'connect-timeout'],
  [{ reason: 'denied', cause: 'denied-by-rule' }, 'denied: a rule denies it'],
  [{ reason: 'denied', cause: 'denied-no-match' }, 'denied: no rule permits it'],
  [
    { reason: 'denied', cause: 'special-purpose' },
    'denied: a special-purpose address that no rule opens',
  ],
  [
    { reason: 'denied', cause: 'own-address' },
    'denied: an address of the router itself that no rule opens',
  ],
  [{ reason: 'denied', cause: 'loopback' }, 'denied: a loopback address, without --allow-loopback'],
  [
    { reason: 'denied', cause: 'prohibited-by-host', errno: -1 },
    'denied: the firewall or the routing table of this host prohibits it (EPERM)',
  ],
  [
    { reason: 'limit', cause: 'max-sessions-per-client' },
    'limit: as many sessions of the client as --max-sessions-per-client allows',
  ],
  [
    { reason: 'error', cause: 'no-source', errno: -99 },
    'error: it cannot come from its source address (EADDRNOTAVAIL)',
  ],
] as const) {
  test(`the log says of an attempt: ${why}`, (t) => {
    t.is(
      sessionLine(toSession(attempt(facts))),
      `[2001:db8::1]:40000 to [64:ff9b::c633:6402]:80 (198.51.100.2): no session after 0.003 s, ${why}`,
    )
  })
}

const idle = {
  active: 0,
  accepted: 0,
  handedOver: 0,
  bytesUp: 0,
  bytesDown: 0,
  localAddressFallbacks: 0,
  maxHeld: 4096,
  maxSessions: 0,
}
const captured = (packets: number) =>
  ({ captured: { packets, bytes: 0 }, drops: {} }) as unknown as FaithInterfaceStats

test('the totals tell sessions from attempts, and one from many', (t) => {
  const ended = [
    { reason: 'closed', joined: true, count: 1 },
    { reason: 'denied', cause: 'denied-by-rule', joined: false, count: 2 },
    { reason: 'refused', joined: false, count: 1 },
  ]
  const stats = toRelayStats({ ...idle, bytesUp: 1, ended, untold: [] })
  t.is(
    totalsLine(stats, captured(1)),
    '1 session (1 closed), 3 attempts refused (2 denied-by-rule, 1 refused), 1 byte up, 0 down; ' +
      '1 packet captured, 0 dropped',
  )
  const none = toRelayStats({ ...idle, ended: [], untold: [] })
  t.is(
    totalsLine(none, captured(2)),
    '0 sessions, 0 bytes up, 0 down; 2 packets captured, 0 dropped',
  )
})

test('statistics say the same of an end, by reason, as a session and as an attempt', (t) => {
  const ended = [
    { reason: 'aborted', joined: true, count: 4 },
    { reason: 'aborted', joined: false, count: 2 },
    { reason: 'aborted', cause: 'no-handshake', joined: false, count: 1 },
  ]
  const untold = [{ reason: 'aborted', joined: false, count: 2 }]
  const { ended: all, sessions, refused, ...rest } = toRelayStats({ ...idle, ended, untold })
  t.like(all, { aborted: 7, closed: 0 })
  t.deepEqual(sessions, { aborted: 4 })
  t.deepEqual(refused, { aborted: 2, 'no-handshake': 1 })
  t.like(rest, { eventsDropped: 2, untold: { sessions: 0, refused: { aborted: 2 } } })
})

test('ends without lines of their own are one line, by what they were', (t) => {
  const refused = { refused: 4185, 'denied-by-rule': 12 }
  t.is(
    untoldLine({ sessions: 0, refused }, 10_003),
    '4197 more attempts refused (4185 refused, 12 denied-by-rule) in 10.0 s',
  )
  t.is(untoldLine({ sessions: 1, refused: {} }, 500), '1 more session in 0.5 s')
  t.is(
    untoldLine({ sessions: 2, refused: { refused: 1 } }, 10_000),
    '2 more sessions and 1 more attempt refused (1 refused) in 10.0 s',
  )
})
