/** A log that is a pipe, with a reader that does not read, reads late, or is gone. */
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { faithdCommand } from '../fixtures/faithd.js'
import { PipedFaithd } from '../fixtures/piped-faithd.js'
import { Sockets } from '../fixtures/sockets.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

/** More lines than a pipe of 64 KiB holds. */
const many = 1000

test('SIGTERM ends faithd within its drain although its log is not read', async (t) => {
  using faithd = await PipedFaithd.start(lab, '--drain', '0.1')
  await faithd.sessions(many)
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  t.true(faithd.read().length < many, 'the pipe was full')
})

test('a second SIGTERM ends faithd at once although its log is not read and sessions go on', async (t) => {
  using faithd = await PipedFaithd.start(lab, '--drain', '600')
  const [client, server] = [Sockets.of(lab.client), Sockets.of(lab.server)]
  const listening = await server.listen(7501, { greet: 'hello' })
  const near = await client.connect(faithd.address, 7501)
  await near.hears('hello')
  await listening.accept()
  await faithd.sessions(many)
  faithd.process.kill('SIGTERM')
  // The first signal has arrived when faithd captures no more.
  await waitFor('faithd to drain', async () => {
    return (await client.dial(faithd.address, 7).outcome()) !== 'connected'
  })
  t.true(faithd.process.running)
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 143, signal: null })
})

test('connections go on while the log is not read, and each lost line is counted', async (t) => {
  using faithd = await PipedFaithd.start(lab)
  // faithd holds two MiB of lines besides the pipe.
  const sessions = 20_000
  await faithd.sessions(sessions)
  const lost = await waitFor('the loss to be logged', () =>
    faithd.read().find((line) => line.lost !== undefined),
  )
  t.is(lost.msg, `${lost.lost} lines of this log were lost: its reader did not keep up`)
  await faithd.sessions(10)
  const lines = await faithd.ended()
  const told = lines.filter(({ session }) => session !== undefined).length
  const lostInAll = lines.reduce((sum, line) => sum + (line.lost ?? 0), 0)
  t.is(told + lostInAll, sessions + 10)
  t.regex(lines.at(-1)?.msg ?? '', /^ended: 20010 sessions \(20010 closed\), /)
})

test('a reader that is gone does not stop faithd', async (t) => {
  using faithd = await PipedFaithd.start(lab, '--drain', '0.1')
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
