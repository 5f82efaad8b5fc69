/** The ways a program gets connections from a listener. */
import { readdirSync } from 'node:fs'
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import type { Connection } from '../../programs/program.js'
import { inPrivateNamespace } from '../../fixtures/private-namespace.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()

const descriptors = (): number => readdirSync(`/proc/${router.process.pid}/fd`).length

/** The stack's listening sockets: number of waiting connections, and the maximum. */
async function acceptQueues(): Promise<{ waiting: number; backlog: number }[]> {
  const stdout = await inPrivateNamespace(lab.router, router.process.pid, 'ss -Hltn')
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [, waiting, backlog] = line.split(/\s+/)
      return { waiting: Number(waiting), backlog: Number(backlog) }
    })
}

async function waitingInKernel(): Promise<number> {
  return (await acceptQueues()).reduce((sum, { waiting }) => sum + waiting, 0)
}

test.serial('each connection is an event', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ ports: [80, 81] })
  for (const port of [80, 81, 80]) {
    await using dialled = await client.dial(server, port)
    const { local } = await dialled.look()
    const { facts } = await listener.accept()
    t.is(facts.destination.port, port)
    t.is(facts.remote, `[${addresses.client}]:${local.port}`)
  }
})

test.serial('connections wait until the event has a handler', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ ports: 'all' })
  const dialled = await Promise.all([1, 2, 3].map((port) => client.dial(server, port)))
  await dialled[0]?.write('early\n')
  const taken = [await listener.accept(), await listener.accept(), await listener.accept()]
  t.deepEqual(taken.map(({ facts }) => facts.destination.port).toSorted(), [1, 2, 3])
  const first = taken.find(({ facts }) => facts.destination.port === 1)
  t.is(await first?.line(), 'early')
})

test.serial(
  'connections that exceed the process’s queue wait in the kernel, and all arrive',
  async (t) => {
    await using faith = await router.create()
    await using listener = await faith.listen({ port: 80 })
    const count = 600
    const before = descriptors()
    const dialled = await Promise.all(Array.from({ length: count }, () => client.dial(server, 80)))
    await waitFor('most to wait in the kernel', async () => (await waitingInKernel()) > count / 2)
    t.true(descriptors() < before + count / 2, `${descriptors()}, and ${before} before`)
    const remotes = new Set<string>()
    for (let index = 0; index < count; index += 1)
      remotes.add((await listener.accept()).facts.remote)
    const locals = await Promise.all(dialled.map(async (each) => (await each.look()).local.port))
    t.deepEqual(
      locals.filter((port) => !remotes.has(`[${addresses.client}]:${port}`)),
      [],
    )
  },
)

test.serial('async iteration takes one connection after the other', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ ports: 'all' })
  const iteration = listener.iterate(2)
  await using first = await client.dial(server, 8001)
  await using second = await client.dial(server, 8002)
  const taken = await iteration
  t.deepEqual(taken.map(({ facts }) => facts.destination.port).toSorted(), [8001, 8002])
  t.truthy([first, second])
})

test.serial('leaving the loop leaves the listener open for another loop', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ ports: 'all' })
  await using first = await client.dial(server, 8001)
  t.is((await listener.iterate(1))[0]?.facts.destination.port, 8001)
  await using second = await client.dial(server, 8002)
  t.is((await listener.iterate(1))[0]?.facts.destination.port, 8002)
  t.truthy([first, second])
})

test.serial('closing the listener ends the loop', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  const iteration = listener.iterate(1)
  await listener.close()
  t.deepEqual(await iteration, [])
  t.deepEqual(await listener.iterate(1), [], 'a later loop ends at once')
})

test.serial('a closed listener refuses its port, and its calls fail as closed', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 }, 'here')
  t.like(await client.greeting(server, 80), { from: 'here' })
  await listener.close()
  await listener.close()
  t.deepEqual(await listener.happened(), ['close'])
  await t.throwsAsync(client.dial(server, 80), { code: 'ECONNREFUSED' })
})

/** True if port 80 is refused. A connection made before is closed, so a drain does not wait for it. */
async function refused(): Promise<boolean> {
  try {
    await using _ = await client.dial(server, 80)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
  }
}

test.serial('a draining listener refuses its port, and waits for its sockets', async (t) => {
  await using faith = await router.create()
  await using other = await faith.listen({ port: 81 }, 'other')
  const listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  await using accepted = await listener.accept()
  const closing = listener.close({ drainMs: 60_000 })
  await waitFor('the port to be refused', refused)
  t.deepEqual(await listener.happened(), [], 'the listener is not closed yet')
  const sent = await dialled.send('up', 1000)
  await dialled.end()
  t.is((await accepted.receive()).sha256, sent, 'the socket goes on')
  await accepted.end()
  await closing
  t.deepEqual(await listener.happened(), ['close'])
  t.deepEqual(await accepted.happened(), ['close'])
  t.like(await client.greeting(server, 81), { from: 'other' })
  t.truthy(other)
})

test.serial(
  'at the end of the drain, open sockets of the listener are reset, and no others',
  async (t) => {
    await using faith = await router.create()
    await using other = await faith.listen({ port: 81 })
    const listener = await faith.listen({ port: 80 })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()
    await using another = await client.dial(server, 81)
    await using kept = await other.accept()
    await listener.close({ drainMs: 100 })
    await waitFor('the socket to be closed', async () => (await accepted.happened()).length > 1)
    t.deepEqual(await accepted.happened(), ['error ERR_FAITH_CLOSED', 'close'])
    await waitFor('the client to be reset', async () => {
      return (await dialled.happened()).includes('error ECONNRESET')
    })
    const sent = await another.send('up', 1000)
    await another.end()
    t.is((await kept.receive()).sha256, sent, 'the socket of another listener goes on')
  },
)

test.serial('closing the interface ends the drain of its listeners', async (t) => {
  const faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  const accepted = await listener.accept()
  const draining = listener.close({ drainMs: 600_000 })
  await waitFor('the port to be refused', refused)
  await faith.close()
  await draining
  t.deepEqual(await accepted.happened(), ['error ERR_FAITH_CLOSED', 'close'])
  t.truthy(dialled)
})

test.serial('connections that were taken stay when their listener closes', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  await using dialled = await client.dial(server, 80)
  await using accepted = await listener.accept()
  await listener.close()
  await dialled.write('still there?\n')
  t.is(await accepted.line(), 'still there?')
  await accepted.write('yes\n')
  t.is(await dialled.line(), 'yes')
})

test.serial('connections that no handler has taken end with their listener', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ port: 80 })
  const dialled = await Promise.all(Array.from({ length: 100 }, () => client.dial(server, 80)))
  await listener.close()
  for (const each of dialled) {
    const ended = each.receive().then(
      ({ bytes }) => bytes,
      (error: NodeJS.ErrnoException) => error.code,
    )
    t.true([0, 'ECONNRESET'].includes((await ended) ?? ''))
  }
})

test.serial('a listener closes with its interface', async (t) => {
  await using faith = await router.create()
  const one = await faith.listen({ port: 80 })
  const two = await faith.listen({ port: 81 })
  await faith.close()
  t.deepEqual(await one.happened(), ['close'])
  t.deepEqual(await two.happened(), ['close'])
})

test.serial(
  'a paused listener takes nothing, and a resumed one everything that came',
  async (t) => {
    await using faith = await router.create()
    await using listener = await faith.listen({ port: 80 }, 'here')
    await listener.pause()
    const dialled = await Promise.all([1, 2, 3].map(() => client.dial(server, 80)))
    for (const each of dialled) t.like(await each.look(), { bytesRead: 0 })
    await listener.resume()
    for (const each of dialled) t.regex((await each.line()) ?? '', /"from":"here"/)
  },
)

for (const [which, options, length] of [
  ['is 4096 unless another is given', {}, 4096],
  // This is more than the kernel's own limit.
  ['may be longer', { backlog: 5000 }, 5000],
  ['may be shorter', { backlog: 3 }, 3],
] as const) {
  test.serial(`a backlog ${which}, for a listener and a relay`, async (t) => {
    await using faith = await router.create({ workers: 2 })
    for (const call of ['listen', 'relay'] as const) {
      await using opened = await faith[call]({ port: 80, ...options })
      const backlogs = (await acceptQueues()).map(({ backlog }) => backlog)
      t.deepEqual(backlogs, [length, length], `each worker of ${call}`)
      await opened.close()
    }
  })
}

test.serial('SYNs get no answer while the backlog of a paused listener is full', async (t) => {
  await using faith = await router.create({ workers: 1 })
  await using listener = await faith.listen({ port: 80, backlog: 2 }, 'here')
  await listener.pause()
  const begun: Connection[] = []
  const answered = async () => {
    const before = await faith.stats()
    const dialled = await client.begin(server, 80)
    begun.push(dialled)
    return await waitFor('an answer, or the same SYN once more', async () => {
      const { captured: taken, returned } = await faith.stats()
      if (!(await dialled.look()).connecting) return 'yes'
      if (returned.packets > before.returned.packets) return undefined
      return taken.packets >= before.captured.packets + 2 && 'no'
    })
  }
  while ((await answered()) === 'yes') t.true(begun.length < 10)
  t.true(begun.length > 2, 'some found room')

  await listener.resume()
  for (const each of begun) t.regex((await each.line()) ?? '', /"from":"here"/)
})
