/** A route can give a connection to the program as a socket; the relay then has no session for it. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const near = Sockets.of(lab.client)
const echo = { host: addresses.server, port: 7, allowAny: true }
const mine = 7901
const accessList = '::/0 deny 0.0.0.0/0\n'
const verdicts = { [mine]: { socket: true } } as const
test.before(() => lab.server.echo(echo))

const undecided = (port: number): Promise<boolean> =>
  waitFor('the route to be asked', async () => (await router.ask('undecided', port)) > 0)

for (const [how, options] of [
  ['a held SYN', {}],
  ['a connection that was accepted first', { connectFirst: false }],
] as const) {
  test.serial(`${how} becomes a socket with its destination`, async (t) => {
    await using faith = await router.create()
    await using relay = await faith.route({ ports: 'all', accessList, ...options }, { verdicts })
    await relay.take()
    const caller = await client.dial(captured(), mine)
    const accepted = await relay.accept()
    const { local } = await caller.look()
    t.deepEqual(accepted.facts, {
      isNodeSocket: true,
      local: `[64:ff9b::c633:6402]:${mine}`,
      remote: `[${addresses.client}]:${local.port}`,
      destination: {
        address: '64:ff9b::c633:6402',
        port: mine,
        ipv4: addresses.server,
        ipv4Port: mine,
        prefix: '64:ff9b::/96',
        interface: 'faith0',
      },
    })
    const bytes = 16 * 2 ** 20
    const [up, upArrived, down, downArrived] = await Promise.all([
      caller.send('up', bytes),
      accepted.receive(bytes),
      accepted.send('down', bytes),
      caller.receive(bytes),
    ])
    t.deepEqual([upArrived.sha256, downArrived.sha256], [up, down])
    await caller.end()
    t.like(await accepted.receive(), { bytes: 0 })
    await accepted.write('there is more\n')
    t.is(await caller.line(), 'there is more')
    await accepted.end()
    t.like(await caller.receive(), { bytes: 0 }, 'an end, not a reset')
    await closes(accepted)

    const stats = await relay.stats()
    t.like(stats, { attempts: 0, accepted: 1, handedOver: 1 })
    t.like(stats, { sessions: { active: 0, begun: 0, bytesUp: 0 }, refused: { byCause: {} } })
    t.deepEqual(await relay.told(), { session: [], refused: [], exhausted: [] })
    t.is((await faith.stats()).synsHeld, 'connectFirst' in options ? 0 : 1)
  })

  test.serial(`${how} becomes no socket if its client is gone`, async (t) => {
    await using faith = await router.create()
    const route = { verdicts, waits: [mine] }
    await using relay = await faith.route({ ports: 'all', accessList, ...options }, route)
    await relay.take()
    const caller = await client.begin(captured(), mine)
    await undecided(mine)
    // Waits until the client knows its connection: before, it would close with a FIN.
    if ('connectFirst' in options) await caller.connected()
    await client.ask('drop', caller.id)
    await client.ask('closed', caller.id)
    if ('connectFirst' in options) {
      // A client whose SYN is held has received nothing, so it sends no RST.
      await waitFor('the client’s RST', async () => (await faith.stats()).captured.packets >= 3)
    }
    await router.ask('decide', mine)
    const { refused, session } = await waitFor('its end to be reported', async () => {
      const told = await relay.told()
      return told.refused.length > 0 ? told : undefined
    })
    t.like(refused, [{ reason: 'client-reset', destination: { port: mine } }])
    t.deepEqual(session, [])
    t.like(await relay.stats(), { attempts: 0, handedOver: 0 })
  })
}

test.serial('beyond the limit of held SYNs the socket still comes', async (t) => {
  await using faith = await router.create()
  const route = { verdicts, waits: [mine + 1] }
  const options = { ports: 'all', accessList, maxHeld: 1 } as const
  await using relay = await faith.route(options, route)
  await relay.take()
  await client.begin(captured(), mine + 1)
  await undecided(mine + 1)
  const caller = await client.dial(captured(), mine)
  const accepted = await relay.accept()
  await caller.write('hello\n')
  t.is(await accepted.line(), 'hello')
  t.like(await faith.stats(), { synsHeld: 1, synsBeyondHold: 1 })
})

test.serial(
  'without a handler the client is refused, and the relay reports an error',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.route({ ports: 'all' }, { verdicts })
    await t.throwsAsync(client.dial(captured(), mine), { code: 'ECONNREFUSED' })
    await waitFor('the report', async () => (await relay.happened()).length > 0)
    t.deepEqual(await relay.happened(), ['error ERR_FAITH_ROUTE'])
    t.like(await relay.stats(), { handedOver: 0, accepted: 0 })
    const ended = await waitFor(
      'its end to be reported',
      async () => (await relay.told()).refused[0],
    )
    t.is(ended.reason, 'error')
    await relay.take()
    await client.dial(captured(), mine)
    await relay.accept()
  },
)

test.serial(
  'after the handler was removed the client is reset, and the relay reports an error',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.route({ ports: 'all' }, { verdicts, waits: [mine] })
    await relay.take()
    const caller = near.dial(captured(), mine)
    await undecided(mine)
    await router.ask('decide', mine, relay.id)
    await caller.sees('ECONNRESET')
    await waitFor('the report', async () => (await relay.happened()).length > 0)
    t.deepEqual(await relay.happened(), ['error ERR_FAITH_ROUTE'])
  },
)

test.serial('sockets, servers and rejections of one route work side by side', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.route(
    { ports: 'all', accessList },
    { verdicts: { ...verdicts, 7902: echo, 7903: { reject: 'refused' } } },
  )
  await relay.take()
  const each = Array.from({ length: 50 }, (_, index) => index)
  const [taken, echoed, refused] = await Promise.all([
    Promise.all(
      each.map(async (index) => {
        const caller = await client.dial(captured(), mine)
        await caller.write(`${index}\n`)
        const accepted = await relay.accept()
        return await accepted.line()
      }),
    ),
    client.ask('echoes', captured(), 7902, each.length),
    near.dialAll(
      captured(),
      each.map(() => 7903),
    ),
  ])
  t.deepEqual(
    taken.toSorted((one, other) => Number(one) - Number(other)),
    each.map(String),
  )
  t.is(echoed, each.length)
  t.deepEqual(refused, { ECONNREFUSED: each.length })
  const stats = await waitFor('the sessions to end', async () => {
    const counted = await relay.stats()
    return counted.sessions.active === 0 ? counted : undefined
  })
  t.like(stats, { handedOver: 50, sessions: { ended: { closed: 50 } } })
  t.like(stats, { refused: { byReason: { refused: 50 } } })
  const { session } = await relay.told()
  t.false(session.some(({ destination }) => destination.port === mine))
})

test.serial('such a socket is no session: limits neither refuse nor count it', async (t) => {
  await using faith = await router.create()
  const limits = { maxSessions: 1, maxSessionsPerClient: 1 }
  const route = { verdicts: { ...verdicts, 7902: echo } }
  await using relay = await faith.route({ ports: 'all', ...limits }, route)
  await relay.take()
  await client.dial(captured(), mine)
  await relay.accept()
  const session = await client.dial(captured(), 7902)
  // The echo shows that the relay has the session.
  await session.write('there?\n')
  t.is(await session.line(), 'there?')
  await client.dial(captured(), mine)
  await relay.accept()
  t.like(await relay.stats(), { sessions: { active: 1 }, handedOver: 2 })
  await t.throwsAsync(client.dial(captured(), 7902), { code: 'ECONNREFUSED' })
})

test.serial('such a socket can be given back with spliceTo', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.route({ ports: 'all', accessList }, { verdicts })
  await relay.take()
  const caller = await client.dial(captured(), mine)
  const accepted = await relay.accept()
  await caller.write('are you there?\n')
  t.is(await accepted.peek(), 'are you there?\n')
  const ended = accepted.spliceTo(echo)
  t.is(await caller.line(), 'are you there?')
  await caller.end()
  t.like(await ended, { bytesUp: 15, bytesDown: 15, reason: 'closed' })
  t.like((await faith.stats()).splices.ended, { closed: 1 })
})

test.serial('such a socket outlives its relay, whose close does not wait for it', async (t) => {
  await using faith = await router.create()
  const relay = await faith.route({ ports: 'all', accessList }, { verdicts })
  await relay.take()
  const caller = await client.dial(captured(), mine)
  const accepted = await relay.accept()
  await relay.close()
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
  await accepted.write('so am I\n')
  t.is(await caller.line(), 'so am I')
})

test.serial('such a socket is published on the channel of connections', async (t) => {
  await router.ask('subscribe', 'faithd:connection')
  await using faith = await router.create()
  await using relay = await faith.route({ ports: 'all', accessList }, { verdicts })
  await relay.take()
  await client.dial(captured(), mine)
  const { facts } = await relay.accept()
  const message = { interface: 'faith0', socket: facts.destination }
  t.deepEqual(await router.ask('published'), [['faithd:connection', message]])
})
