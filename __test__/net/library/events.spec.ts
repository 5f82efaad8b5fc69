/** Events of an interface and its relays, and their messages on diagnostics channels. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { floodEnded, startFlood } from '../../fixtures/flood.js'
import { Sockets } from '../../fixtures/sockets.js'
import { Program, type Relay } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client: caller } = await stage()

const client = Sockets.of(lab.client)
const server = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'

const sum = (numbers: number[]) => numbers.reduce((one, other) => one + other, 0)

function dialTwenty(port: number): void {
  for (let count = 0; count < 20; count += 1) client.dial(captured(), port)
}

/** Waits for a refusal, and returns the relay's events. */
async function refusal(relay: Relay) {
  return await waitFor('a refusal', async () => {
    const told = await relay.told()
    return told.refused.length > 0 ? told : undefined
  })
}

test.serial('a failed connection is reported as refused, with the reason', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const near = client.dial(captured(), 7301)
  await near.sees('ECONNREFUSED')
  const { refused, session } = await refusal(relay)
  const [told] = refused
  t.deepEqual(told, {
    id: 1,
    protocol: 'tcp',
    client: { address: addresses.client, port: told?.client.port },
    destination: { address: '64:ff9b::c633:6402', port: 7301 },
    server: { address: addresses.server, port: 7301 },
    startedAt: told?.startedAt,
    durationMs: told?.durationMs,
    reason: 'refused',
    code: 'ECONNREFUSED',
  })
  t.deepEqual(session, [], 'no session is reported')
})

test.serial('a connection that the access list denies is reported as refused', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList: '::/0 deny 0.0.0.0/0\n' })
  await client.dial(captured(), 7302).sees('EACCES')
  const { refused } = await refusal(relay)
  t.deepEqual(
    refused.map(({ reason }) => reason),
    ['denied'],
  )
})

test.serial('a failed attempt does not count as a session', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  await client.dial(captured(), 7309).sees('ECONNREFUSED')
  await client.dial(captured('10.0.0.1'), 7310).sees('EACCES')
  await waitFor('both refusals', async () => (await relay.told()).refused.length === 2)
  const { sessions, refused, attempts, untold } = await relay.stats()
  t.like(sessions, { active: 0, begun: 0, bytesUp: 0, bytesDown: 0 })
  t.deepEqual(new Set(Object.values(sessions.ended)), new Set([0]))
  t.like(refused.byReason, { refused: 1, denied: 1, limit: 0 })
  t.deepEqual(refused.byCause, { refused: 1, 'special-purpose': 1 })
  t.is(attempts, 0)
  t.deepEqual(untold, { sessions: 0, refused: {} })
})

test.serial('a session is never reported as refused, however it ends', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const listening = await server.listen(7303)
  const near = await client.connect(captured(), 7303)
  await near.reaches(await listening.accept())
  near.resets()
  await waitFor('the end of the session', async () => (await relay.told()).session.length === 1)
  await client.dial(captured(), 7304).sees('ECONNREFUSED')
  const { refused, session } = await refusal(relay)
  t.deepEqual(
    refused.map(({ destination }) => destination.port),
    [7304],
  )
  t.deepEqual(
    session.map(({ reason }) => reason),
    ['client-reset'],
  )
})

test.serial('events without a handler do not count as dropped', async (t) => {
  await using faith = await router.create({ workers: 1 })
  const denying = { accessList: '::/0 deny 0.0.0.0/0\n' }
  await using heard = await faith.relay({ ...denying, ports: '20001-20300' })
  await using unheard = await faith.relay({
    ...denying,
    ports: '20301-20600',
    sessionEvents: false,
  })
  const ports = Array.from({ length: 600 }, (_, index) => 20_001 + index)
  const dropped = await waitFor('more refusals than a second’s events', async () => {
    await client.dialAll(captured(), ports)
    return (await heard.stats()).untold.refused['denied-by-rule']
  })
  const { refused, untold } = await unheard.stats()
  t.true(refused.byReason.denied > dropped, 'all were refused')
  t.deepEqual(untold, { sessions: 0, refused: {} })
})

for (const [reason, cause, relayed] of [
  ['denied', 'denied-by-rule', '::/0 deny 0.0.0.0/0\n'],
  ['refused', 'refused', accessList],
] as const) {
  test.serial(
    `in a flood of ${reason} attempts a bounded number is reported, and the rest is counted`,
    async (t) => {
      await using faith = await router.create()
      const begun = performance.now()
      await using relay = await faith.relay({ ports: 'all', accessList: relayed })
      const flood = { address: captured(), port: 7308, networks: 4000, count: 10_000 }
      await floodEnded(startFlood(lab.client, flood))
      await relay.close()
      const seconds = Math.ceil((performance.now() - begun) / 1000)
      const stats = await relay.stats()
      const told = (await relay.told()).refused.filter((one) => one.reason === reason)
      t.is(told.length + (stats.untold.refused[cause] ?? 0), stats.refused.byReason[reason])
      t.is(stats.refused.byCause[cause], stats.refused.byReason[reason])
      // The count starts anew every second, and a part of a second counts as one.
      const bound = 50 * (seconds + 1)
      t.true(told.length > 0 && told.length <= bound, `${told.length}, ${bound}`)
      t.true((stats.untold.refused[cause] ?? 0) > 0)
      t.is(stats.sessions.begun, 0)
    },
  )
}

test.serial('an interface reports changes of its prefixes', async (t) => {
  await using faith = await router.create()
  await faith.watch('prefix')
  await faith.addPrefix('2001:DB8:64:0::/96')
  await t.throwsAsync(faith.addPrefix('2001:db8:64::/96'), { code: 'ERR_FAITH_PREFIX' })
  await faith.deletePrefix('2001:db8:64::/96')
  await waitFor('two events', async () => (await faith.told()).prefix.length >= 2)
  t.deepEqual((await faith.told()).prefix, [
    { action: 'add', prefix: '2001:db8:64::/96' },
    { action: 'delete', prefix: '2001:db8:64::/96' },
  ])
})

test.serial('every interface reports switches of keepfaith until it is closed', async (t) => {
  await using program = await Program.start(lab.router)
  const one = await program.create({ name: 'faith0' })
  const other = await program.create({ name: 'faith1', prefixes: ['2001:db8:64::/96'] })
  await one.watch('keepfaith')
  await other.watch('keepfaith')
  await program.keepfaith(true)
  await program.keepfaith(true)
  await one.close()
  await program.keepfaith(false)
  await waitFor('two events', async () => (await other.told()).keepfaith.length >= 2)
  t.deepEqual((await other.told()).keepfaith, [true, false])
  t.deepEqual((await one.told()).keepfaith, [true])
})

test.serial('an interface reports dropped packets in sums', async (t) => {
  await using program = await Program.start(lab.router)
  const faith = await program.create()
  const counted = async () => (await faith.stats()).drops['keepfaith'] ?? 0
  const told = async () => {
    const { drop } = await faith.told()
    return drop.map(({ packets }) => packets['keepfaith'] ?? 0)
  }
  dialTwenty(7305)
  await waitFor('packets to be dropped', async () => (await counted()) >= 20)
  await faith.watch('drop')
  dialTwenty(7306)
  const sums = await waitFor('the drops to be reported', async () => {
    const all = await told()
    return sum(all) >= 20 ? all : undefined
  })
  t.true(sum(sums) <= (await counted()) - 20, 'earlier drops are not reported')
  t.true(sums.length < 20)
  t.true(sums.every((packets) => packets > 0))
})

test.serial('every event has its own diagnostics channel', async (t) => {
  await using program = await Program.start(lab.router)
  await program.ask(
    'subscribe',
    'faithd:session',
    'faithd:refused',
    'faithd:connection',
    'faithd:prefix',
    'faithd:keepfaith',
  )
  await program.keepfaith(true)
  await using faith = await program.create()
  await faith.addPrefix('2001:db8:64::/96')
  await faith.listen({ port: 81 }, 'here')
  await caller.greeting(captured(), 81)
  await using relay = await faith.relay({ port: 82, accessList })
  await client.dial(captured(), 82).sees('ECONNREFUSED')
  const { refused } = await refusal(relay)

  const published = await program.ask('published')
  const origin = { interface: 'faith0' }
  t.deepEqual(
    published.map(([channel]) => channel),
    ['faithd:keepfaith', 'faithd:prefix', 'faithd:connection', 'faithd:refused'],
  )
  const [, , connection, ...rest] = published.map(([, message]) => message)
  t.deepEqual(published[0]?.[1], { on: true })
  t.deepEqual(published[1]?.[1], { ...origin, action: 'add', prefix: '2001:db8:64::/96' })
  t.like(connection, { ...origin, socket: { address: '64:ff9b::c633:6402', port: 81 } })
  t.deepEqual(rest, [{ ...origin, refusal: refused[0] }])
})
