/** A faith interface leaves nothing on the host when it or its process ends, in any way. */
import { readdirSync } from 'node:fs'
import test from 'ava'
import { captured, waitFor } from '../../../lab/index.js'
import {
  configuration,
  gone,
  inhabited,
  privateNamespaces,
  settled,
} from '../../fixtures/remains.js'
import { threadNames } from '../../fixtures/threads.js'
import { Program, type Faith } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, client } = await stage()
test.before(() => settled(lab.router))

const server = captured()

/** Names of the process's threads, without their number, which varies for pools. */
const threads = (pid: number) => new Set(threadNames(pid).values())

interface Busy {
  program: Program
  faith: Faith
  networks: string[]
}

/** A process with interfaces of both kinds of steering, all kinds of listeners, and connections taken and waiting. */
async function busy(): Promise<Busy> {
  const program = await Program.start(lab.router)
  await program.keepfaith(true)
  const faith = await program.create({ name: 'busy0' })
  const listener = await faith.listen({ ports: '1-1023' })
  await faith.listen({ port: 8080 }, 'greets')
  const other = await program.create({
    name: 'busy1',
    prefixes: ['64:ff9b:1::/48', '2001:db8:100::/40'],
    steering: 'on-demand',
  })
  await other.listen({ ports: 'all' }, 'on demand')

  const dialled = await client.dial(server, 80)
  const accepted = await listener.accept()
  await dialled.write('hello\n')
  await accepted.line()
  await client.dial(server, 81)
  await client.greeting(server, 8080)
  await client.greeting('64:ff9b:1:c000:2:2100::', 25)
  return { program, faith, networks: privateNamespaces(program.process.pid) }
}

test.serial('an interface has a private namespace, and shows on the host', async (t) => {
  const before = await configuration(lab.router)
  const { program, networks } = await busy()
  t.is(networks.length, 2)
  t.true(inhabited(networks))
  const during = await configuration(lab.router)
  for (const mark of [
    /\bbusy0\b/,
    /\bbusy1\b/,
    /64:ff9b::\/96 dev busy0/,
    /64:ff9b:1::\/48 dev busy1/,
  ]) {
    t.regex(during, mark)
    t.notRegex(before, mark)
  }
  await program[Symbol.asyncDispose]()
  await gone(lab.router, before, networks)
})

const endings: [how: string, end: (program: Program) => Promise<unknown> | void, exit: object][] = [
  ['calls process.exit', (program) => program.ask('die', 'exit'), { code: 3, signal: null }],
  [
    'dies of an uncaught error',
    (program) => program.ask('die', 'throw'),
    { code: 1, signal: null },
  ],
  ['gets SIGTERM', ({ process }) => process.kill('SIGTERM'), { code: null, signal: 'SIGTERM' }],
  ['gets SIGINT', ({ process }) => process.kill('SIGINT'), { code: null, signal: 'SIGINT' }],
  ['gets SIGKILL', ({ process }) => process.kill('SIGKILL'), { code: null, signal: 'SIGKILL' }],
]

for (const [how, end, exit] of endings) {
  test.serial(`a process that ${how} leaves nothing`, async (t) => {
    const before = await configuration(lab.router)
    const { program, networks } = await busy()
    await end(program)
    t.deepEqual(await program.ended(), exit as never)
    await t.notThrowsAsync(gone(lab.router, before, networks))
  })
}

for (const shortcut of [true, false]) {
  const without = shortcut ? '' : ', without a shortcut'
  test.serial(`a killed process leaves no open sockets${without}`, async (t) => {
    const before = await configuration(lab.router)
    const program = await Program.start(lab.router)
    await program.keepfaith(true)
    const faith = await program.create({ name: 'killed0', shortcut })
    const listener = await faith.listen({ port: 80 })
    const dialled = await client.dial(server, 80)
    const accepted = await listener.accept()
    await accepted.write('some words\n')
    t.is(await dialled.line(), 'some words')
    const networks = privateNamespaces(program.process.pid)
    program.process.kill('SIGKILL')
    await program.ended()
    await t.notThrowsAsync(gone(lab.router, before, networks))
  })
}

test.serial('a process that runs out of work leaves nothing', async (t) => {
  const before = await configuration(lab.router)
  const program = await Program.start(lab.router)
  await program.create({ name: 'idle0' })
  const networks = privateNamespaces(program.process.pid)
  t.is(networks.length, 1)
  program.process.stdin.end()
  t.deepEqual(await program.ended(), { code: 0, signal: null })
  await t.notThrowsAsync(gone(lab.router, before, networks))
})

test.serial('a process that is killed while it creates an interface leaves nothing', async (t) => {
  const before = await configuration(lab.router)
  for (const round of [1, 2, 3, 4, 5]) {
    await using program = await Program.start(lab.router)
    const created = program.create({ name: `early${round}` })
    created.catch(() => undefined)
    await waitFor(
      'the device',
      async () => (await configuration(lab.router)).includes(`early${round}`),
      {
        interval: 0,
      },
    )
    const networks = privateNamespaces(program.process.pid)
    program.process.kill('SIGKILL')
    await program.ended()
    await t.notThrowsAsync(gone(lab.router, before, networks))
  }
})

test.serial('close leaves the process as it was before', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  const { pid } = program.process
  const descriptors = () => readdirSync(`/proc/${pid}/fd`).length
  const use = async () => {
    const faith = await program.create()
    await faith.listen({ ports: 'all' }, 'here')
    const listening = descriptors()
    await client.greetings(server, [1, 2, 3, 4])
    // Waits first: without the interface the client's FINs would no longer arrive.
    await waitFor('the connections to end', () => descriptors() <= listening)
    await faith.close()
  }
  // The first use makes everything that a process makes once and keeps.
  await use()
  const before = {
    configuration: await configuration(lab.router),
    descriptors: descriptors(),
    threads: threads(pid),
  }
  for (let round = 0; round < 20; round += 1) await use()
  t.is(await configuration(lab.router), before.configuration)
  t.deepEqual(privateNamespaces(pid), [])
  await waitFor('the descriptors of sockets to go', () => descriptors() <= before.descriptors)
  t.deepEqual(
    [...threads(pid)].filter((name) => !before.threads.has(name)),
    [],
  )
  t.false([...threads(pid)].some((name) => name.startsWith('faith0')))
})

test.serial('close resolves after the device, the routes and the namespace are gone', async (t) => {
  const before = await configuration(lab.router)
  await using program = await Program.start(lab.router)
  const faith = await program.create({ prefixes: ['64:ff9b::/96', '64:ff9b:1::/48'] })
  t.not(await configuration(lab.router), before)
  await faith.close()
  t.is(await configuration(lab.router), before)
  t.deepEqual(privateNamespaces(program.process.pid), [])
  t.deepEqual(await faith.happened(), ['close'])
})

test.serial('close can be called again, even at once', async (t) => {
  await using program = await Program.start(lab.router)
  const faith = await program.create()
  await Promise.all([faith.close(), faith.close()])
  await faith.close()
  t.deepEqual(await faith.happened(), ['close'])
})

test.serial('`await using` closes the interface, however its block is left', async (t) => {
  const before = await configuration(lab.router)
  await using program = await Program.start(lab.router)
  for (const [how, thrown] of [
    ['ends', null],
    ['throws', 'as told'],
  ] as const) {
    const faith = await program.create()
    t.is(await program.ask('leaveBlock', faith.id, how), thrown)
    t.deepEqual(await faith.happened(), ['close'])
    t.is(await configuration(lab.router), before)
  }
})

test.serial('an interface closes while clients still dial', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  for (const steering of ['auto', 'on-demand'] as const) {
    const faith = await program.create({ steering })
    await faith.listen({ ports: 'all' }, 'here')
    const ports = Array.from({ length: 64 }, (_, index) => 100 + index)
    await client.greetings(server, ports)
    const begun = await Promise.all(ports.map((port) => client.begin(server, port)))
    await faith.close()
    t.true(program.process.running)
    await Promise.all(begun.map((each) => each.close()))
  }
  await using again = await program.create()
  await again.listen({ port: 80 }, 'again')
  t.like(await client.greeting(server, 80), { from: 'again' })
})
