/** The messages that faithd sends to a service manager, which is a socket of the test's, by sd_notify(3). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { Faithd, permitted, startFaithd } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'
import { threadNames } from '../fixtures/threads.js'

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url))

/** The service manager: the messages that it got so far, each as its assignments. */
class Manager {
  readonly socket: string
  readonly #process: LabProcess

  private constructor(socket: string, process: LabProcess) {
    this.socket = socket
    this.#process = process
  }

  static async listen(lab: Lab, socket: string): Promise<Manager> {
    const process = lab.router.spawn('python3', [program('hear-notify.py'), socket])
    await process.line(/^ready$/)
    return new Manager(socket, process)
  }

  get messages(): string[][] {
    const lines = this.#process.lines.slice(1)
    return lines.map((line) => (JSON.parse(line) as string).split('\n'))
  }

  /** The messages without signs of life. */
  get told(): string[][] {
    return this.messages.filter(([first]) => first !== 'WATCHDOG=1')
  }

  get signs(): number {
    return this.messages.length - this.told.length
  }

  async hears(pattern: RegExp, count = 1): Promise<string[]> {
    const matching = () => this.told.filter((message) => pattern.test(message.join('\n')))
    return await waitFor(`${count} messages ${pattern}`, () => matching()[count - 1])
  }
}

/** Starts faithd as the service of a manager. */
async function start(
  lab: Lab,
  { socket }: { socket: string },
  { watchdogMs, args = [] }: { watchdogMs?: number; args?: string[] } = {},
): Promise<Faithd> {
  const watchdog = watchdogMs === undefined ? {} : { WATCHDOG_USEC: String(watchdogMs * 1000) }
  const place = { name: 'faith0', prefix: '64:ff9b::' }
  const settings = ['-k', '--log-format', 'json', '-i', place.name, '-P', `${place.prefix}/96`]
  const env = { NOTIFY_SOCKET: socket, ...watchdog }
  const all = [...settings, ...permitted, ...args]
  return new Faithd(await lab.router.faithd(all, { env }), place)
}

for (const [kind, nameOf] of [
  ['a path', ({ directory }: Lab) => join(directory, 'notify')],
  ['an abstract name', ({ directory }: Lab) => `@${directory}/notify`],
] as const) {
  test(`a manager that listens at ${kind} hears READY, RELOADING, READY and STOPPING, in this order`, async (t) => {
    await using lab = await createLab()
    const manager = await Manager.listen(lab, nameOf(lab))
    const faithd = await start(lab, manager, { args: ['--drain', '120'] })
    const [ready, pid, status] = await manager.hears(/^READY=1/)
    t.deepEqual([ready, pid], ['READY=1', `MAINPID=${faithd.pid}`])
    t.is(status, 'STATUS=faith0 captures 64:ff9b::/96; 0 sessions active, 0 attempts under way')
    const before = process.hrtime.bigint() / 1000n
    faithd.process.kill('SIGHUP')
    await manager.hears(/^READY=1/, 2)
    const after = process.hrtime.bigint() / 1000n
    t.deepEqual(await faithd.stop(), { code: 0, signal: null })
    await manager.hears(/^STOPPING=1/)
    const told = manager.told.filter(([first]) => !first?.startsWith('STATUS='))
    t.deepEqual(
      told.map(([first]) => first),
      ['READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1'],
    )
    const [, monotonic = ''] = told[1] ?? []
    const at = BigInt(monotonic.replace('MONOTONIC_USEC=', ''))
    t.true(before <= at && at <= after)
    t.deepEqual(told[3], ['STOPPING=1', 'STATUS=draining', 'EXTEND_TIMEOUT_USEC=135000000'])
    t.is(manager.signs, 0, 'the manager has no watchdog')
  })
}

test('READY comes when connections are captured, and the status follows the sessions', async (t) => {
  await using lab = await createLab()
  await lab.server.echo({ port: 7 })
  const manager = await Manager.listen(lab, join(lab.directory, 'notify'))
  const faithd = await start(lab, manager)
  await manager.hears(/^READY=1/)
  const near = await Sockets.of(lab.client).connect(faithd.address(), 7)
  near.says('hello')
  await near.hears('hello')
  await manager.hears(/^STATUS=faith0 captures 64:ff9b::\/96; 1 session active/)
  await faithd.stop()
  t.pass()
})

test('the manager’s variables are not in the environment of children', async (t) => {
  const { takeManager } = await import('../../cli/notify.js')
  const env = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '30000000', WATCHDOG_PID: `${process.pid}` }
  const environment: NodeJS.ProcessEnv = { ...env, PATH: '/bin' }
  t.deepEqual(takeManager(environment), { socket: '/run/x', watchdogMs: 30_000 })
  t.deepEqual(environment, { PATH: '/bin' })
  t.is(
    takeManager({ ...env, WATCHDOG_PID: '1' }).watchdogMs,
    undefined,
    'it watches another process',
  )
  t.is(takeManager({ ...env, WATCHDOG_USEC: 'soon' }).watchdogMs, undefined)
  t.deepEqual(takeManager({}), { socket: undefined, watchdogMs: undefined })
})

test('a manager that is gone is told of in one line, and faithd relays all the same', async (t) => {
  await using lab = await createLab()
  const faithd = await start(lab, { socket: '/nonexistent/notify' })
  faithd.process.kill('SIGHUP')
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
  const deaf = faithd.log.filter(({ msg }) => msg.includes('does not hear faithd'))
  t.deepEqual(
    deaf.map(({ level, msg }) => ({ level, msg })),
    [
      {
        level: 'warn',
        msg: 'the service manager does not hear faithd at /nonexistent/notify: No such file or directory (os error 2)',
      },
    ],
  )
})

/** The threads of faithd's workers, by their number. */
function workers(pid: number): number[] {
  const named = [...threadNames(pid)].filter(([, name]) => /^faith0\/\d+$/.test(name))
  return named.map(([id]) => Number(id))
}

/** Long enough that a busy machine does not make a worker late. */
const watchdogMs = 8000

test('signs of life come while all workers answer', async (t) => {
  await using lab = await createLab()
  const manager = await Manager.listen(lab, join(lab.directory, 'notify'))
  const faithd = await start(lab, manager, { watchdogMs })
  await waitFor('three signs of life', () => manager.signs >= 3)
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
})

for (const [what, script] of [
  ['is stopped', 'stop-thread.py'],
  ['is killed', 'end-thread.py'],
] as const) {
  test(`a worker that ${what} ends faithd within the watchdog’s time, with a line that names it`, async (t) => {
    await using lab = await createLab()
    const manager = await Manager.listen(lab, join(lab.directory, 'notify'))
    const faithd = await start(lab, manager, { watchdogMs })
    await waitFor('a sign of life', () => manager.signs > 0)
    const [worker = 0] = workers(faithd.pid)
    const name = readFileSync(`/proc/${faithd.pid}/task/${worker}/comm`, 'utf8').trim()
    const changing = lab.router.spawn('python3', [program(script), String(worker)])
    await changing.line(/^(stopped|ended)$/)
    const { signs } = manager
    const begun = performance.now()
    const fatal = await waitFor('its last line', () =>
      faithd.log.find((line) => line.level === 'fatal'),
    )
    const took = performance.now() - begun
    t.true(took < watchdogMs, `${took} ms`)
    // The kernel lets a process end when the tracer of its thread has ended.
    changing.stdin.end()
    t.deepEqual(await faithd.end(), { code: 69, signal: null })
    // One was on its way, or was due before the first look that found the worker silent.
    t.true(manager.signs - signs <= 1)
    t.is(faithd.log.at(-1), fatal)
    t.is(
      fatal.msg,
      `worker ${name} has not answered for 3 s; faithd ends, so that its service manager starts it again`,
    )
    await manager.hears(new RegExp(`^STATUS=worker ${name} has not answered for 3 s$`))
  })
}

test('a faithd whose JavaScript hangs gives no sign of life', async (t) => {
  await using lab = await createLab()
  const manager = await Manager.listen(lab, join(lab.directory, 'notify'))
  const faithd = await start(lab, manager, { watchdogMs })
  await waitFor('a sign of life', () => manager.signs > 0)
  const stopping = lab.router.spawn('python3', [program('stop-thread.py'), String(faithd.pid)])
  await stopping.line(/^stopped$/)
  const { signs } = manager
  // A second faithd with the same watchdog shows that the time has passed.
  const other = await Manager.listen(lab, join(lab.directory, 'other'))
  const env = { NOTIFY_SOCKET: other.socket, WATCHDOG_USEC: String(watchdogMs * 1000) }
  await lab.router.faithd(['-k', '-i', 'faith9', '-P', '3fff:9::/96'], { env })
  await waitFor('two signs of life of the other', () => other.signs >= 2)
  t.true(manager.signs - signs <= 1)
  stopping.stdin.end()
  await waitFor('a sign of life again', () => manager.signs > signs + 1)
})

test('without a service manager nothing is told, and a stuck worker is a warning alone', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab)
  const [worker = 0] = workers(faithd.pid)
  const stopping = lab.router.spawn('python3', [program('stop-thread.py'), String(worker)])
  await stopping.line(/^stopped$/)
  await waitFor('the warning', () => faithd.log.find(({ msg }) => msg.includes('has done nothing')))
  stopping.stdin.end()
  await waitFor('its end', () => faithd.log.find(({ msg }) => msg.includes('works again')))
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
})
