/** A log that goes to the journal of systemd: a real journald keeps its facts as fields. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { LoggingFaithd } from '../fixtures/logging-faithd.js'
import { testOfRoot } from '../fixtures/user-namespace.js'

const programs = new URL('../programs/', import.meta.url)
const script = fileURLToPath(new URL('journald.sh', programs))
const datagrams = fileURLToPath(new URL('datagrams.py', programs))
const stream = fileURLToPath(new URL('journal-stream.py', programs))

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

type Entry = Record<string, string>

/** A journald in the router, with a folder /run/systemd of its own. */
class Journald {
  readonly #process: LabProcess

  private constructor(process: LabProcess) {
    this.#process = process
  }

  static async start(): Promise<Journald> {
    const process = lab.router.spawn('unshare', ['-m', '--propagation', 'private', 'sh', script])
    await process.line(/^running$/)
    return new Journald(process)
  }

  /** The command that a program beside it begins with. */
  get wrap(): string[] {
    return ['nsenter', '-m', '-t', `${this.#process.pid}`]
  }

  /** Entries whose fields match. */
  async entries(...matches: string[]): Promise<Entry[]> {
    const [program = '', ...args] = [
      ...this.wrap,
      'journalctl',
      '--no-pager',
      '--quiet',
      '-o',
      'json',
    ]
    const { stdout } = await lab.router.run(program, [...args, ...matches])
    const lines = stdout.split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as Entry)
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.#process.pid, signal)
  }

  async stop(): Promise<void> {
    await this.#process.stop('SIGTERM')
  }
}

testOfRoot('journalctl finds sessions and refusals by their facts', async (t) => {
  const journald = await Journald.start()
  const faithd = await LoggingFaithd.start(lab, ['--log-to', 'journal'], journald.wrap)
  await faithd.sessions(3)
  await waitFor(
    'the sessions',
    async () => (await journald.entries('FAITHD_REASON=closed')).length === 3,
  )
  const [session] = await journald.entries(
    'FAITHD_RECORD=session',
    `FAITHD_CLIENT=${addresses.client}`,
  )
  t.like(session, {
    PRIORITY: '6',
    SYSLOG_IDENTIFIER: 'faithd',
    FAITHD_SERVER: addresses.server,
    FAITHD_SERVER_PORT: '7',
    _PID: `${faithd.process.pid}`,
    _TRANSPORT: 'journal',
  })
  t.regex(session?.['MESSAGE'] ?? '', / bytes up, \d+ down in [.\d]+ s, closed$/)
  const started = await journald.entries('FAITHD_STEERING=sk_lookup')
  t.regex(started[0]?.['MESSAGE'] ?? '', /^logs\d+ captures /)

  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  await waitFor('the totals', async () =>
    (await journald.entries()).some(({ MESSAGE }) => MESSAGE?.startsWith('ended: 3 sessions')),
  )
  t.is(faithd.process.output, '')
  await journald.stop()
})

testOfRoot(
  'with stderr in the journal, the log goes there natively without being asked',
  async (t) => {
    const journald = await Journald.start()
    const wrap = [...journald.wrap, 'python3', stream]
    const native = await LoggingFaithd.start(lab, [], wrap)
    const text = await LoggingFaithd.start(lab, ['--log-to', 'stderr'], wrap)
    await native.sessions(1)
    await text.sessions(1)
    const of = async ({ process }: LoggingFaithd) =>
      (await journald.entries(`_PID=${process.pid}`)).filter(({ MESSAGE }) =>
        MESSAGE?.endsWith(', closed'),
      )
    await waitFor(
      'both lines',
      async () => (await of(native)).length + (await of(text)).length === 2,
    )
    const [one, other] = [(await of(native))[0], (await of(text))[0]]
    t.like(one, { _TRANSPORT: 'journal', FAITHD_REASON: 'closed' })
    t.like(other, { _TRANSPORT: 'stdout' })
    t.false(one?.['MESSAGE']?.includes('INFO'))
    t.true(other?.['MESSAGE']?.includes('INFO: '))
    for (const { process } of [native, text]) {
      process.kill('SIGTERM')
      t.deepEqual(await process.exited, { code: 0, signal: null })
    }
    await journald.stop()
  },
)

testOfRoot('without journald connections go on, and so does SIGTERM', async (t) => {
  const journald = await Journald.start()
  const { wrap } = journald
  const faithd = await LoggingFaithd.start(
    lab,
    ['--log-to', 'journal'],
    [...wrap, 'sh', '-c', 'rm /run/systemd/journal/socket; exec "$@"', 'sh'],
  )
  await faithd.sessions(100)
  await waitFor('the complaint', () =>
    faithd.process.lines.some((line) =>
      line.startsWith('faithd: cannot write the log to the journal'),
    ),
  )
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  await journald.stop()
})

test('a journal that comes later, or comes again, gets the lines that waited', async (t) => {
  const folder = join(lab.directory, 'later')
  const socket = join(folder, 'socket')
  mkdirSync(folder)
  const place = 'mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal'
  const mounted = `mount -t tmpfs tmpfs /run && ${place} && exec "$@"`
  const wrap = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', mounted, folder]
  const faithd = await LoggingFaithd.start(lab, ['--log-to', 'journal'], wrap)
  for (const round of ['the first', 'another']) {
    // A socket whose reader is gone refuses datagrams, and one that is missing takes none.
    await faithd.sessions(20)
    if (round === 'another') rmSync(socket)
    const reader = lab.router.spawn('python3', [datagrams, socket])
    await reader.line(/listening/)
    const told = () => reader.lines.map((line) => Buffer.from(line, 'hex').toString('utf8'))
    const sessions = () => told().filter((entry) => /^FAITHD_RECORD=session$/m.test(entry)).length
    await waitFor(`the lines at ${round} reader`, () => sessions() >= 20)
    t.is(sessions(), 20)
    t.true(told().some((entry) => /^MESSAGE=for [.\d]+ s faithd could not write/m.test(entry)))
    await reader.stop()
  }
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
})
