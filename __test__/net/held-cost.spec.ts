/** The cost of a held SYN: memory and descriptors, and no place that a session needs. */
import test from 'ava'

import { addresses, waitFor } from '../../lab/index.js'
import type { Faithd } from '../fixtures/faithd.js'
import { floodStage, silent } from '../fixtures/flood-stage.js'
import { floodEnded, returnForged, startFlood } from '../fixtures/flood.js'
import { ip } from '../fixtures/ip.js'

const KiB = 1024

/** Ports of the server without a listener, and with one. */
const closed = 4446
const lively = 4445

/** A client, and the network whose addresses are forged. */
const victim = { network: '2001:db8:9::', address: '2001:db8:9::ffff:2' }

const stage = await floodStage('cost')
const { lab, client, server, awaited } = stage
test.before(async () => {
  await returnForged(lab, `${victim.network}/64`)
  await ip(lab.client, `addr add ${victim.address}/128 dev eth0 nodad`)
  await server.listen(lively, { greet: 'welcome' })
})

/** Starts faithd and relays one session, so that one-time allocations are made and neighbours are known. */
async function faithdWith(...args: string[]): Promise<Faithd> {
  const faithd = await stage.faithdWith(...args)
  const warm = client.dial(faithd.address(), lively)
  await warm.hears('welcome')
  warm.resets()
  await faithd.sessionTo(lively)
  return faithd
}

/** Makes the client dial this faithd from the victim's address. */
async function dialFromVictim(faithd: Faithd): Promise<void> {
  const to = `${faithd.address()}/128`
  await ip(lab.client, `route add ${to} via ${addresses.gateway} src ${victim.address}`)
}

/** Sends SYNs to the silent port, each from another network of length 64. */
async function flood(faithd: Faithd, count: number): Promise<void> {
  const options = { address: faithd.address(), port: silent, networks: count, count }
  await floodEnded(startFlood(lab.client, options))
}

test.serial('a held SYN takes one descriptor, and little memory', async (t) => {
  const held = 4096
  const faithd = await faithdWith('--max-held', `${held}`, '--connect-timeout', '30')
  const { memory, descriptors } = faithd
  await flood(faithd, held + 1000)
  await waitFor('all places to be taken', async () => (await awaited()) === held)

  const each = {
    memory: (faithd.memory - memory) / held,
    descriptors: (faithd.descriptors - descriptors) / held,
  }
  t.log(`a held SYN: ${Math.round(each.memory)} bytes, ${each.descriptors.toFixed(3)} descriptors`)
  // Memory is that of the whole process, so other allocations are divided by thousands, too.
  t.true(each.memory < 16 * KiB, `${each.memory}`)
  t.is(Math.round(each.descriptors * 100), 100)
  await faithd.stop()
})

for (const limit of [
  ['--max-sessions', '5'],
  ['--max-sessions-per-client', '5'],
  ['--max-rate-per-client', '5'],
]) {
  for (const [where, port] of [
    ['a silent server', silent],
    ['a port that is closed', closed],
    ['a server that answers', lively],
  ] as const) {
    test.serial(`${limit[0]}: forged SYNs to ${where} take no place of a client`, async (t) => {
      const faithd = await faithdWith(...limit, '--connect-timeout', '2')
      await dialFromVictim(faithd)
      const flooding = startFlood(lab.client, {
        address: faithd.address(),
        port,
        source: victim.network,
        networks: 1,
        count: 10_000,
      })
      await flooding.line(/^half of them$/)
      for (let visit = 0; visit < 3; visit += 1) {
        const near = client.dial(faithd.address(), lively)
        await near.hears('welcome')
        near.resets()
      }
      await floodEnded(flooding)
      const { interface: faith } = await faithd.counted()
      // The kernel or the device may have lost some SYNs.
      t.true(faith.synsHeld + faith.synsBeyondClientHold > 1000, JSON.stringify(faith))
    })
  }
}

test.serial('a held client is reset if another took its last place', async (t) => {
  const faithd = await faithdWith('--max-sessions-per-client', '1')
  const near = Array.from({ length: 20 }, () => client.dial(faithd.address(), lively))
  const heard = async () => {
    const texts = await Promise.all(near.map(async (end) => (await end.status()).text))
    return texts.filter((text) => text === 'welcome').length
  }
  const turnedAway = () => near.filter(({ history }) => /ECONN/.test(history.join())).length
  await waitFor('all but one to be refused', () => turnedAway() === near.length - 1)
  await waitFor('the one to be served', async () => (await heard()) === 1)
  t.is((await faithd.counted()).relay.refused.byReason.limit, near.length - 1)
})
