/** faithd serves sockets that inetd(8) or systemd made: no interface, no keepfaith, and no privilege. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, captured, faithPrefix, waitFor } from '../../lab/index.js'
import type { LabProcess } from '../../lab/index.js'
import { unpackedFolder } from '../../scripts/debian.mjs'
import { faithdCommand, type LogLine, permitted } from '../fixtures/faithd.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const { lab, client, server } = await socketsLab()

test.before(async () => {
  // A local route delivers connections to a whole prefix to the host's own sockets.
  const route = ['-6', 'route', 'add', 'local', faithPrefix, 'dev', 'lo']
  await lab.router.run('ip', route)
})

const give = fileURLToPath(new URL('../programs/give-connections.py', import.meta.url))
const syslog = fileURLToPath(new URL('../programs/own-syslog.sh', import.meta.url))

/** Runs a program of root without any capability. */
const bare = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--']
const faithd = [process.execPath, faithdCommand, '-c', '/dev/null']

/** An inetd: its command for a file, and the file for one service that runs setpriv with these words. */
interface Inetd {
  command(file: string): string[]
  file(port: number, words: readonly string[]): string
}

const inetdLine = (port: number, words: readonly string[]): string =>
  `${port} stream tcp6 nowait root /usr/bin/setpriv ${words.join(' ')}\n`
const unpacked = (name: string): string => join(unpackedFolder, 'usr', 'sbin', name)

const inetds = {
  "OpenBSD's inetd": { command: (file) => ['/usr/sbin/inetd', '-i', file], file: inetdLine },
  "GNU's inetd": {
    // It stays in the foreground with -d alone.
    command: (file) => [unpacked('inetutils-inetd'), '-d', '-p', `${file}.pid`, file],
    file: inetdLine,
  },
  xinetd: {
    command: (file) => [unpacked('xinetd'), '-dontfork', '-f', file, '-pidfile', `${file}.pid`],
    file: (port, [, ...words]) => `service faithd
{
  type = UNLISTED
  port = ${port}
  socket_type = stream
  protocol = tcp
  flags = IPv6
  wait = no
  user = root
  server = /usr/bin/setpriv
  server_args = ${words.join(' ')}
}
`,
  },
} as const satisfies Record<string, Inetd>

/** Starts an inetd with one service, whose connections a faithd relays. Its output has the messages to syslog. */
async function startInetd(
  port: number,
  args: readonly string[],
  { command, file: text }: Inetd = inetds["OpenBSD's inetd"],
): Promise<LabProcess> {
  const folder = join(lab.directory, `inetd${port}`)
  mkdirSync(folder)
  const file = join(folder, 'inetd.conf')
  writeFileSync(file, text(port, [...bare, ...faithd, '--inetd', ...args]))
  const own = join(lab.directory, `dev${port}`)
  mkdirSync(own)
  const inetd = lab.router.spawn('unshare', ['-m', syslog, own, ...command(file)])
  await waitFor('inetd to listen', () => lab.router.listening(port))
  return inetd
}

/** Starts a faithd by systemd-socket-activate, which listens on a port and starts it with the first connection. */
async function startActivated(
  port: number,
  args: readonly string[],
  options: readonly string[] = [],
): Promise<LabProcess> {
  const activate = ['systemd-socket-activate', '-l', `[::]:${port}`, ...options]
  const command = [...activate, ...bare, ...faithd, '--log-format', 'json', ...args]
  const activated = lab.router.spawn(command[0] ?? '', command.slice(1))
  await waitFor('the socket', () => lab.router.listening(port))
  return activated
}

function records(process: LabProcess): LogLine[] {
  return process.lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine)
}

for (const [number, [name, program]] of Object.entries(inetds).entries()) {
  const port = 701 + number
  test(`by ${name}, faithd relays its standard input, logs to syslog, and ends`, async (t) => {
    await lab.server.echo({ port })
    const inetd = await startInetd(
      port,
      [...permitted, '/usr/bin/printenv', 'printenv', 'REMOTE_ADDR'],
      program,
    )
    const dialled = await client.connect(captured(), port)
    dialled.says('by inetd')
    await dialled.hears('by inetd')
    dialled.ends()
    await dialled.sees('end')
    await inetd.line(
      /^syslog: .*\[2001:db8:1::2\]:\d+ to .*\(198\.51\.100\.2\): 8 bytes up, 8 down in .*, closed$/,
    )
    t.deepEqual(dialled.history, ['connected', 'end'], 'the log does not reach the client')
    const local = await client.connect(addresses.gateway, port)
    await local.hears(`${addresses.client}\n`)
    await local.sees('end')
  })
}

test('by inetd, a denied client is reset, and syslog has the cause', async (t) => {
  const inetd = await startInetd(9, ['--deny', '0.0.0.0/0'])
  const dialled = client.dial(captured(), 9)
  await dialled.sees('ECONNRESET')
  await inetd.line(/^syslog: .*denied/)
  t.deepEqual((await dialled.status()).received, 0)
})

test('by inetd, a connection to the router itself gets the local server', async (t) => {
  await startInetd(11, [...permitted, '/usr/bin/printenv', 'printenv', 'REMOTE_ADDR'])
  for (const address of [addresses.gateway, captured(addresses.routerIPv4)]) {
    const dialled = await client.connect(address, 11)
    await dialled.hears(`${addresses.client}\n`)
    await dialled.sees('end')
  }
  const elsewhere = client.dial(captured(), 11)
  await elsewhere.sees('ECONNRESET')
  t.is((await elsewhere.status()).received, 0)
})

test('the exit code of a faithd of inetd tells what became of the connection', async (t) => {
  await server.listen(811, { greet: 'hello', leave: 'end' })
  let port = 810
  for (const [what, code, address, args] of [
    ['a session', 0, captured(), []],
    ['a refusal', 69, captured(), []],
    ['no mapping', 69, addresses.gateway, []],
    ['the router itself', 77, captured(addresses.routerIPv4), []],
    ['a denial', 77, captured(), ['--deny', '0.0.0.0/0']],
    ['a server that fails', 3, addresses.gateway, ['/bin/sh', 'sh', '-c', 'exit 3']],
    ['a server that is killed', 137, addresses.gateway, ['/bin/sh', 'sh', '-c', 'kill -9 $$']],
    ['a missing server', 69, addresses.gateway, ['/no/such/server']],
  ] as const) {
    port += 1
    const rules = args[0] === '--deny' ? [] : permitted
    const command = [give, String(port), ...faithd, '--inetd', ...rules, ...args]
    const given = lab.router.spawn('python3', command)
    await given.line(/^listening$/)
    const dialled = client.dial(address, port)
    dialled.ends()
    await given.line(new RegExp(`^exit code ${code}$`))
    if (what === 'a missing server') await given.line(/\/no\/such\/server: no such file/)
    await given.stop()
  }
  t.pass()
})

test('half-close and a reset pass through a faithd of inetd', async (t) => {
  await startInetd(13, permitted)
  const listening = await server.listen(13)
  const dialled = await client.connect(captured(), 13)
  const far = await listening.accept()
  dialled.says('all')
  dialled.ends()
  await far.hears('all')
  await far.sees('end')
  far.says('that is all')
  await dialled.hears('that is all')
  far.resets()
  await dialled.sees('ECONNRESET')
  t.pass()
})

test('a faithd of given sockets serves a listening one until a signal, and drains', async (t) => {
  const activated = await startActivated(17, [...permitted, '--drain', '30'])
  await server.listen(17, { greet: 'hello' })
  const first = await client.connect(captured(), 17)
  await first.hears('hello')
  const second = await client.connect(captured(), 17)
  await second.hears('hello')
  await activated.line(/serves \[::\]:17/)
  first.resets()
  await waitFor('a session to end', () => records(activated).some(({ session }) => session))
  activated.kill('SIGTERM')
  await activated.line(/SIGTERM: draining/)
  second.resets()
  t.deepEqual(await activated.exited, { code: 0, signal: null })
  const ended = records(activated).flatMap(({ session }) => (session ? [session] : []))
  t.is(ended.length, 2)
  t.true(ended.every((session) => session.server?.address === addresses.server))
})

test('with Accept=yes a faithd serves one connection and ends', async (t) => {
  const activated = await startActivated(19, permitted, ['--accept'])
  await server.listen(19, { greet: 'one by one' })
  for (const _ of [1, 2]) {
    const dialled = await client.connect(captured(), 19)
    await dialled.hears('one by one')
    dialled.resets()
  }
  await waitFor(
    'both to end',
    () => records(activated).filter(({ session }) => session).length === 2,
  )
  await waitFor('both processes to end', () => {
    const ends = activated.lines.filter((line) =>
      /died with code 0|exited.*status=0|code 0/.test(line),
    )
    return ends.length === 2
  })
  t.pass()
})

test('the router itself is no destination of a given socket', async (t) => {
  const activated = await startActivated(23, permitted)
  const dialled = client.dial(captured(addresses.routerIPv4), 23)
  await dialled.sees('ECONNRESET')
  const { refusal } = await waitFor('the refusal', () =>
    records(activated).find((one) => one.refusal),
  )
  t.like(refusal, { reason: 'denied', cause: 'own-address' })
})

test('SIGHUP reads the access list of given sockets again', async (t) => {
  const list = join(lab.directory, 'given.conf')
  writeFileSync(list, '::/0 permit 198.51.100.0/24\n')
  const activated = await startActivated(29, ['-f', list])
  await server.listen(29, { greet: 'hello' })
  const dialled = await client.connect(captured(), 29)
  await dialled.hears('hello')
  writeFileSync(list, '::/0 deny 0.0.0.0/0\n')
  activated.kill('SIGHUP')
  await activated.line(/read again/)
  const denied = client.dial(captured(), 29)
  await denied.sees('ECONNRESET')
  await waitFor('the refusal', () => records(activated).some((one) => one.refusal))
  await dialled.hears('hello')
  t.pass()
})

test('standard input that is no connection is refused', async (t) => {
  const { code, stderr } = await lab.router.run(process.execPath, [faithdCommand, '--inetd'])
  t.is(code, 64, stderr)
  t.regex(stderr, /descriptor 0 is not a TCP socket of IPv6/)
})
