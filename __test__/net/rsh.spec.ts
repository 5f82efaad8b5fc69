/** rsh and rlogin through faithd: privileged ports, and the second connection of rsh. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { isMachineRoot } from '../../scripts/namespaces.mjs'
import { type Faithd, permitted, startFaithd } from '../fixtures/faithd.js'
import { inetd } from '../fixtures/inetd.js'
import { type End, type Listening, Sockets } from '../fixtures/sockets.js'
import { Program } from '../programs/program.js'

const rshd = captured()
/** A server that a test controls, on the ports of rlogin and rsh. */
const other = addresses.serverSecond

/** The program that rlogind runs in place of login(1). */
const loginProgram = `#!/bin/sh
trap 'echo "was interrupted"' INT
echo "logged in"
while read -r word; do
  case $word in
    size) stty size ;;
    wait) echo waiting; sleep 1000 ;;
    *) echo "was told $word" ;;
  esac
done
`

const trusting = ['--rsh', '--rlogin', '--drain', '0']

let lab: Lab
let client: Program
let servers: Sockets
let faithd: Faithd
let rlogins: Listening
let rshs: Listening

test.before(async () => {
  lab = await createLab()
  // The servers want a name for their client, and let it in because of that name.
  const [pam, hosts] = [join(lab.directory, 'pam'), join(lab.directory, 'hosts')]
  const kinds = ['auth', 'account', 'session']
  writeFileSync(pam, kinds.map((kind) => `${kind} sufficient pam_permit.so\n`).join(''))
  const program = join(lab.directory, 'login')
  writeFileSync(program, loginProgram)
  chmodSync(program, 0o755)
  writeFileSync(hosts, `127.0.0.1 localhost\n${addresses.routerIPv4} router.test\n`)
  const mounts = [
    `mount --bind ${hosts} /etc/hosts`,
    `mount --bind ${program} $(readlink -f /bin/login)`,
    ...['rsh', 'rlogin'].map((name) => `mount --bind ${pam} /etc/pam.d/${name}`),
  ]
  const script = `${mounts.join(' && ')} && exec "$@"`
  await inetd(
    lab,
    {
      513: ['/usr/sbin/in.rlogind', 'in.rlogind'],
      514: ['/usr/sbin/in.rshd', 'in.rshd'],
    },
    ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh'],
  )
  client = await Program.start(lab.client)
  servers = Sockets.of(lab.server)
  rlogins = await servers.listen(513, { address: other })
  rshs = await servers.listen(514, { address: other })
  faithd = await startFaithd(lab, [...permitted, ...trusting])
})

test.after.always(() => lab.close())

const isPrivileged = (port: number): boolean => port >= 512 && port < 1024

let ports = 700
/** A connection to the other server from a privileged port of the client. */
async function dialled(port: number) {
  ports += 1
  return await client.dial(captured(other), port, ports)
}

/** The port that an rsh server was told to connect to. */
async function told(server: End): Promise<number> {
  const { text } = await waitFor('the port', async () => {
    const status = await server.status()
    return status.text.includes('\0') ? status : undefined
  })
  return Number.parseInt(text, 10)
}

/** Connects from the server's host to a port of the router; gives what arrives, or the error. */
async function callBack(from: string, fromPort: number, port: number): Promise<string> {
  const script = `
import socket, sys
one = socket.socket()
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.bind((sys.argv[1], int(sys.argv[2])))
try:
    one.connect((sys.argv[3], int(sys.argv[4])))
    one.sendall(b"an error\\n")
    print(one.recv(100).decode())
except OSError as error:
    print(type(error).__name__)
`
  const args = [from, String(fromPort), addresses.routerIPv4, String(port)]
  const { stdout } = await lab.server.run('python3', ['-c', script, ...args])
  return stdout.trim()
}

test.serial('a command gets its input, and its output and errors come apart', async (t) => {
  for (let round = 0; round < 3; round += 1) {
    const { stdout, stderr, code } = await lab.client.run(
      'netkit-rsh',
      ['-l', 'root', rshd, 'cat; echo wrong >&2'],
      { input: 'some words\n' },
    )
    t.deepEqual({ stdout, stderr, code }, { stdout: 'some words\n', stderr: 'wrong\n', code: 0 })
  }
  const { tag } = await faithd.sessionTo(514)
  t.is(tag, 'rsh')
})

test.serial('a client may do without a second connection', async (t) => {
  const caller = await client.dial(rshd, 514, 699)
  await caller.write('\0root\0root\0echo out; echo wrong >&2\0')
  t.is(await caller.line(), '\0out')
  t.is(await caller.line(), 'wrong')
  t.is(await caller.line(), undefined)
})

test.serial(
  'the server connects back to a port of the relay, and reaches the client',
  async (t) => {
    const clients = Sockets.of(lab.client)
    const errors = await clients.listen(900, { address: '::', greet: 'an answer\n' })
    const caller = await dialled(514)
    await caller.write('9')
    const server = await rshs.accept()
    t.true(isPrivileged(await server.port()))
    await caller.write('00\0and more')
    const port = await told(server)
    t.true(isPrivileged(port))
    t.not(port, 900)
    await server.hears(`${port}\0and more`)

    // Neither another host nor a user without privilege takes the server's place.
    t.not(await callBack(addresses.server, 800, port), 'an answer')
    t.not(await callBack(other, 2000, port), 'an answer')
    t.is(errors.accepted, 0)
    t.is(await callBack(other, 800, port), 'an answer')
    const error = await errors.accept()
    t.is(await error.address(), '64:ff9b::c633:6403')
    t.is(await error.port(), 800)
    await error.hears('an error\n')
    t.is(await callBack(other, 801, port), 'ConnectionRefusedError')

    server.says('out\n')
    t.is(await caller.line(), 'out')
    await caller.end()
    await server.sees('end')
    server.ends()
    t.is(await caller.line(), undefined)
    error.ends()
    const record = await waitFor('the record of the errors', () =>
      faithd.log.find((line) => line.rsh?.client.port === 900),
    )
    t.like(record.rsh, {
      client: { address: addresses.client, port: 900 },
      server: { address: other, port: 800 },
    })
  },
)

test.serial('a session that is ended takes its second connection along', async (t) => {
  const clients = Sockets.of(lab.client)
  const errors = await clients.listen(902, { address: '::' })
  const caller = await dialled(514)
  await caller.write('902\0')
  const server = await rshs.accept()
  const port = await told(server)
  const script = `
import socket, sys
one = socket.socket()
one.bind((sys.argv[1], 804))
one.connect((sys.argv[2], int(sys.argv[3])))
print("connected", flush=True)
try:
    print("end" if one.recv(1) == b"" else "bytes")
except ConnectionResetError:
    print("reset")
`
  const called = lab.server.spawn('python3', [
    '-c',
    script,
    other,
    addresses.routerIPv4,
    String(port),
  ])
  const error = await errors.accept()
  await caller.reset()
  await server.sees('ECONNRESET')
  await error.sees('ECONNRESET')
  await called.line(/^reset$/)
  t.pass()
})

for (const first of ['ports\0', '-1\0', '1024\0', '511\0', '123456', '65536\0', ' 900\0']) {
  test.serial(`a client that begins with ${JSON.stringify(first)} is reset`, async (t) => {
    const caller = await dialled(514)
    const server = await rshs.accept()
    await caller.write(first)
    await server.sees('ECONNRESET')
    await waitFor('the reset', async () => (await caller.happened()).includes('close'))
    t.is((await server.status()).text, '')
  })
}

test.serial('a client that does not listen ends the session', async (t) => {
  const caller = await dialled(514)
  await caller.write('901\0')
  const server = await rshs.accept()
  const port = await told(server)
  t.not(await callBack(other, 803, port), 'an answer')
  await server.sees('ECONNRESET')
  await waitFor('the reset', async () => (await caller.happened()).includes('close'))
})

test.serial('a server that ends first is no failure', async (t) => {
  const caller = await dialled(514)
  await caller.write('900\0')
  const server = await rshs.accept()
  await told(server)
  server.says('\u0001Permission denied.\n')
  server.ends()
  t.is(await caller.line(), '\u0001Permission denied.')
  t.is(await caller.line(), undefined)
  await caller.end()
  await server.sees('end')
})

test.serial('rlogin comes from a privileged port, and Debian answers it', async (t) => {
  const caller = await dialled(513)
  const server = await rlogins.accept()
  t.true(isPrivileged(await server.port()))
  await caller.end()
  await server.sees('end')
  const login = await client.dial(rshd, 513, 698)
  await login.write('\0root\0root\0xterm/9600\0')
  t.is((await login.receive(1)).bytes, 1)
})

test.serial(
  'rlogin on a terminal tells its size, and an interrupt reaches the program',
  async (t) => {
    const command = `stty rows 41 cols 111 && exec netkit-rlogin -l root ${rshd}`
    const terminal = lab.client.spawn('script', ['-qec', command, '/dev/null'])
    const types = (text: string) => terminal.stdin.write(text)
    await terminal.line(/logged in/)
    // The server asks for the size by an urgent byte.
    await waitFor('the size', () => {
      types('size\n')
      return /^41 111\r?$/m.test(terminal.stdout)
    })
    types('wait\n')
    await terminal.line(/^waiting/)
    types('\u0003')
    await terminal.line(/was interrupted/)
    types('hello\n')
    await terminal.line(/^was told hello/)
    types('\u0004')
    await terminal.line(/connection closed/)
    t.is((await terminal.exited).signal, null)
    const { tag, bytesDown } = await faithd.session(
      (one) =>
        one.destination.port === 513 &&
        one.destination.address === '64:ff9b::c633:6402' &&
        one.client.port !== 698,
    )
    t.is(tag, 'rlogin')
    t.true(bytesDown > 0)
  },
)

for (const port of [513, 514]) {
  test.serial(`a client without privilege gets no privileged port, on ${port}`, async (t) => {
    const caller = await client.dial(captured(other), port)
    const server = await (port === 513 ? rlogins : rshs).accept()
    t.false(isPrivileged(await server.port()))
    await caller.write('900\0as it is')
    await server.hears('900\0as it is')
    await caller.end()
    await server.sees('end')
  })
}

test.serial('a server that never connects back ends the session', async (t) => {
  await faithd.stop()
  faithd = await startFaithd(lab, [...permitted, ...trusting, '--connect-timeout', '1'])
  const caller = await dialled(514)
  await caller.write('900\0')
  const server = await rshs.accept()
  const port = await told(server)
  await server.sees('ECONNRESET')
  await waitFor('the reset', async () => (await caller.happened()).includes('close'))
  t.is(await callBack(other, 802, port), 'ConnectionRefusedError')
})

test.serial('a session is idle if neither connection carries a byte', async (t) => {
  await faithd.stop()
  faithd = await startFaithd(lab, [...permitted, ...trusting, '--idle-timeout', '0.3'])
  const caller = await dialled(514)
  await caller.write('\0')
  const server = await rshs.accept()
  await server.sees('ECONNRESET')
  await waitFor('the reset', async () => (await caller.happened()).includes('close'))
  t.pass()
})

/** Root of a user namespace of one user cannot become another. */
const asRoot = isMachineRoot() ? test.serial : test.serial.skip

asRoot('a faithd without privileges needs privileged ports that all may use', async (t) => {
  const permit = (first: number) =>
    lab.router.run('sysctl', ['-qw', `net.ipv4.ip_unprivileged_port_start=${first}`])
  await faithd.stop()
  faithd = await startFaithd(lab, [...permitted, ...trusting, '--user', 'daemon'])
  const rsh = () => lab.client.run('netkit-rsh', ['-l', 'root', rshd, 'echo right; echo wrong >&2'])
  await client.begin(rshd, 514, 697)
  t.is((await faithd.refusalTo(514)).cause, 'no-source')
  await permit(512)
  const { stdout, stderr } = await rsh()
  t.deepEqual({ stdout, stderr }, { stdout: 'right\n', stderr: 'wrong\n' })
  await permit(1024)
})

test.serial('without being asked, faithd relays both as plain TCP', async (t) => {
  await faithd.stop()
  faithd = await startFaithd(lab, [...permitted, '--drain', '0'])
  for (const [port, listening] of [
    [513, rlogins],
    [514, rshs],
  ] as const) {
    const caller = await dialled(port)
    const server = await listening.accept()
    t.false(isPrivileged(await server.port()))
    await caller.write('900\0as it is')
    await server.hears('900\0as it is')
    await caller.end()
    await server.sees('end')
  }
})

test.serial('the names of the services ask for it, as on BSD', async (t) => {
  await faithd.stop()
  faithd = await startFaithd(lab, [...permitted, '--drain', '0', 'login,rsh'])
  for (const [port, listening] of [
    [513, rlogins],
    [514, rshs],
  ] as const) {
    await dialled(port)
    const server = await listening.accept()
    t.true(isPrivileged(await server.port()))
  }
})
