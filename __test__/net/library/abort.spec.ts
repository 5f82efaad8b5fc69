/** An AbortSignal closes the object that was opened with it. */
import test from 'ava'
import { captured, waitFor } from '../../../lab/index.js'
import type { Remote } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()

const abortError = { code: 'ABORT_ERR', message: 'The operation was aborted' }

/** Waits for the `close` event. */
async function isClosed(remote: Pick<Remote, 'happened'>): Promise<void> {
  await waitFor('close', async () => (await remote.happened()).includes('close'))
}

const happened = (id: number) => ({ happened: () => router.ask('happened', id) })

async function interfaces(): Promise<string> {
  const { stdout } = await lab.router.run('ip', ['-o', 'link', 'show', 'type', 'tun'])
  return stdout
}

test.serial('an aborted signal closes its interface, and everything on it', async (t) => {
  const faith = await router.ask('createUntil', 'after', {})
  const listener = await router.ask('listen', faith, { port: 80 })
  t.regex(await interfaces(), /faith0/)
  await router.ask('abort', faith)
  await isClosed(happened(faith))
  await isClosed(happened(listener))
  t.is(await interfaces(), '')
})

for (const when of ['before', 'meanwhile'] as const) {
  test.serial(`an interface whose signal is aborted ${when} does not exist`, async (t) => {
    await t.throwsAsync(router.ask('createUntil', when, {}), abortError)
    t.is(await interfaces(), '')
  })
}

for (const [what, open] of [
  ['listener', 'listenUntil'],
  ['relay', 'relayUntil'],
] as const) {
  test.serial(`an aborted signal closes its ${what}, and frees the port`, async (t) => {
    await using faith = await router.create()
    const opened = await router.ask(open, 'after', faith.id, { port: 80 })
    await t.throwsAsync(faith.listen({ port: 80 }), { code: 'EADDRINUSE' })
    await router.ask('abort', opened)
    await isClosed(happened(opened))
    await using listener = await faith.listen({ port: 80 }, 'next')
    t.like(await client.greeting(captured(), 80), { from: 'next' })
    t.deepEqual(await listener.happened(), [])
  })

  for (const when of ['before', 'meanwhile'] as const) {
    test.serial(`a ${what} whose signal is aborted ${when} does not exist`, async (t) => {
      await using faith = await router.create()
      await t.throwsAsync(router.ask(open, when, faith.id, { port: 80 }), abortError)
      await using _ = await faith.listen({ port: 80 }, 'next')
      t.like(await client.greeting(captured(), 80), { from: 'next' })
    })
  }
}

test.serial('an aborted signal makes its iteration fail, and the next goes on', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ ports: 'all' })
  const iteration = router.ask('iterateUntil', listener.id, 'after')
  await using first = await client.dial(captured(), 8001)
  t.is(await first.line(), 'taken')
  await router.ask('abortIteration', listener.id)
  t.deepEqual(await iteration, ['8001', 'ABORT_ERR'])

  await using second = await client.dial(captured(), 8002)
  t.is((await listener.iterate(1))[0]?.facts.destination.port, 8002)
  t.truthy(second)
})

test.serial('an iteration with an aborted signal takes nothing', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ ports: 'all' })
  await using dialled = await client.dial(captured(), 8001)
  t.deepEqual(await router.ask('iterateUntil', listener.id, 'before'), ['ABORT_ERR'])
  t.is((await listener.iterate(1))[0]?.facts.destination.port, 8001)
  t.truthy(dialled)
})

test.serial('an iteration with a signal ends normally when the listener closes', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ ports: 'all' })
  const iteration = router.ask('iterateUntil', listener.id, 'after')
  await listener.close()
  t.deepEqual(await iteration, ['done'])
})
