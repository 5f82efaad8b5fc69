/** A flood of forged SYNs: held SYNs, and connections to servers, stay within their bounds. */
import test from 'ava'

import { waitFor } from '../../lab/index.js'
import type { FaithInterfaceStats } from '../../index.js'
import type { Faithd } from '../fixtures/faithd.js'
import { connections, floodStage, silent } from '../fixtures/flood-stage.js'
import { floodEnded, startFlood } from '../fixtures/flood.js'

const maxHeld = 40
const maxHeldPerClient = 10
const bounds = ['--max-held', `${maxHeld}`, '--max-held-per-client', `${maxHeldPerClient}`]
const MiB = 1024 * 1024

const { lab, client, server, faithdWith, awaited } = await floodStage('held')

/** Sends SYNs from that many networks of length 64, and runs a check all the while. */
async function flood(
  faithd: Faithd,
  { port, networks, count = 4000 }: { port: number; networks: number; count?: number },
  look: () => Promise<void>,
): Promise<void> {
  const address = faithd.address()
  const flooding = startFlood(lab.client, { address, port, networks, count })
  while (flooding.running) await look()
  await floodEnded(flooding)
  await look()
}

/** SYNs beyond this bound, and beyond the other one. */
function beyondBound(stats: FaithInterfaceStats, bound: number): [number, number] {
  const both: [number, number] = [stats.synsBeyondHold, stats.synsBeyondClientHold]
  return bound === maxHeld ? both : [both[1], both[0]]
}

let ports = 7700

/** The flood whose connections wait for clients during the other tests; the last test checks it. */
let waitingFlood: { faithd: Faithd; port: number; descriptors: number; waiting: number }

test.serial('servers wait for the clients of forged SYNs', async (t) => {
  const faithd = await faithdWith(...bounds)
  ports += 1
  const port = ports
  await server.listen(port)
  const descriptors = faithd.descriptors
  // The server sees no connection for 200 ms; a true client would answer within that time.
  const heard = () => connections(lab.server, 'state', 'established', `sport = :${port}`)
  await flood(faithd, { port, networks: 4000 }, async () => void (await heard()))
  const waiting = await waitFor('servers to wait', heard)
  waitingFlood = { faithd, port, descriptors, waiting }
  t.true(waiting > 0 && waiting <= maxHeld, `${waiting}`)
  t.true(faithd.descriptors >= descriptors + waiting, `${faithd.descriptors}, ${descriptors}`)
})

for (const [who, networks, bound] of [
  ['many clients', 4000, maxHeld],
  ['one client', 1, maxHeldPerClient],
] as const) {
  test.serial(
    `forged SYNs of ${who} open no more connections to a server than are held`,
    async (t) => {
      const faithd = await faithdWith(...bounds, '--connect-timeout', '2')
      ports += 1
      const port = ports
      const listening = await server.listen(port)
      const [memory, descriptors] = [faithd.memory, faithd.descriptors]
      const most = { connections: 0, memory: 0, descriptors: 0 }
      await flood(faithd, { port, networks }, async () => {
        const now = await connections(lab.server, 'state', 'connected', `sport = :${port}`)
        most.connections = Math.max(most.connections, now)
        most.memory = Math.max(most.memory, faithd.memory)
        most.descriptors = Math.max(most.descriptors, faithd.descriptors)
      })

      t.true(most.connections > 0 && most.connections <= bound, JSON.stringify(most))
      t.true(most.descriptors <= descriptors + 2 * bound + 8, `${most.descriptors}, ${descriptors}`)
      t.true(most.memory < memory + 64 * MiB, `${most.memory}, ${memory}`)

      const { interface: stats } = await faithd.counted()
      const { synsHeld } = stats
      const [beyond, other] = beyondBound(stats, bound)
      t.true(synsHeld >= bound, `${synsHeld}`)
      t.true(beyond > synsHeld, `${beyond}, ${synsHeld}`)
      t.is(other, 0)
      t.true(listening.accepted <= synsHeld, `${listening.accepted}, ${synsHeld}`)
    },
  )

  test.serial(
    `forged SYNs of ${who} to a silent server leave nothing after the timeout`,
    async (t) => {
      const faithd = await faithdWith(...bounds, '--connect-timeout', '2')
      const descriptors = faithd.descriptors
      let most = 0
      await flood(faithd, { port: silent, networks }, async () => {
        most = Math.max(most, await awaited())
      })
      t.true(most > 0 && most <= bound, `${most}`)
      await waitFor('the server to be given up', async () => (await awaited()) === 0)
      await waitFor('nothing to be left in faithd', () => faithd.descriptors <= descriptors + 8)
      t.true(beyondBound((await faithd.counted()).interface, bound)[0] > 0)
    },
  )

  test.serial(`a real client connects while those of ${who} are forged`, async (t) => {
    const faithd = await faithdWith(...bounds)
    ports += 1
    const port = ports
    await server.listen(port, { greet: 'welcome' })
    let connected = 0
    await flood(faithd, { port: silent, networks, count: 10_000 }, async () => {
      const near = client.dial(faithd.address(), port)
      await near.sees('connected')
      await near.hears('welcome')
      near.resets()
      connected += 1
    })
    t.true(connected > 0)
    // All places are taken, for as long as a server may take to answer.
    t.is(await awaited(), bound)
    const late = client.dial(faithd.address(), port)
    await late.sees('connected')
    await late.hears('welcome')
    t.true(beyondBound((await faithd.counted()).interface, bound)[0] > 0)
  })
}

test.serial(
  '--client-prefix-length sets the network that counts as one client of held SYNs',
  async (t) => {
    const faithd = await faithdWith(...bounds, '--client-prefix-length', '48')
    let most = 0
    // All these networks are in one /48.
    await flood(faithd, { port: silent, networks: 4000 }, async () => {
      most = Math.max(most, await awaited())
    })
    t.is(most, maxHeldPerClient)
    t.true((await faithd.counted()).interface.synsBeyondClientHold > 0)
  },
)

test.serial('servers without a client are released after the timeout', async (t) => {
  const { faithd, port, descriptors } = waitingFlood
  const left = () => connections(lab.server, 'state', 'connected', `sport = :${port}`)
  await waitFor('the server to be released', async () => (await left()) === 0, {
    interval: 200,
  })
  await waitFor('nothing to be left in faithd', () => faithd.descriptors <= descriptors + 8)
  const near = await client.connect(faithd.address(), port)
  t.deepEqual(near.history, ['connected'])
})
