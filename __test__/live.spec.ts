import test from 'ava'
import { liveSessions } from '../lib/live.js'
import type { NativeLiveSession } from '../lib/native.js'

function session(id: number): NativeLiveSession {
  return {
    id,
    protocol: 'tcp',
    client: '2001:db8::1',
    clientPort: 1024 + id,
    destination: '64:ff9b::c633:6402',
    destinationPort: 80,
    server: '198.51.100.2',
    serverPort: 80,
    bytesUp: 1,
    bytesDown: 2,
    startedAtMs: 1000,
    ageMs: 3,
    idleMs: 2,
    state: 'client-closed',
  }
}

/** A relay with that many sessions; one more begins at each request for a page. */
function busy(count: number) {
  const asked: number[] = []
  const ids = Array.from({ length: count }, (_, index) => index + 1)
  return {
    asked,
    sessions(after: number, most: number) {
      asked.push(most)
      const found = ids.filter((id) => id > after).slice(0, most)
      const newest = ids.length
      ids.push(newest + 1)
      return { sessions: found.map(session), newest }
    },
  }
}

test('a session has the public shape', async (t) => {
  t.deepEqual(await liveSessions(busy(1)).next(), {
    done: false,
    value: {
      id: 1,
      protocol: 'tcp',
      client: { address: '2001:db8::1', port: 1025 },
      destination: { address: '64:ff9b::c633:6402', port: 80 },
      server: { address: '198.51.100.2', port: 80 },
      bytesUp: 1,
      bytesDown: 2,
      startedAt: new Date(1000),
      ageMs: 3,
      idleMs: 2,
      state: 'client-closed',
    },
  })
})

test('every session is listed once, without those that begin meanwhile', async (t) => {
  for (const count of [0, 1, 255, 256, 257, 1000]) {
    const seen: number[] = []
    for await (const { id } of liveSessions(busy(count))) seen.push(id)
    t.deepEqual(
      seen,
      Array.from({ length: count }, (_, index) => index + 1),
    )
  }
})

test('sessions are listed in pages, and the event loop turns between them', async (t) => {
  const relay = busy(1000)
  let turns = 0
  const turn = (): void => {
    turns += 1
    turning = setImmediate(turn)
  }
  let turning = setImmediate(turn)
  for await (const { id } of liveSessions(relay)) t.true(id > 0)
  clearImmediate(turning)
  t.true(Math.max(...relay.asked) <= 256)
  t.true(turns >= 3)
})
