/** faithctl as a process: its exit codes, its output, and daemons that do not answer. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ControlSocket, endedEvent, problem, status } from './fixtures/fake-daemon.js'
import { faithctlCommand, type Outcome, runFaithctl } from './fixtures/faithctl.js'

const socket = await ControlSocket.open()
const folder = mkdtempSync(join(tmpdir(), 'faithctl-command-'))
test.after.always(() => {
  socket.close()
  rmSync(folder, { recursive: true })
})

test.serial('--help and --version need no daemon', async (t) => {
  const help = await runFaithctl('--help')
  t.is(help.code, 0)
  t.regex(help.stdout, /^faithctl: ask and steer a running faithd\n/)
  t.regex((await runFaithctl('-V')).stdout, /^faithctl \d+\.\d+\.\d+\n$/)
  t.regex((await runFaithctl('interface', '--help')).stdout, /interface create NAME/)
  const explained = await runFaithctl('help', 'acl', 'test')
  t.is(explained.stdout, (await runFaithctl('acl', 'test', '-h')).stdout)
})

test.serial('a command line that is wrong ends it with 64 and one line', async (t) => {
  const { code, stdout, stderr } = await runFaithctl('sesions')
  t.is(code, 64)
  t.is(stdout, '')
  t.is(
    stderr,
    "faithctl: unknown command 'sesions'; did you mean 'sessions'?; see faithctl --help\n",
  )
})

test.serial('a table goes to stdout, and a pipe gets all of its columns', async (t) => {
  const { code, stdout, stderr } = await runFaithctl('--control', socket.path, 'sessions')
  t.is(code, 0)
  t.regex(stdout, /^ID .* DESTINATION\n1-42 .*\n2 sessions, 1 of them chosen\n$/)
  t.is(stderr, '')
})

test.serial('another version of the daemon is said once, on stderr', async (t) => {
  const own = await ControlSocket.open({
    'GET /v1/status': () => ({ body: { ...status, version: '9.9.9' } }),
  })
  const { code, stderr } = await runFaithctl('--control', own.path, 'status')
  own.close()
  t.is(code, 0)
  t.regex(stderr, /^faithctl: this is faithctl \S+, and the daemon is faithd 9\.9\.9; .*\n$/)
  t.is(stderr.split('\n').length, 2)
})

test.serial('--json prints the answer alone', async (t) => {
  const { stdout, stderr } = await runFaithctl('--control', socket.path, 'status', '--json')
  t.deepEqual(JSON.parse(stdout), status)
  t.is(stderr, '')
})

test.serial('a file with several errors has a line for each, and 78', async (t) => {
  const own = await ControlSocket.open({
    'POST /v1/reload': () => ({ status: 422, body: problem(422, 'x.toml:1: one\nx.toml:2: two') }),
  })
  const { code, stderr } = await runFaithctl('--control', own.path, 'reload')
  own.close()
  t.is(code, 78)
  t.is(stderr, 'faithctl: x.toml:1: one\nfaithctl: x.toml:2: two\n')
})

test.serial('without a socket it says that, and how to start the daemon', async (t) => {
  const path = join(folder, 'none.sock')
  const { code, stderr } = await runFaithctl('--control', path, 'status')
  t.is(code, 69)
  t.true(stderr.startsWith(`faithctl: no daemon: ${path} does not exist; faithd `), stderr)
})

test.serial('a socket that a dead daemon left behind is told apart', async (t) => {
  const path = join(folder, 'stale.sock')
  const script = `require('net').createServer().listen('${path}', () => process.kill(process.pid, 9))`
  await once(spawn(process.execPath, ['-e', script]), 'exit')
  const { code, stderr } = await runFaithctl('--control', path, 'status')
  t.is(code, 69)
  t.regex(stderr, /no process listens on .*stale\.sock, which an earlier one left behind; faithd /)
})

test.serial('a daemon that runs elsewhere, or without a socket, is named', async (t) => {
  // A process that calls itself faithd, as the daemon does.
  const pose =
    "require('fs').writeFileSync('/proc/self/comm', 'faithd'); console.log(); setInterval(() => {}, 1e6)"
  for (const [args, says] of [
    [
      ['--control', '/run/other.sock'],
      (pid: number) => `pid ${pid}, and listens on another: faithctl --control /run/other.sock`,
    ],
    [['--no-control'], (pid: number) => `pid ${pid}, without a control socket (--no-control)`],
  ] as const) {
    const daemon = spawn(process.execPath, ['-e', pose, '--', ...args])
    await once(daemon.stdout, 'data')
    const { stderr } = await runFaithctl('--control', join(folder, 'none.sock'), 'status')
    daemon.kill('SIGKILL')
    t.true(stderr.includes(says(daemon.pid ?? 0)), stderr)
  }
})

test.serial(
  'a file that is no socket, and a server that is none of ours, are errors',
  async (t) => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    t.is((await runFaithctl('--control', file, 'status')).code, 69)
    const other = createServer((connection) => connection.end('hello\r\n')).listen(
      join(folder, 'other.sock'),
    )
    await once(other, 'listening')
    const { code, stderr } = await runFaithctl('--control', join(folder, 'other.sock'), 'status')
    other.close()
    t.is(code, 69)
    t.regex(stderr, /^faithctl: .*other\.sock/)
  },
)

const asUser = process.getuid?.() === 0 ? test.serial : test.serial.skip

asUser('a user without permission is told the group that has it', async (t) => {
  const own = await ControlSocket.open()
  chmodSync(join(own.path, '..'), 0o755)
  const outcomes: Outcome[] = []
  for (const mode of [0o660, 0o600]) {
    chownSync(own.path, 0, 4)
    chmodSync(own.path, mode)
    outcomes.push(await asNobody('--control', own.path, 'status'))
  }
  own.close()
  const [grouped, alone] = outcomes
  t.is(grouped?.code, 77)
  t.regex(
    grouped?.stderr ?? '',
    /permission denied; root and the group adm may use it: usermod -aG adm /,
  )
  t.is(alone?.code, 77)
  t.regex(alone?.stderr ?? '', /permission denied; only root may use it; .*--control-group/)
})

/** Runs faithctl as a user who has no rights. */
function asNobody(...args: string[]): Promise<Outcome> {
  const [program, ...before] = faithctlCommand
  const drop = ['--reuid=65534', '--regid=65534', '--clear-groups', '--', program, ...before]
  return new Promise((resolve) => {
    execFile('setpriv', [...drop, ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    )
  })
}

test.serial('events are printed as they come, and as JSON', async (t) => {
  const { stdout } = await runFaithctl('--control', socket.path, 'events')
  const [ended, refused, lost] = stdout.split('\n')
  t.regex(
    ended ?? '',
    /^20:00:00 ended +1-42 \[2001:db8:1::7\]:50000 to 198\.51\.100\.7:443: 10 B up, /,
  )
  t.regex(
    refused ?? '',
    /^20:00:00 refused .*: a rule denies it \(2001:db8:1::\/48 permit .*conf:3\)$/,
  )
  t.regex(lost ?? '', /^20:00:00 lost +2 events: this reader was too slow$/)
  const json = await runFaithctl('--control', socket.path, 'events', '--json')
  t.deepEqual(JSON.parse(json.stdout.split('\n')[0] ?? ''), endedEvent)
})

const follow = async (...more: string[]) =>
  (await runFaithctl('--control', socket.path, 'sessions', '--follow', ...more)).stdout

test.serial('sessions --follow prints the chosen sessions as they end', async (t) => {
  t.regex(await follow(), /^20:00:00 ended .*\n20:00:00 lost /)
  t.regex(await follow('--client', '2001:db8:1::/48', '-d', '198.51.100.0/24'), /ended/)
  t.notRegex(await follow('--client', '2001:db8:2::/48'), /ended/)
  t.notRegex(await follow('--port', '80'), /ended/)
})

test.serial('--watch asks again and again', async (t) => {
  const own = await ControlSocket.open()
  const [program, ...before] = faithctlCommand
  const watching = spawn(program, [...before, '--control', own.path, 'drops', '--watch', '0.1'])
  let printed = ''
  watching.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
    if (own.asked.length >= 3) watching.kill('SIGTERM')
  })
  await once(watching, 'close')
  own.close()
  t.true(printed.split('INTERFACE').length > 2, printed)
})

test.serial('top needs a terminal', async (t) => {
  const { code, stderr } = await runFaithctl('--control', socket.path, 'top')
  t.is(code, 64)
  t.regex(stderr, /top needs a terminal; faithctl sessions --json is for programs/)
})
