/** Listing the current sessions of a relay, and aborting them. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import type { Relay } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router } = await stage()

const client = Sockets.of(lab.client)
const server = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'

let ports = 7400

/** A server, and the two ends of a connection to it. */
async function connection() {
  ports += 1
  const listening = await server.listen(ports)
  const near = await client.connect(captured(), ports)
  return { port: ports, near, far: await listening.accept() }
}

/** Waits for the session to a port with at least that many bytes counted. */
async function sessionTo(relay: Relay, port: number, bytesDown = 0) {
  return await waitFor(`a session to ${port}`, async () => {
    const sessions = await relay.sessions()
    return sessions.find((one) => one.destination.port === port && one.bytesDown === bytesDown)
  })
}

/** Waits for the record of the first session that ends. */
async function sessionEnd(relay: Relay) {
  return await waitFor('the end of a session', async () => (await relay.told()).session[0])
}

test.serial('a session shows its client and server, its age and its bytes', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  t.deepEqual(await relay.sessions(), [])
  const { port, near, far } = await connection()
  near.says('hello')
  await far.hears('hello')
  far.says('good day')
  await near.hears('good day')

  const { startedAt, ageMs, idleMs, ...session } = await sessionTo(relay, port, 8)
  t.deepEqual(session, {
    id: 1,
    protocol: 'tcp',
    client: { address: addresses.client, port: await near.port() },
    destination: { address: '64:ff9b::c633:6402', port },
    server: { address: addresses.server, port },
    bytesUp: 5,
    bytesDown: 8,
    state: 'open',
  })
  t.true(idleMs >= 0 && idleMs <= ageMs)
  const later = await sessionTo(relay, port, 8)
  t.true(later.ageMs >= ageMs && ageMs >= 0)
  t.true(Math.abs(Date.parse(String(startedAt)) + ageMs - Date.now()) < 60_000)

  near.ends()
  far.ends()
  // The event of a session comes a moment after it left the list.
  await waitFor('no session', async () => (await relay.sessions()).length === 0)
  const ended = await sessionEnd(relay)
  t.like(ended, { id: 1, bytesUp: 5, bytesDown: 8, reason: 'closed' })
})

test.serial('abort() ends the session of its id, and no other', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const [one, other] = [await connection(), await connection()]
  const { id } = await sessionTo(relay, one.port)
  t.true(await relay.abortSession(id))
  await one.near.sees('ECONNRESET')
  await one.far.sees('ECONNRESET')
  const ended = await sessionEnd(relay)
  t.like(ended, { id, reason: 'aborted' })
  t.false(await relay.abortSession(id), 'the session has ended')

  other.near.says('still here')
  await other.far.hears('still here')
  t.is((await relay.sessions()).length, 1)
})

test.serial('abort() of an unknown id ends nothing', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  t.false(await relay.abortSession(0))
  t.false(await relay.abortSession(1000))
  for (const wrong of ['1', -1, 0.5, null]) {
    const ending = relay.abortSession(wrong as number)
    await t.throwsAsync(ending, {
      code: 'ERR_FAITH_ARGUMENT',
      message: /^relay\.abort: `id` must be/,
    })
  }
})

test.serial('very many sessions are all listed, in order', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  ports += 1
  await server.listen(ports)
  const count = 600
  for (let begun = 0; begun < count; begun += 100) {
    const dialled = Array.from({ length: 100 }, () => client.connect(captured(), ports))
    await Promise.all(dialled)
  }
  const sessions = await waitFor('all sessions', async () => {
    const found = await relay.sessions()
    return found.length === count ? found : undefined
  })
  const ids = sessions.map(({ id }) => id)
  t.deepEqual(
    ids,
    ids.toSorted((one, other) => one - other),
  )
  t.is(new Set(ids).size, count)
})

test.serial('a closed relay has no sessions', async (t) => {
  await using faith = await router.create()
  const relay = await faith.relay({ ports: 'all', accessList })
  const { near, port } = await connection()
  const { id } = await sessionTo(relay, port)
  await relay.close()
  await near.sees('ECONNRESET')
  t.deepEqual(await relay.sessions(), [])
  t.false(await relay.abortSession(id))
})
