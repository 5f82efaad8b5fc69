/** A client's SYN waits while its route takes its time, with any number of others from its network. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, captured, waitFor } from '../../lab/index.js'
import { floodEnded, startFlood } from '../fixtures/flood.js'
import { Sockets, type End } from '../fixtures/sockets.js'
import { stage } from '../programs/stage.js'

const mirror = fileURLToPath(new URL('../programs/mirror.py', import.meta.url))
const { lab, router } = await stage()
const near = Sockets.of(lab.client)

const slow = 7951
const verdicts = { [slow]: { reject: 'refused' } } as const

const dialSlow = (count: number): End[] =>
  Array.from({ length: count }, () => near.dial(captured(), slow))

const undecided = (count: number): Promise<boolean> =>
  waitFor(`${count} to be asked about`, async () => (await router.ask('undecided', slow)) === count)

test.serial('every client with a slow route gets only the verdict', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.route({ ports: 'all' }, { verdicts, waits: [slow] })
  const ends = dialSlow(400)
  await undecided(400)
  t.like(await faith.stats(), { synsHeld: 400, synsBeyondHold: 0, synsBeyondClientHold: 0 })
  await router.ask('decide', slow)
  for (const end of ends) t.is(await end.outcome(), 'ECONNREFUSED')
  t.like(await relay.stats(), { accepted: 0 })
})

test.serial('a client beyond maxHeldPerClient waits, and is not connected early', async (t) => {
  await using faith = await router.create()
  const options = { ports: 'all', maxHeldPerClient: 4 } as const
  await using relay = await faith.route(options, { verdicts, waits: [slow] })
  const ends = dialSlow(10)
  await undecided(4)
  await waitFor('the others to wait', async () => (await faith.stats()).synsBeyondClientHold >= 6)
  const { drops } = await faith.stats()
  t.true((drops['hold'] ?? 0) >= 6)
  t.deepEqual(
    ends.flatMap((end) => end.history),
    [],
  )
  // Clients that waited send their SYNs again, and the route is asked about them in turn.
  const refused = () => ends.filter((end) => end.history.length > 0).length
  const decided = async () => {
    await router.ask('decide', slow)
    return refused() === ends.length
  }
  await waitFor('all to be decided', decided)
  for (const end of ends) t.is(await end.outcome(), 'ECONNREFUSED')
  t.like(await relay.stats(), { accepted: 0 })
})

test.serial('forged SYNs of its own and other networks do not keep a client out', async (t) => {
  const [forged, port] = [7952, 7953]
  const network = ['2001:db8:f000::/48', 'via', addresses.client, 'dev', 'lan0']
  await lab.router.run('ip', ['-6', 'route', 'add', ...network])
  await lab.client.run('ip', ['-6', 'addr', 'add', '2001:db8:f000::abcd/128', 'dev', 'lo'])
  for (const each of [forged, port]) {
    await lab.server.spawn('python3', [mirror, 'serve', String(each)]).line(/^serving/)
  }
  await using faith = await router.create()
  const accessList = '::/0 permit 198.51.100.0/24\n'
  const options = { ports: 'all', accessList, maxHeldPerClient: 10 } as const
  await using relay = await faith.route(options, { verdicts, waits: [slow] })
  const flood = { address: captured(), port: forged, networks: 1, count: 200 }
  await floodEnded(startFlood(lab.client, flood))
  // All places are taken: the servers wait for clients that never come.
  await waitFor('the bound', async () => (await faith.stats()).synsBeyondClientHold >= 100)
  // Undecided connections of other networks do not make this client wait.
  const others = { address: captured(), port: slow, networks: 50, count: 200 }
  await floodEnded(startFlood(lab.client, { ...others, source: '2001:db8:f000:1::' }))
  await undecided(200)
  const before = (await faith.stats()).drops
  const client = lab.client.spawn('python3', [mirror, 'dial', captured(), String(port)])
  client.stdin.write('2001:db8:f000::abcd 20\n')
  await waitFor('the client to be served', () => client.lines.length === 20)
  for (const line of client.lines) t.like(JSON.parse(line), { seen: addresses.routerIPv4 })
  t.deepEqual((await faith.stats()).drops, before)
  t.like((await relay.stats()).refused.byReason, { refused: 0, limit: 0, error: 0 })
})
