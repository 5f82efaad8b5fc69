/** An open relay changes its settings, and hands its ports to another, while its sessions go on. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { Sockets, type End } from '../../fixtures/sockets.js'
import { stage } from '../../programs/stage.js'

const { lab, router } = await stage()
const client = Sockets.of(lab.client)
const servers = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'

let ports = 7700

/** A server's port of its own, and a way to have a session with it. */
async function place() {
  ports += 1
  const port = ports
  const listening = await servers.listen(port)
  const session = async (): Promise<{ near: End; far: End }> => {
    const near = await client.connect(captured(), port)
    const far = await listening.accept()
    await near.reaches(far)
    return { near, far }
  }
  return { port, listening, session, dial: () => client.dial(captured(), port).outcome() }
}

test.serial('of several closes the shortest drain counts, each from its own call on', async (t) => {
  await using faith = await router.create()
  const relay = await faith.relay({ ports: 'all', accessList })
  const { session, dial } = await place()
  const { near, far } = await session()
  const closing = relay.close({ drainMs: 3_600_000 })
  await waitFor('the relay to take no more', async () => (await dial()) === 'ECONNREFUSED')
  near.says('still here')
  await far.hears('.still here')
  await relay.close({ drainMs: 0 })
  await closing
  await near.sees('ECONNRESET')
  await far.sees('ECONNRESET')
  t.deepEqual(await relay.happened(), ['close'])
})

test.serial('a longer drain of a further close lengthens nothing', async (t) => {
  await using faith = await router.create()
  const relay = await faith.relay({ ports: 'all', accessList })
  const { session } = await place()
  const { near } = await session()
  await Promise.all([relay.close({ drainMs: 100 }), relay.close({ drainMs: 3_600_000 })])
  await near.sees('ECONNRESET')
  t.deepEqual(await relay.happened(), ['close'])
})

test.serial('limits are for new sessions, count those that go on, and end none', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList, maxSessionsPerClient: 1 })
  const { session, dial } = await place()
  const first = await session()
  t.is(await dial(), 'ECONNREFUSED')
  await relay.update({ maxSessionsPerClient: 2, maxSessions: 1000 })
  const second = await session()
  t.is(await dial(), 'ECONNREFUSED')
  await relay.update({ maxSessionsPerClient: 1 })
  for (const { near, far } of [first, second]) {
    near.says('still here')
    await far.hears('.still here')
  }
  t.like(await relay.stats(), { maxSessions: 1000, sessions: { begun: 2, active: 2 } })
})

test.serial(
  'the PROXY header, mapping and source are those of the moment a connection begins',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all', accessList })
    const { port, listening, session } = await place()
    const before = await session()
    await relay.update({
      proxyProtocol: 1,
      mappings: [`${captured('192.0.2.200')}=${addresses.server}`],
      localAddresses: [addresses.routerIPv4],
    })
    const near = await client.connect(captured('192.0.2.200'), port)
    const far = await listening.accept()
    t.is(await far.address(), addresses.routerIPv4)
    const header = `PROXY TCP6 ${addresses.client} `
    await waitFor('the header', async () => (await far.status()).text.startsWith(header))
    await relay.update({ proxyProtocol: 0 })
    const after = await session()
    for (const each of [before, after]) {
      each.near.says('no header')
      await each.far.hears('.no header')
    }
    near.resets()
  },
)

test.serial(
  'the idle timeout of sessions that go on stays, and new ones have the new one',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all', accessList })
    const { port, session } = await place()
    const lasting = await session()
    await relay.update({ idleTimeoutMs: 100 })
    await client.dial(captured(), port).sees('ECONNRESET')
    lasting.near.says('still here')
    await lasting.far.hears('.still here')
    t.like(await relay.stats(), { sessions: { active: 1 } })
  },
)

test.serial('events of sessions are told from when they are asked for', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList, sessionEvents: false })
  const { session } = await place()
  const end = async (): Promise<void> => (await session()).near.resets()
  await end()
  await waitFor('the first to end', async () => (await relay.stats()).sessions.active === 0)
  await relay.update({ sessionEvents: true })
  await end()
  await waitFor('the second to be told', async () => (await relay.told()).session.length > 0)
  await relay.close()
  t.is((await relay.told()).session.length, 1)
})

test.serial('an update that is refused changes nothing', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const { session } = await place()
  for (const [settings, code] of [
    [{ proxyProtocol: 1, localAddresses: ['192.0.2.77'] }, 'EADDRNOTAVAIL'],
    [{ proxyProtocol: 3 }, 'ERR_FAITH_ARGUMENT'],
    [{ proxyProtocol: 1, ports: 80 }, 'ERR_FAITH_ARGUMENT'],
    [{ proxyProtocol: 1, mappings: ['x'] }, 'ERR_FAITH_ARGUMENT'],
  ] as const) {
    await t.throwsAsync(relay.update(settings as object), { code }, JSON.stringify(settings))
  }
  const { near, far } = await session()
  near.says('no header')
  await far.hears('.no header')
})

test.serial('a stopped relay leaves its ports to another, and its sessions go on', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const { session, dial } = await place()
  const going = await session()
  await relay.stop()
  t.is(await dial(), 'ECONNREFUSED')
  await using successor = await faith.relay({ ports: 'all', accessList })
  await session()
  going.near.says('still here')
  await going.far.hears('.still here')
  t.like(await relay.stats(), { sessions: { begun: 1, active: 1 } })
  t.is((await successor.stats()).sessions.begun, 1)
})
