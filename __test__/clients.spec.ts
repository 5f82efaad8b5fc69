import test from 'ava'
import { currentClients, type FaithClient } from '../lib/clients.js'
import type { NativeRelay } from '../lib/native.js'

/** A relay with that many clients, which notes how many were asked for at a time. */
function crowded(count: number) {
  const asked: number[] = []
  const left = Array.from({ length: count }, (_, index) => ({
    network: `2001:db8:${index.toString(16)}::/64`,
    sessions: count - index,
    bytesUp: 1,
    bytesDown: 2,
    oldestMs: 3,
    idleMs: 4,
    portBlocks: 0,
  }))
  const next = (most: number) => {
    asked.push(most)
    return left.splice(0, most)
  }
  const networks = () => Promise.resolve({ next })
  return { asked, relay: { networks } as unknown as Pick<NativeRelay, 'networks'> }
}

async function all(relay: Pick<NativeRelay, 'networks'>): Promise<FaithClient[]> {
  const clients: FaithClient[] = []
  for await (const client of currentClients(relay, 64)) clients.push(client)
  return clients
}

test('each client is listed once, in the order of the addon', async (t) => {
  for (const count of [0, 1, 255, 256, 257, 1000]) {
    const clients = await all(crowded(count).relay)
    t.deepEqual(
      clients.map(({ sessions }) => sessions),
      Array.from({ length: count }, (_, index) => count - index),
    )
  }
})

test('clients are listed in pages, and the event loop turns between them', async (t) => {
  const { asked, relay } = crowded(1000)
  let turns = 0
  const turn = (): void => {
    turns += 1
    turning = setImmediate(turn)
  }
  let turning = setImmediate(turn)
  await all(relay)
  clearImmediate(turning)
  t.true(Math.max(...asked) <= 256)
  t.true(turns >= 3)
})
