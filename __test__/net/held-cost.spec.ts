/** What a held SYN costs: memory and descriptors, and no place that a session would have had. */
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { FaithInterfaceStats, FaithRelayStats } from '../../index.js'
import type { Host, Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { floodEnded, startFlood } from '../fixtures/flood.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const KiB = 1024

/** The ports at which the server is silent, has no program, and has one. */
const silent = 4444
const closed = 4446
const lively = 4445

/** A client, and the network that is forged to be its. */
const victim = { network: '2001:db8:9::', address: '2001:db8:9::ffff:2' }

let lab: Lab
let client: Sockets

test.before(async () => {
  lab = await createLab()
  // Answers to forged sources go to the client, which drops what is not its own.
  for (const network of ['2001:db8:f000::/48', `${victim.network}/64`]) {
    await ip(lab.router, 'route', 'add', network, 'via', addresses.client)
  }
  await ip(lab.client, 'addr', 'add', `${victim.address}/128`, 'dev', 'eth0', 'nodad')
  await nft(
    lab.server,
    `table inet filter {
      chain input {
        type filter hook input priority filter
        tcp dport ${silent} drop
      }
    }`,
  )
  client = Sockets.of(lab.client)
  await Sockets.of(lab.server).listen(lively, { greet: 'welcome' })
})

test.after.always(() => lab.close())

async function ip(host: Host, ...command: string[]): Promise<void> {
  const { code, stderr } = await host.run('ip', command)
  if (code !== 0) throw new Error(`ip ${command.join(' ')}: ${stderr}`)
}

let started = 0

/** A faithd that has relayed a session: what it makes once is made, and all neighbours are known. */
async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `cost${started}`, prefix: `3fff:${started}::` }
  const faithd = await startFaithd(lab, [...permitted, ...args], 'by itself', place)
  const warm = client.dial(faithd.address(), lively)
  await warm.hears('welcome')
  warm.resets()
  await faithd.sessionTo(lively)
  return faithd
}

/** Has what is dialled through it come from the victim's address. */
async function dialFromVictim(faithd: Faithd): Promise<void> {
  const to = `${faithd.address()}/128`
  await ip(lab.client, 'route', 'add', to, 'via', addresses.gateway, 'src', victim.address)
}

/** Sends SYNs to the silent port, each of another network of length 64. */
async function flood(faithd: Faithd, count: number): Promise<void> {
  const options = { address: faithd.address(), port: silent, networks: count, count }
  await floodEnded(startFlood(lab.client, options))
}

/** How many answers of the server the router waits for. */
async function awaited(): Promise<number> {
  const filter = ['state', 'syn-sent', `dport = :${silent}`]
  const { stdout } = await lab.router.run('ss', ['-Htn', ...filter])
  return stdout.split('\n').filter(Boolean).length
}

interface Totals {
  msg: string
  relay: FaithRelayStats
  interface: FaithInterfaceStats
}

/** Ends it, and returns what it counted: not every one of thousands of ends is logged by itself. */
async function counted(faithd: Faithd): Promise<Totals> {
  await faithd.stop()
  const last = faithd.log.find((line): line is Totals => line.msg.startsWith('ended: '))
  if (last === undefined) throw new Error(faithd.process.output)
  return last
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
  // Memory is that of the whole process, whose other doings are divided by thousands too.
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
      const { interface: faith } = await counted(faithd)
      // The kernel or the device may have lost some.
      t.true(faith.synsHeld + faith.synsBeyondClientHold > 1000, JSON.stringify(faith))
    })
  }
}

test.serial('a client that was held when its last place was taken is reset', async (t) => {
  const faithd = await faithdWith('--max-sessions-per-client', '1')
  const near = Array.from({ length: 20 }, () => client.dial(faithd.address(), lively))
  const heard = async () => {
    const texts = await Promise.all(near.map(async (end) => (await end.status()).text))
    return texts.filter((text) => text === 'welcome').length
  }
  const turnedAway = () => near.filter(({ history }) => /ECONN/.test(history.join())).length
  await waitFor('all but one to be turned away', () => turnedAway() === near.length - 1)
  await waitFor('the one to be served', async () => (await heard()) === 1)
  t.is((await counted(faithd)).relay.ended.limit, near.length - 1)
})
