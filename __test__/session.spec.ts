import test from 'ava'
import { activeLine, refusalReason, totalsLine } from '../cli/session-lines.js'
import type { FaithInterfaceStats } from '../index.js'
import type { NativeRefusal, NativeRelayStats } from '../lib/native.js'
import { toRefusal } from '../lib/refusal.js'
import { toRelayStats } from '../lib/relay-stats.js'
import { toSession } from '../lib/session.js'

const record = {
  id: 7,
  protocol: 'tcp',
  client: '2001:db8::1',
  clientPort: 40_000,
  destination: '64:ff9b::c633:6402',
  destinationPort: 80,
  bytesUp: 12,
  bytesDown: 17,
  startedAtMs: 0,
  durationMs: 1500,
  reason: 'closed',
}

const none = {
  active: 0,
  begun: 0,
  byProtocol: {},
  ended: {},
  aborted: {},
  bytesUp: 0,
  bytesDown: 0,
}
const idle: NativeRelayStats = {
  accepted: 0,
  handedOver: 0,
  attempts: 0,
  sessions: none,
  connectDurations: { buckets: [{ upToMs: 1, count: 2 }], count: 3, sumMs: 4.5 },
  refused: [],
  untoldSessions: 0,
  untoldRefused: [],
  localAddressFallbacks: 0,
  maxHeld: 4096,
  maxSessions: 0,
}

test('a session names its server by address and port', (t) => {
  for (const address of ['198.51.100.2', '2001:db8:3::2']) {
    const { server, destination } = toSession({ ...record, server: address, serverPort: 8080 })
    t.deepEqual(server, { address, port: 8080 })
    t.deepEqual(destination, { address: '64:ff9b::c633:6402', port: 80 })
  }
})

test('a session whose address maps to no server names none', (t) => {
  t.false('server' in toSession(record))
})

for (const reason of ['client-gone', 'server-gone', 'closed', 'aborted'] as const) {
  test(`${reason} is a reason of sessions, and has its own counter`, (t) => {
    t.is(toSession({ ...record, reason }).reason, reason)
    const sessions = { ...none, begun: 3, ended: { [reason]: 3 } }
    t.is(toRelayStats({ ...idle, sessions }).sessions.ended[reason], 3)
  })
}

test('only the causes of aborted sessions are causes of sessions', (t) => {
  const aborted = { ...record, reason: 'aborted' }
  t.is(toSession({ ...aborted, cause: 'end-denied' }).cause, 'end-denied')
  t.false(
    'cause' in toSession({ ...aborted, cause: 'denied-by-rule' }) || 'cause' in toSession(aborted),
  )
})

const { bytesUp: _up, bytesDown: _down, ...began } = record

/** An attempt that became no session. */
const attempt = (facts: Partial<NativeRefusal>): NativeRefusal => ({
  ...began,
  durationMs: 3,
  server: '198.51.100.2',
  serverPort: 80,
  reason: 'error',
  ...facts,
})

test('a refusal names its reason by cause and by error', (t) => {
  const denied = toRefusal(attempt({ reason: 'denied', cause: 'denied-by-rule' }))
  t.like(denied, { reason: 'denied', cause: 'denied-by-rule' })
  const rule = { text: '::/0 deny 10.0.0.0/8', line: 12, file: '/etc/faithd/faithd.conf' }
  t.deepEqual(toRefusal(attempt({ reason: 'denied', rule })).rule, rule)
  t.false('code' in denied || 'bytesUp' in denied)
  const refused = toRefusal(attempt({ reason: 'refused', errno: -111 }))
  t.like(refused, { reason: 'refused', code: 'ECONNREFUSED' })
  t.false('cause' in refused)
})

for (const [facts, why] of [
  [{ reason: 'refused', errno: -111 }, 'refused'],
  [{ reason: 'unreachable', errno: -113 }, 'unreachable (EHOSTUNREACH)'],
  [{ reason: 'connect-timeout' }, 'connect-timeout'],
  [{ reason: 'denied', cause: 'denied-by-rule' }, 'denied: a rule denies it'],
  [{ reason: 'denied', cause: 'denied-no-match' }, 'denied: no rule permits it'],
  [
    { reason: 'denied', cause: 'special-purpose' },
    'denied: a special-purpose address that no rule names',
  ],
  [
    { reason: 'denied', cause: 'own-address' },
    'denied: an address of the router itself that no rule names',
  ],
  [{ reason: 'denied', cause: 'loopback' }, 'denied: a loopback address, without --allow-loopback'],
  [
    { reason: 'denied', cause: 'prohibited-by-host', errno: -1 },
    'denied: the firewall or the routing table of this host prohibits it (EPERM)',
  ],
  [
    { reason: 'limit', cause: 'max-sessions-per-client' },
    'limit: --max-sessions-per-client is reached',
  ],
  [
    { reason: 'error', cause: 'no-source', errno: -99 },
    'error: faithd cannot connect from the source address (EADDRNOTAVAIL)',
  ],
] as const) {
  test(`a refusal is explained: ${why}`, (t) => {
    t.is(refusalReason(toRefusal(attempt(facts))), why)
  })
}

const captured = (packets: number) =>
  ({ captured: { packets, bytes: 0 }, drops: {} }) as unknown as FaithInterfaceStats

test('the totals separate sessions from attempts, and singular from plural', (t) => {
  const sessions = { ...none, begun: 1, ended: { closed: 1, aborted: 0 }, bytesUp: 1 }
  const refused = [
    { reason: 'denied', cause: 'denied-by-rule', count: 2 },
    { reason: 'refused', count: 1 },
  ]
  t.is(
    totalsLine(toRelayStats({ ...idle, sessions, refused }), captured(1)),
    '1 session (1 closed), 3 attempts refused (2 denied-by-rule, 1 refused), 1 byte up, 0 down; ' +
      '1 packet captured, 0 dropped',
  )
  t.is(
    totalsLine(toRelayStats(idle), captured(2)),
    '0 sessions, 0 bytes up, 0 down; 2 packets captured, 0 dropped',
  )
})

test('attempts in progress are not called active sessions', (t) => {
  const stats = toRelayStats({ ...idle, attempts: 1, sessions: { ...none, active: 2 } })
  t.is(activeLine(stats), '2 sessions active, 1 attempt under way')
})

test('statistics count refusals by reason, and by cause if they have one', (t) => {
  const refused = [
    { reason: 'aborted', count: 2 },
    { reason: 'aborted', cause: 'no-handshake', count: 1 },
    { reason: 'denied', cause: 'loopback', count: 4 },
  ]
  const untold = { untoldSessions: 1, untoldRefused: [{ reason: 'aborted', count: 2 }] }
  const stats = toRelayStats({ ...idle, refused, ...untold })
  t.like(stats.refused.byReason, { aborted: 3, denied: 4, refused: 0 })
  t.deepEqual(stats.refused.byCause, { aborted: 2, 'no-handshake': 1, loopback: 4 })
  t.deepEqual(stats.untold, { sessions: 1, refused: { aborted: 2 } })
  t.deepEqual(new Set(Object.values(stats.sessions.ended)), new Set([0]))
})
