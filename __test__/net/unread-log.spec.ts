/** A log that is a pipe, with a reader that does not read, reads late, or is gone. */
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { churn, createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { faithdCommand, permitted } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

let started = 0

/** A faithd that logs to a pipe; the test holds the other end. */
class Unread {
  readonly process: LabProcess
  readonly address: string
  readonly #reader: number
  #read = ''
  #left = false

  private constructor(process: LabProcess, address: string, reader: number) {
    this.process = process
    this.address = address
    this.#reader = reader
  }

  static async start(...args: string[]): Promise<Unread> {
    started += 1
    const [name, prefix] = [`unread${started}`, `3fff:${started}::`]
    const pipe = join(lab.directory, name)
    await lab.router.run('mkfifo', [pipe])
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
    const place = ['-k', '-i', name, '-P', `${prefix}/96`, '--log-format', 'json']
    const command = [
      process.execPath,
      faithdCommand,
      '--no-control',
      ...place,
      ...permitted,
      ...args,
    ]
    const faithd = lab.router.spawn('sh', ['-c', 'exec "$@" 2>"$0"', pipe, ...command])
    await waitFor('faithd to capture', async () => {
      const { stdout } = await lab.router.run('ip', ['-6', 'route', 'show', 'dev', name])
      return stdout.includes(prefix)
    })
    return new Unread(faithd, `${prefix}198.51.100.2`, reader)
  }

  /** Runs that many sessions, whose lines go to the pipe. */
  async sessions(count: number): Promise<void> {
    const { done } = await churn(lab.client, { address: this.address, port: 7, count })
    if (done !== count) throw new Error(`${done} of ${count} sessions`)
  }

  /** Reads the available lines, and returns all so far. */
  read(): { msg: string; session?: object; lost?: number; relay?: { ended: object } }[] {
    const buffer = Buffer.alloc(65_536)
    try {
      for (let length = -1; length !== 0;) {
        length = readSync(this.#reader, buffer)
        this.#read += buffer.toString('latin1', 0, length)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
    const whole = this.#read.slice(0, this.#read.lastIndexOf('\n') + 1)
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { msg: string })
  }

  /** Closes the pipe, once. */
  leave(): void {
    if (!this.#left) closeSync(this.#reader)
    this.#left = true
  }

  [Symbol.dispose](): void {
    this.leave()
  }
}

/** More lines than a pipe of 64 KiB holds. */
const many = 1000

test('SIGTERM ends faithd within its drain although its log is not read', async (t) => {
  using faithd = await Unread.start('--drain', '0.1')
  await faithd.sessions(many)
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  t.true(faithd.read().length < many, 'the pipe was full')
})

test('a second SIGTERM ends faithd at once although its log is not read and sessions go on', async (t) => {
  using faithd = await Unread.start('--drain', '600')
  const server = Sockets.of(lab.server)
  const listening = await server.listen(7501, { greet: 'hello' })
  const near = await Sockets.of(lab.client).connect(faithd.address, 7501)
  await near.hears('hello')
  await listening.accept()
  await faithd.sessions(many)
  faithd.process.kill('SIGTERM')
  // The first signal has arrived when faithd captures no more.
  await waitFor('faithd to drain', async () => {
    const outcome = await Sockets.of(lab.client).dial(faithd.address, 7).outcome()
    return outcome !== 'connected'
  })
  t.true(faithd.process.running)
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 143, signal: null })
})

test('connections go on while the log is not read, and each lost line is counted', async (t) => {
  using faithd = await Unread.start()
  // faithd holds two MiB of lines besides the pipe.
  const sessions = 20_000
  await faithd.sessions(sessions)
  const lost = await waitFor('the loss to be logged', () =>
    faithd.read().find((line) => line.lost !== undefined),
  )
  t.is(lost.msg, `${lost.lost} lines of this log were lost: its reader did not keep up`)
  await faithd.sessions(10)
  faithd.process.kill('SIGTERM')
  await faithd.process.exited
  const lines = faithd.read()
  const told = lines.filter(({ session }) => session !== undefined).length
  const lostInAll = lines.reduce((sum, line) => sum + (line.lost ?? 0), 0)
  t.is(told + lostInAll, sessions + 10)
  t.regex(lines.at(-1)?.msg ?? '', /^ended: 20010 sessions \(20010 closed\), /)
})

test('a reader that is gone does not stop faithd', async (t) => {
  using faithd = await Unread.start('--drain', '0.1')
  faithd.leave()
  await faithd.sessions(100)
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
})

test('`--help` to a reader that is gone is no error', async (t) => {
  const script = '"$@" | true; exec "$@" >&-'
  const { code, stderr } = await lab.router.run('sh', [
    '-c',
    script,
    'sh',
    process.execPath,
    faithdCommand,
    '--no-control',
    '--help',
  ])
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
})
