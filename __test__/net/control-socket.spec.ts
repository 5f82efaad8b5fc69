/** The control socket: its place, who may use it, and how it comes and goes. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'ava'

import { createLab, userArguments, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Control, privateRun, startControlled } from '../fixtures/control.js'
import { faithdCommand, permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
})

test.after.always(() => lab.close())

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('the socket is its owner’s alone, and goes with faithd', async (t) => {
  const { faithd, control } = await startControlled(lab)
  t.is(modeOf(control.path), '600')
  t.is((await control.get('/v1/keepfaith')).text, '{"on":true}')
  t.is((await faithd.stop()).code, 0)
  t.false(existsSync(control.path))
})

test('a group may use the socket if it is named', async (t) => {
  const [group = '', , gid] =
    readFileSync('/etc/group', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .find(([, , number]) => Number(number) > 0) ?? []
  for (const name of [group, `${gid}`]) {
    const { control } = await startControlled(lab, ['--control-group', name])
    t.is(modeOf(control.path), '660')
    t.is(statSync(control.path).gid, Number(gid))
  }
})

test('faithd ends where the group is unknown, and leaves no interface', async (t) => {
  const path = join(lab.directory, 'unknown-group.sock')
  const args = ['-k', '-i', 'nogroup0', '-P', '3fff:a1::/96', '--control', path]
  const { code, stderr } = await runFaithd(lab, [...args, '--control-group', 'no-such-group'])
  t.is(code, 78)
  t.regex(stderr, /there is no group 'no-such-group'/)
  t.not((await lab.router.run('ip', ['link', 'show', 'nogroup0'])).code, 0)
})

test('a socket that a killed faithd left is replaced', async (t) => {
  const { faithd, control } = await startControlled(lab)
  await faithd.process.stop('SIGKILL')
  // One that became another user has left a shell behind that removes it.
  if (userArguments.length === 0) t.true(existsSync(control.path))
  const place = { name: 'again0', prefix: '3fff:a2::' }
  await startFaithd(lab, ['--control', control.path], 'by itself', place)
  t.is((await control.get('/v1/keepfaith')).status, 200)
})

test('a second faithd leaves the socket of the first alone, and names its process', async (t) => {
  const { faithd, control } = await startControlled(lab)
  const args = ['-k', '-i', 'second0', '-P', '3fff:a3::/96', '--control', control.path]
  const { code, stderr } = await runFaithd(lab, args)
  t.is(code, 78)
  t.true(stderr.includes(`another faithd (process ${faithd.pid}) listens`), stderr)
  t.is((await control.get('/v1/keepfaith')).status, 200)
})

test('a path that is no socket, or is another program’s, is left alone', async (t) => {
  const file = join(lab.directory, 'file')
  writeFileSync(file, 'precious')
  const args = ['-k', '-i', 'taken0', '-P', '3fff:a4::/96', '--control']
  const refused = await runFaithd(lab, [...args, file])
  t.is(refused.code, 78)
  t.regex(refused.stderr, /exists and is no socket/)
  t.is(readFileSync(file, 'utf8'), 'precious')

  const other = join(lab.directory, 'other.sock')
  const server = createServer((socket) => socket.resume().end('hello\n'))
  await new Promise<void>((resolve) => server.listen(other, resolve))
  const denied = await runFaithd(lab, [...args, other])
  t.is(denied.code, 78)
  t.regex(denied.stderr, /another program listens/)
  await new Promise((resolve) => server.close(resolve))
})

test('an empty path and --no-control turn the socket off', async (t) => {
  for (const [index, off] of [['--control='], ['--no-control']].entries()) {
    const name = `off${index}`
    const args = ['-k', '--log-format', 'json', '-i', name, '-P', `3fff:a5:${index}::/96`, ...off]
    const process = lab.router.spawn(globalThis.process.execPath, [faithdCommand, ...args])
    await process.line(/captures/)
    t.false(process.output.includes('control socket'))
    const { stdout } = await lab.router.run('ss', ['-Hlxp'])
    t.false(stdout.includes(`pid=${process.pid},`))
    await process.stop('SIGTERM')
  }
})

test('without an option the socket is at /run/faithd/faithd.sock', async (t) => {
  const faithd = lab.router.spawn(...privateRun('default0', '3fff:a6::/96', ...permitted))
  await faithd.line(/captures/)
  const root = `/proc/${faithd.pid}/root/run/faithd`
  t.is(modeOf(root), '755')
  t.is(modeOf(`${root}/faithd.sock`), '600')
  const control = new Control(lab.router, `${root}/faithd.sock`)
  t.is((await control.get('/v1/status')).status, 200)

  const [program, args] = [
    'nsenter',
    ['-m', '-t', `${faithd.pid}`, process.execPath, faithdCommand],
  ]
  const more = ['-k', '-i', 'default1', '-P', '3fff:a7::/96']
  const second = lab.router.spawn(program, [...args, ...more])
  await second.line(/captures/)
  t.regex(
    second.output,
    new RegExp(`another faithd \\(process ${faithd.pid}\\) .*goes on without a control socket`),
  )
  await second.stop('SIGTERM')
  t.is((await control.get('/v1/status')).status, 200)
  await faithd.stop('SIGTERM')
})

test('without the privilege for the default socket faithd goes on, and says so', async (t) => {
  const script = ['set -e', 'mount -t tmpfs -o ro tmpfs /run', 'exec "$0" "$@"'].join('\n')
  const command = [process.execPath, faithdCommand, '-k', '-i', 'ro0', '-P', '3fff:a8::/96']
  const faithd = lab.router.spawn('unshare', ['--mount', 'sh', '-c', script, ...command])
  await faithd.line(/captures/)
  t.regex(faithd.output, /INFO: cannot make .*read-only file system; faithd goes on without/)
  await faithd.stop('SIGTERM')
})

test('while it drains, faithd answers and changes nothing any more', async (t) => {
  const { faithd, control } = await startControlled(lab, [...permitted, '--drain', '15'])
  await lab.server.echo({ port: 7 })
  const client = lab.client.spawn('nc', ['-6', faithd.address(), '7'])
  client.stdin.write('hello\n')
  await client.line(/hello/)
  faithd.process.kill('SIGTERM')
  await waitFor('the drain', async () => {
    const { text } = await control.get('/v1/status')
    return text.includes('"draining":true')
  })
  t.is((await control.ask('PUT', '/v1/keepfaith', { on: false })).status, 503)
  await client.stop('SIGKILL')
  t.is((await faithd.end()).code, 0)
  t.false(existsSync(control.path))
})

test('faithd --check refuses a path that no socket can have', (t) => {
  const args = [faithdCommand, '-k', '--check', '--control', `/run/${'x'.repeat(108)}`]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  t.is(status, 64)
  t.regex(stderr, /--control: a Unix socket has a path of 107 bytes at most/)
})
