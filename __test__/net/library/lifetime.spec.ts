/**
 * Interfaces, listeners and relays live until they are closed, even if the program keeps no reference, or until the end
 * of the block that has them by `using`. Open listeners and relays keep their process running.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import type { Answer } from '../../programs/attach-verbs.js'
import { Program, type Faith, type Listener, type Relay } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const server = captured()
const echo = { host: addresses.server, port: 7, allowAny: true }
const accessList = '::/0 permit 198.51.100.0/24\n'
const none = { key: '', cert: '' }
test.before(() => lab.server.echo(echo))

/** True if a client on that port gets its words back. */
async function echoes(port: number): Promise<boolean> {
  await using dialled = await client.dial(server, port)
  await dialled.write('there?\n')
  return (await dialled.line()) === 'there?'
}

/** The attached server that answers on port 80. */
async function answering(): Promise<string> {
  await using dialled = await client.dial(server, 80)
  return (JSON.parse((await dialled.line()) ?? '') as Answer).server
}

const kinds = {
  async listener(faith: Faith, program: Program, port: number): Promise<Listener> {
    const listener = await faith.listen({ port })
    await program.ask('echoEach', listener.id)
    return listener
  },
  // Uses a route, so that only a running program can serve its clients.
  relay: (faith: Faith, _: Program, port: number): Promise<Relay> =>
    faith.route({ port }, { verdicts: { [port]: echo } }),
}

for (const [what, open] of Object.entries(kinds)) {
  test.serial(`an open ${what} keeps its process running, unless it is unref’d`, async (t) => {
    await using program = await Program.start(lab.router)
    await program.keepfaith(true)
    const faith = await program.create()
    const first = await open(faith, program, 80)
    await program.ask('rest')
    t.true(await echoes(80))
    t.true(await echoes(80), 'from the start')

    const second = await open(faith, program, 81)
    await second.unref()
    await second.ref()
    await first.close()
    t.true(await echoes(81))
    t.true(await echoes(81), 'the program serves after ref()')

    await second.unref()
    t.deepEqual(
      await program.ended(),
      { code: 0, signal: null },
      'an object does not keep the process after unref()',
    )
  })
}

for (const [how, thrown] of [
  ['ends', null],
  ['throws', 'as told'],
] as const) {
  test.serial(`an object opened by \`using\` is closed when its block ${how}`, async (t) => {
    await using faith = await router.create()
    for (const open of ['listen', 'relay'] as const) {
      const opened = await faith[open]({ port: 80 })
      t.is(await router.ask('leaveBlock', opened.id, how), thrown)
      t.deepEqual(await opened.happened(), ['close'], open)
    }

    // The port is free again.
    await using listener = await faith.listen({ port: 80 })
    const [one, next] = [
      await router.makeServer('net', none),
      await router.makeServer('injected', none),
    ]
    await listener.attach(one)
    t.is(await answering(), 'net')
    t.is(await router.ask('leaveAttached', listener.id, how), thrown)
    t.deepEqual(await listener.happened(), [], 'the listener is still open')
    await listener.attach(next)
    t.is(await answering(), 'injected')
  })
}

/** A relay with sessions, and their clients. */
async function relaying(faith: Faith) {
  const relay = await faith.relay({ ports: 'all', accessList })
  const callers = await Promise.all(Array.from({ length: 20 }, () => client.dial(server, 7)))
  await waitFor('sessions', async () => (await relay.sessions()).length === callers.length)
  const end = async (): Promise<void> => {
    for (const caller of callers) await caller.end()
  }
  return { relay, callers, end }
}

for (const [drainMs, reason] of [
  [0, 'aborted'],
  [60_000, 'closed'],
] as const) {
  test.serial(
    `a relay that is closed twice ends once, after sessions that are ${reason}`,
    async (t) => {
      await using faith = await router.create()
      const { relay, callers, end } = await relaying(faith)
      const closing = router.ask('closeAgain', relay.id, { drainMs })
      // Waits for this answer, so that the relay has begun to close.
      await relay.stats()
      if (drainMs > 0) await end()
      t.deepEqual(await closing, [...callers.map(() => reason), 'close'])
    },
  )
}

test.serial('a relay of a busy program reports its last sessions, and then closes', async (t) => {
  await using faith = await router.create()
  const { relay, callers, end } = await relaying(faith)
  const begun = join(lab.directory, 'begun')
  const closing = router.ask('blockClosing', relay.id, faith.id, begun)
  await waitFor('the program to be busy', () => existsSync(begun))
  await end()
  t.deepEqual(await closing, [...callers.map(() => 'closed'), 'close'])
})

test.serial('unreferenced objects work on, and are collected after their end', async (t) => {
  await router.ask('openUnkept', accessList)
  await router.ask('collect', true)
  await waitFor('the closed objects to be collected', async () => {
    return !(await router.ask('uncollected')).includes('unreferenced')
  })

  for (const _ of [1, 2, 3]) {
    for (const [port, from] of [
      [80, 'handler'],
      [81, 'loop'],
      [82, 'route'],
    ] as const) {
      t.like(await client.greeting(server, port), { from })
    }
    t.true(await echoes(7))
    await t.throwsAsync(client.dial(server, 83), { code: 'ECONNREFUSED' })
  }
  await router.keepfaith(false)
  await router.keepfaith(true)

  const noted = async (what: string, times: number): Promise<void> => {
    await waitFor(`"${what}"`, async () => ((await router.ask('noted'))[what] ?? 0) >= times)
  }
  await router.ask('abortUnkept')
  await noted('iterated listener: close', 1)
  await t.throwsAsync(client.dial(server, 81), { code: 'ECONNREFUSED' })

  await noted('relay: client-reset', 3)
  await noted('relay: refused', 3)
  const last = await client.dial(server, 7)
  await last.write('still there?\n')
  t.is(await last.line(), 'still there?')
  for (const [device, name] of [
    ['faith0', 'interface'],
    ['faith1', 'bare interface'],
  ] as const) {
    t.like(await lab.router.run('ip', ['link', 'del', device]), { code: 0 })
    await noted(`${name}: close`, 1)
  }
  t.deepEqual(await router.ask('noted'), {
    'route: 7': 4,
    'route: 82': 3,
    'route: 83': 3,
    'relay: client-reset': 3,
    'relay: refused': 3,
    'relay: aborted': 1,
    'relay: close': 1,
    'listener: close': 1,
    'iterated listener: close': 1,
    'loop: done': 1,
    'interface: keepfaith false': 1,
    'interface: keepfaith true': 1,
    'interface: ERR_FAITH_CLOSED': 1,
    'interface: close': 1,
    'bare interface: keepfaith false': 1,
    'bare interface: keepfaith true': 1,
    'bare interface: ERR_FAITH_CLOSED': 1,
    'bare interface: close': 1,
  })
  await waitFor(
    'all objects to be collected',
    async () => (await router.ask('uncollected')).length === 0,
  )
  await router.ask('collect', false)
})
