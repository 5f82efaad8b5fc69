/** Details of single sessions, and sums by client. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { type End, Sockets } from '../../fixtures/sockets.js'
import type { Relay } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router } = await stage()

const client = Sockets.of(lab.client)
const server = Sockets.of(lab.server)
const accessList = '# ours\n::/0 permit 198.51.100.0/24\n'

let ports = 7500

/** The two ends of a connection. */
async function connection() {
  ports += 1
  const listening = await server.listen(ports)
  const near = await client.connect(captured(), ports)
  return { near, far: await listening.accept() }
}

/** Waits until the details of the only session fulfil a condition. */
async function detail(
  relay: Relay,
  what: string,
  holds: (found: Exclude<Awaited<ReturnType<Relay['session']>>, undefined>) => boolean,
) {
  return await waitFor(what, async () => {
    const [session] = await relay.sessions()
    if (session === undefined) return undefined
    const found = await relay.session(session.id)
    return found !== undefined && holds(found) ? found : undefined
  })
}

test.serial('a detail is the listed session, its rule and both of its connections', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const { near, far } = await connection()
  near.says('hello')
  await far.hears('hello')
  far.says('good day')
  await near.hears('good day')

  const found = await detail(relay, 'all bytes to be counted', (one) => one.bytesDown === 8)
  const [listed] = await relay.sessions()
  for (const name of ['id', 'client', 'destination', 'server', 'bytesUp', 'state'] as const) {
    t.deepEqual(found[name], listed?.[name])
  }
  t.deepEqual(found.rule, { text: '::/0 permit 198.51.100.0/24', line: 2 })
  t.like(found, { state: 'open', slow: 'neither', waitingUp: 0, waitingDown: 0 })
  t.true(found.idleMs <= found.ageMs)
  const { legs } = found
  t.truthy(legs)
  for (const leg of legs ? [legs.client, legs.server] : []) {
    t.like(leg, { state: 'ESTABLISHED', unsent: 0, unread: 0, retransmitted: 0, lost: 0 })
    t.true(leg.mss > 500 && leg.congestionWindow > 0 && leg.congestionControl !== '')
    t.true((leg.rttMs ?? -1) > 0 && (leg.rttVarianceMs ?? -1) > 0)
    t.true(leg.limitedByPeerMs + leg.limitedByBufferMs <= leg.busyMs)
  }
})

test.serial('a session tells which side has closed', async (t) => {
  for (const first of ['client', 'server'] as const) {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all', accessList })
    const { near, far } = await connection()
    const [one, other] = first === 'client' ? [near, far] : [far, near]
    one.ends()
    await other.sees('end')
    const { legs, state } = await detail(relay, 'a closed side', (it) => it.state !== 'open')
    t.is(state, `${first}-closed`)
    t.is(legs?.[first].state, 'CLOSE_WAIT')
    other.says('one more')
    await one.hears('one more')
    other.ends()
    await waitFor('no session', async () => (await relay.sessions()).length === 0)
  }
})

test.serial('the idle time of a session grows until a byte moves', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const { near, far } = await connection()
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as [End, End][]) {
    const first = await detail(relay, 'the session', () => true)
    const idle = await detail(relay, 'more idle time', (one) => one.idleMs > first.idleMs)
    from.says('.')
    await to.hears('.')
    // A look may be late, and the idle time long again. The age at the last byte tells that it began anew.
    const awake = await detail(
      relay,
      'a byte after the idle time',
      (one) => one.ageMs - one.idleMs > idle.ageMs,
    )
    t.true(awake.ageMs > idle.ageMs)
  }
})

test.serial('the side that does not read is named as the slow one', async (t) => {
  for (const side of ['client', 'server'] as const) {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all', accessList })
    const { near, far } = await connection()
    const [reader, writer] = side === 'client' ? [near, far] : [far, near]
    reader.pauses()
    writer.floods()
    const waiting = side === 'client' ? 'waitingDown' : 'waitingUp'
    const stuck = await detail(
      relay,
      `a slow ${side} with bytes inside the relay`,
      (one) => one.slow === side && one[waiting] > 0,
    )
    t.true((stuck.legs?.[side].unsent ?? 0) > 0)
    await detail(
      relay,
      'a full window',
      ({ legs }) => legs !== undefined && legs[side].busyMs > 0 && legs[side].limitedByPeerMs > 0,
    )

    reader.resumes()
    await detail(relay, 'the bytes to go on', (one) => one.bytesUp + one.bytesDown > 20e6)
    writer.resets()
  }
})

test.serial('a session that has ended, and one that never was, have no detail', async (t) => {
  await using faith = await router.create()
  const relay = await faith.relay({ ports: 'all', accessList })
  t.is(await relay.session(1), undefined)
  const { near, far } = await connection()
  const { id } = await detail(relay, 'a session', () => true)
  near.ends()
  far.ends()
  await waitFor('its end', async () => (await relay.session(id)) === undefined)
  for (const wrong of ['1', -1, 0.5, null]) {
    await t.throwsAsync(relay.session(wrong as number), {
      code: 'ERR_FAITH_ARGUMENT',
      message: /^relay\.session: `id` must be/,
    })
  }
  await relay.close()
  t.is(await relay.session(id), undefined)
  t.deepEqual(await relay.clients(), [])
})

test.serial('clients() sums up the sessions of each network', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  t.deepEqual(await relay.clients(), [])
  for (const text of ['hello', 'hi']) {
    const { near, far } = await connection()
    near.says(text)
    await far.hears(text)
    far.says('good day')
    await near.hears('good day')
  }
  const counted = await waitFor('all bytes to be counted', async () => {
    const clients = await relay.clients()
    return clients[0]?.bytesDown === 16 ? clients : undefined
  })
  t.is(counted.length, 1)
  const [{ oldestMs = -1, idleMs = -1, ...sums } = {}] = counted
  t.like(sums, {
    network: `${addresses.client.replace(/::.*$/, '::')}/64`,
    sessions: 2,
    bytesUp: 7,
  })
  t.true(idleMs >= 0 && idleMs < oldestMs)

  const networks = async (prefixLength: number) =>
    (await relay.clients({ prefixLength })).map(({ network }) => network)
  t.deepEqual(await networks(128), [`${addresses.client}/128`])
  t.deepEqual(await networks(0), ['::/0'])
  for (const wrong of [-1, 129, 0.5, '64']) {
    await t.throwsAsync(relay.clients({ prefixLength: wrong as number }), {
      code: 'ERR_FAITH_ARGUMENT',
    })
  }
  await relay.update({ clientPrefixLength: 48 })
  t.regex((await relay.clients())[0]?.network ?? '', /\/48$/)
})

test.serial(
  'statistics count how long servers took to answer, without those that refused',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all', accessList })
    await connection()
    t.is(await client.dial(captured(), 7499).outcome(), 'ECONNREFUSED')
    const { buckets, count, sumMs } = (await relay.stats()).connectDurations
    t.is(count, 1)
    t.true(sumMs > 0)
    t.is(buckets.length, 13)
    t.like(buckets.at(-1), { upToMs: 10_000, count: 1 })
    for (const bucket of buckets) t.is(bucket.count, sumMs <= bucket.upToMs ? 1 : 0)
    t.is((await faith.stats()).mtu, 65_535)
  },
)
