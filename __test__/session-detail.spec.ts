import test from 'ava'
import type { NativeSessionDetail, NativeTcpInfo } from '../lib/native.js'
import { toSessionDetail } from '../lib/session-detail.js'

const measured: NativeTcpInfo = {
  state: 'ESTABLISHED',
  rttMs: 1.5,
  rttVarianceMs: 0.5,
  minimumRttMs: 1.25,
  congestionWindow: 10,
  mss: 1440,
  retransmitted: 1,
  lost: 2,
  unacknowledged: 3,
  unsent: 4,
  unread: 5,
  deliveryRate: 6,
  pacingRate: 7,
  busyMs: 8,
  limitedByPeerMs: 9,
  limitedByBufferMs: 10,
  congestionControl: 'cubic',
}
const {
  rttMs: _rtt,
  rttVarianceMs: _variance,
  minimumRttMs: _minimum,
  deliveryRate: _delivery,
  pacingRate: _pacing,
  ...unmeasured
} = measured

const detail: NativeSessionDetail = {
  session: {
    id: 7,
    protocol: 'tcp',
    client: '2001:db8::1',
    clientPort: 40_000,
    destination: '64:ff9b::c633:6402',
    destinationPort: 80,
    server: '198.51.100.2',
    serverPort: 80,
    bytesUp: 1,
    bytesDown: 2,
    startedAtMs: 1000,
    ageMs: 3,
    idleMs: 2,
    state: 'server-closed',
  },
  client: measured,
  server: unmeasured,
  waitingUp: 11,
  waitingDown: 12,
}

test('a detail is the session, its legs and what waits between them', (t) => {
  t.deepEqual(toSessionDetail(detail), {
    id: 7,
    protocol: 'tcp',
    client: { address: '2001:db8::1', port: 40_000 },
    destination: { address: '64:ff9b::c633:6402', port: 80 },
    server: { address: '198.51.100.2', port: 80 },
    bytesUp: 1,
    bytesDown: 2,
    startedAt: new Date(1000),
    state: 'server-closed',
    ageMs: 3,
    idleMs: 2,
    legs: { client: measured, server: unmeasured },
    waitingUp: 11,
    waitingDown: 12,
    slow: 'neither',
  })
})

test('a leg has no value that the kernel has not measured', (t) => {
  const { server } = toSessionDetail(detail).legs ?? {}
  t.truthy(server)
  for (const name of ['rttMs', 'minimumRttMs', 'deliveryRate']) t.false(name in (server ?? {}))
})

test('a session of datagrams has no legs', (t) => {
  const { session, waitingUp, waitingDown } = detail
  t.false('legs' in toSessionDetail({ session, waitingUp, waitingDown }))
})

test('a detail names the rule and its line, and the slow side', (t) => {
  const text = '::/0 permit 0.0.0.0/0'
  const rule = { text, file: '/etc/faithd/faithd.conf', line: 3 }
  t.deepEqual(toSessionDetail({ ...detail, rule }).rule, rule)
  t.deepEqual(toSessionDetail({ ...detail, rule: { text } }).rule, { text })
  t.is(toSessionDetail({ ...detail, slow: 'client' }).slow, 'client')
  t.is(toSessionDetail({ ...detail, slow: 'server' }).slow, 'server')
})
