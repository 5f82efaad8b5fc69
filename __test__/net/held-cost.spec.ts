/** What a held SYN costs: memory, descriptors, and places that sessions would have had. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { FaithEndReason, FaithRelayStats } from '../../index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startFaithd } from './fixtures/faithd.js'
import type { Faithd } from './fixtures/faithd.js'
import { nft } from './fixtures/nft.js'
import { Sockets } from './fixtures/sockets.js'

const flooding = fileURLToPath(new URL('programs/flood.py', import.meta.url))
const KiB = 1024

/** The port at which the server is silent, and the one at which it is not. */
const silent = 4444
const lively = 4445

let lab: Lab
let client: Sockets

test.before(async () => {
  lab = await createLab()
  // Answers to forged sources go to the client, which drops what is not its own.
  const route = ['route', 'add', '2001:db8:f000::/48', 'via', addresses.client]
  const { code, stderr } = await lab.router.run('ip', route)
  if (code !== 0) throw new Error(stderr)
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

/** Sends SYNs to the silent port, each of another network of length 64. */
async function flood(faithd: Faithd, count: number): Promise<void> {
  const options = { address: faithd.address(), port: silent, networks: count, count }
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const { code, stderr } = await lab.client.run('python3', [flooding, ...flags])
  if (code !== 0) throw new Error(stderr)
}

/** How many answers of the server the router waits for. */
async function awaited(): Promise<number> {
  const filter = ['state', 'syn-sent', `dport = :${silent}`]
  const { stdout } = await lab.router.run('ss', ['-Htn', ...filter])
  return stdout.split('\n').filter(Boolean).length
}

/** Ends it, and returns how many sessions ended for a reason: not every one of thousands is logged by itself. */
async function ended(faithd: Faithd, reason: FaithEndReason): Promise<number> {
  await faithd.stop()
  const last = faithd.log.find((line): line is { msg: string; relay: FaithRelayStats } => {
    return line.msg.startsWith('ended: ')
  })
  if (last === undefined) throw new Error(faithd.process.output)
  return last.relay.ended[reason]
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

test.serial('SYNs that are held have places among the sessions, as long as they are', async (t) => {
  const places = 100
  const sent = 2000
  const faithd = await faithdWith('--max-sessions', `${places}`, '--connect-timeout', '10')
  await flood(faithd, sent)
  // The last SYN has been sent then, which says nothing of what faithd has come to.
  await waitFor('all places to be taken', async () => (await awaited()) === places)
  t.is(await client.dial(faithd.address(), lively).outcome(), 'ECONNREFUSED')
  t.is(await awaited(), places)
  await waitFor('the server to be given up', async () => (await awaited()) === 0)
  const late = client.dial(faithd.address(), lively)
  await late.hears('welcome')
  const refused = await ended(faithd, 'limit')
  t.log(`of ${sent} forged SYNs ${refused} were refused, beside ${places} sessions`)
  // Some may be lost on the way; the real client's is one more.
  t.true(refused > sent / 2 && refused <= sent - places + 1, `${refused}`)
})

test.serial(
  'where fewer are held than there may be sessions, forged SYNs refuse nobody',
  async (t) => {
    const held = 50
    const faithd = await faithdWith('--max-sessions', '100', '--max-held', `${held}`)
    await flood(faithd, 2000)
    await waitFor('all places to be taken', async () => (await awaited()) === held)
    for (let visit = 0; visit < 20; visit += 1) {
      const near = client.dial(faithd.address(), lively)
      await near.hears('welcome')
      near.resets()
    }
    t.is(await awaited(), held)
    t.is(await ended(faithd, 'limit'), 0)
  },
)
