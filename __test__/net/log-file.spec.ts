/** A log in a file: rotation, a full disk, and another user. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { runFaithd } from '../fixtures/faithd.js'
import { accounted, LoggingFaithd, parseLines } from '../fixtures/logging-faithd.js'
import { testOfRoot } from '../fixtures/user-namespace.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
})

test.after.always(() => lab.close())

test("Debian's logrotate rotates the file under load, and no line is lost or torn", async (t) => {
  const folder = join(lab.directory, 'rotated')
  mkdirSync(folder, { mode: 0o750 })
  const file = join(folder, 'faithd.log')
  const faithd = await LoggingFaithd.start(lab, ['--log-to', file, '--log-format', 'json'])
  t.is(statSync(file).mode & 0o7777, 0o640)
  const configuration = join(folder, 'logrotate.conf')
  const rotation = `${file} {
    rotate 100
    postrotate
      kill -USR1 ${faithd.process.pid}
    endscript
  }\n`
  writeFileSync(configuration, rotation, { mode: 0o600 })
  const rotate = ['--force', '--state', join(folder, 'state'), configuration]

  const rounds = 4
  const count = 800
  for (let round = 0; round < rounds; round += 1) {
    const running = faithd.sessions(count)
    const { status, stderr } = spawnSync('/usr/sbin/logrotate', rotate, { encoding: 'utf8' })
    t.is(status, 0, stderr)
    await waitFor('the new file', () => existsSync(file) && statSync(file).size > 0)
    await running
  }
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  const files = readdirSync(folder).filter((name) => name.startsWith('faithd.log'))
  t.is(files.length, rounds + 1)
  const texts = files.map((name) => readFileSync(join(folder, name), 'utf8'))
  for (const text of texts) t.true(text.startsWith('{') && text.endsWith('}\n'))
  const lines = texts.flatMap(parseLines)
  t.is(lines.filter(({ session }) => session !== undefined).length, rounds * count)
  t.is(lines.filter(({ msg }) => msg === `SIGUSR1: ${file} is open again`).length, rounds)
  t.is(faithd.process.output, '', 'nothing goes to stderr')
})

test('a full disk stops neither connections nor SIGTERM, and each lost line is counted', async (t) => {
  const folder = join(lab.directory, 'full')
  mkdirSync(folder)
  const script = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"'
  const wrap = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, folder]
  const log = ['--log-to', join(folder, 'log'), '--log-format', 'json']
  const faithd = await LoggingFaithd.start(lab, log, wrap)
  const file = `/proc/${faithd.process.pid}/root${folder}/log`
  // The disk holds some hundred lines, and faithd some thousand besides.
  const sessions = 10_000
  await faithd.sessions(sessions)
  const [complaint] = faithd.process.lines
  const what = `cannot write the log to ${join(folder, 'log')}: No space left on device (os error 28)`
  t.is(complaint, `faithd: ${what}; lines wait, and those that have no room are lost`)

  const inside = ['-m', '-t', `${faithd.process.pid}`]
  const grow = ['mount', '-o', 'remount,size=16m', folder]
  const grown = await lab.router.run('nsenter', [...inside, ...grow])
  t.is(grown.code, 0, grown.stderr)
  const lines = () => parseLines(readFileSync(file, 'utf8'))
  await waitFor('the log to go on', () => accounted(lines()) >= sessions)
  t.is(accounted(lines()), sessions)
  t.true(lines().some(({ lost = 0 }) => lost > 0))
  t.true(lines().some(({ msg }) => /^for [.\d]+ s faithd could not write: cannot write/.test(msg)))

  const filler = `of=${join(folder, 'filler')}`
  await lab.router.run('nsenter', [...inside, 'dd', 'if=/dev/zero', filler, 'bs=64k'])
  await faithd.sessions(3000)
  await waitFor('the disk to be full', () => faithd.process.lines.length > 1)
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
})

test('without its folder the log waits, and goes on in a file when the folder is back', async (t) => {
  const folder = join(lab.directory, 'removed')
  mkdirSync(folder)
  const file = join(folder, 'log')
  const faithd = await LoggingFaithd.start(lab, ['--log-to', file, '--log-format', 'json'])
  rmSync(folder, { recursive: true })
  const sessions = 50
  await faithd.sessions(sessions)
  const complaint = await faithd.process.line(/./)
  t.regex(complaint, /^faithd: cannot write the log to .*\/removed\/log: No such file or directory/)
  mkdirSync(folder)
  const lines = () => (existsSync(file) ? parseLines(readFileSync(file, 'utf8')) : [])
  await waitFor('every line', () => accounted(lines()) >= sessions)
  t.is(accounted(lines()), sessions)
  t.true(lines().some(({ msg }) => /^for [.\d]+ s faithd could not write: cannot write/.test(msg)))
  faithd.process.kill('SIGTERM')
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
})

testOfRoot('after --user the file is opened again where its folder lets that user', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'faithd-log-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o755)
  const { uid, gid } = userNamed('daemon')
  chownSync(folder, uid, gid)
  const file = join(folder, 'log')
  const faithd = await LoggingFaithd.start(lab, ['--log-to', file, '--user', 'daemon'])
  await waitFor('the user', () => read(file).includes('runs as daemon'))
  t.is(statSync(file).uid, uid)

  faithd.process.kill('SIGUSR1')
  await waitFor('the same file', () => read(file).includes(`SIGUSR1: ${file} is open again`))
  renameSync(file, `${file}.1`)
  faithd.process.kill('SIGUSR1')
  await waitFor('another file', () => read(file).includes(`SIGUSR1: ${file} is open again`))
  t.deepEqual([statSync(file).uid, statSync(file).mode & 0o7777], [uid, 0o640])

  chownSync(folder, 0, 0)
  renameSync(file, `${file}.2`)
  faithd.process.kill('SIGUSR1')
  const refused = `ERROR: SIGUSR1: cannot open ${file} again: Permission denied (os error 13); the log goes on in the file`
  await waitFor('the error', () => read(`${file}.2`).includes(refused))
  faithd.process.kill('SIGTERM')
  await faithd.process.exited
  t.regex(read(`${file}.2`), /ended: 0 sessions/)
})

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function userNamed(name: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${name}:`))
  const [, , uid, gid] = (line ?? '').split(':').map(Number)
  return { uid: uid ?? Number.NaN, gid: gid ?? Number.NaN }
}

test('a file that cannot be opened keeps faithd from starting', async (t) => {
  const args = ['-k', '-i', 'nolog', '-P', '3fff::/96', '--log-to', '/nonexistent/log']
  const { code, stderr } = await runFaithd(lab, args)
  t.is(code, 69)
  t.regex(stderr, /FATAL: cannot open the log \/nonexistent\/log: .*No such file or directory/)
  t.is((await lab.router.run('ip', ['link', 'show', 'nolog'])).stdout, '')
})
