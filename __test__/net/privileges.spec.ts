/** faithd gives up its privileges (`--user`): what is left to its threads, and what works from then on. */
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ava from 'ava'
import { addresses, createLab, transfers, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import {
  type Faithd,
  faithdCommand,
  permitted,
  runFaithd,
  startFaithd,
  steerings,
} from '../fixtures/faithd.js'
import { configuration, gone, privateNamespaces, settled } from '../fixtures/remains.js'
import { Sockets } from '../fixtures/sockets.js'
import { capabilities, kept, threadAt, threadsOf } from '../fixtures/threads.js'
import { isMachineRoot } from '../../scripts/namespaces.mjs'

const program = fileURLToPath(new URL('../programs/unprivileged.ts', import.meta.url))
const asDaemon = ['--user', 'daemon', '--drain', '0', ...permitted]

/** Root of a user namespace of one user cannot become another. */
const test = isMachineRoot() ? ava.serial : ava.serial.skip

let lab: Lab
let client: Sockets

ava.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  await Promise.all([
    lab.server.peer(),
    lab.server.echo({ port: 7 }),
    lab.server.echo({ port: 22 }),
  ])
})

ava.after.always(() => lab.close())

const threads = (faithd: Faithd) => threadsOf(faithd.pid)
const messages = (faithd: Faithd): string[] => faithd.log.map(({ msg }) => msg)

test('without --user every thread keeps its capabilities', async (t) => {
  const faithd = await startFaithd(lab)
  for (const { CapEff, Uid, Seccomp, name } of threads(faithd)) {
    t.not(CapEff, capabilities(), name)
    t.is(Uid, '0\t0\t0\t0', name)
    t.is(Seccomp, threadAt('/proc/self')['Seccomp'], name)
  }
  t.false(messages(faithd).some((message) => message.startsWith('runs as')))
  await faithd.stop()
})

test('with --user no thread has a way to privileges, and two keep a few capabilities', async (t) => {
  const faithd = await startFaithd(lab, asDaemon)
  t.regex(messages(faithd).join('\n'), /^runs as daemon \(uid 1\), without capabilities/m)
  const keepers = kept('faith0')
  const all = threads(faithd)
  t.true(Object.keys(keepers).every((keeper) => all.some(({ name }) => name === keeper)))
  // JavaScript's thread, V8's, the workers, the watch, the log.
  t.true(all.length > 15)
  for (const status of all) {
    const left = keepers[status.name] ?? capabilities()
    t.like(
      status,
      {
        Uid: '1\t1\t1\t1',
        Gid: '1\t1\t1\t1',
        CapEff: left,
        CapPrm: left,
        CapBnd: capabilities(),
        CapInh: capabilities(),
        CapAmb: capabilities(),
        NoNewPrivs: '1',
        Seccomp: '2',
      },
      status.name,
    )
  }
  await faithd.stop()
})

test('a program that gave up its privileges goes on, and can do nothing else', async (t) => {
  const running = lab.router.node(program, [addresses.gateway])
  const line = await running.line(/^\{/)
  const { outcomes, hint } = JSON.parse(line) as { outcomes: object; hint: string }
  t.deepEqual(outcomes, {
    execute: 'EPERM',
    'become root': 'EPERM',
    'read a file of root': 'EACCES',
    'start a thread': 'ok',
    'make an interface': 'EPERM',
    'add a prefix': 'ok',
    'delete a prefix': 'ok',
    'close a listener': 'ok',
    'listen on port 22': 'ok',
    'connect from port 20': 'ECONNREFUSED',
    'switch keepfaith': 'ok',
  })
  t.regex(hint, /start faithd again with this interface/)
  const { stdout } = await lab.router.run('ip', ['-6', 'route', 'show', 'dev', 'faith0'])
  t.regex(stdout, /^3fff:2::\/96 /m)
  t.notRegex(stdout, /^3fff:1::\/96 /m)
  running.stdin.end()
  t.deepEqual(await running.exited, { code: 0, signal: null })
})

for (const [steering, also] of steerings) {
  test(`faithd relays, and leaves nothing behind${also}`, async (t) => {
    await settled(lab.router)
    const before = await configuration(lab.router)
    const faithd = await startFaithd(lab, asDaemon, steering)
    const networks = privateNamespaces(faithd.pid)
    // A port below 1024, which the keeper of the namespace opens on demand.
    t.deepEqual(await client.dialAll(faithd.address(), [22, 7]), { connected: 2 })
    const moved = await transfers(lab.client, { address: faithd.address(), count: 4 })
    t.is(moved.exact, 4)
    t.deepEqual(await faithd.stop(), { code: 0, signal: null })
    await gone(lab.router, before, networks)
  })
}

test('the control socket answers, and is removed from the folder that faithd made', async (t) => {
  chmodSync(lab.directory, 0o711)
  const control = new Control(lab.router, join(lab.directory, 'run', 'faithd.sock'))
  const faithd = await startFaithd(lab, [...asDaemon, '--control', control.path])
  t.is((await control.get('/v1/sessions')).status, 200)
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
  t.false(existsSync(control.path))
})

test('the watch puts routes back', async (t) => {
  const faithd = await startFaithd(lab, asDaemon)
  await lab.router.run('ip', ['-6', 'route', 'del', '64:ff9b::/96'])
  await waitFor('the route', async () => {
    const { stdout } = await lab.router.run('ip', ['-6', 'route', 'show', 'dev', 'faith0'])
    return stdout.startsWith('64:ff9b::/96 ')
  })
  t.regex(await faithd.process.line(/routes 64:ff9b::\/96 here again/), /"code":"routes-restored"/)
  await faithd.stop()
})

test('SIGHUP adds and removes prefixes and relays', async (t) => {
  const file = join(lab.directory, 'reload.toml')
  const write = (prefix: string, ports: string, user = 'daemon') =>
    writeFileSync(
      file,
      `keepfaith = true\nuser = "${user}"\n[log]\nformat = "json"\n` +
        `[[interface]]\nprefixes = ["${prefix}/96"]\n` +
        `[[interface.relay]]\nports = ${ports}\ndrain = 0\nrules = ["permit 198.51.100.0/24"]\n`,
    )
  write('3fff:a::', '7')
  const process = await lab.router.faithd(['-c', file])
  const reload = async () => {
    process.kill('SIGHUP')
    await process.line(/SIGHUP: .* read again/)
  }
  t.deepEqual(await client.dialAll(`3fff:a::${addresses.server}`, [7]), { connected: 1 })
  write('3fff:b::', '22', 'games')
  await reload()
  t.deepEqual(await client.dialAll(`3fff:b::${addresses.server}`, [22]), { connected: 1 })
  t.deepEqual(await client.dialAll(`3fff:b::${addresses.server}`, [7]), { ECONNREFUSED: 1 })
  t.regex(process.output, /faithd: user stays daemon until faithd starts again/)
  t.deepEqual(await process.stop('SIGTERM'), { code: 0, signal: null })
})

test('files that the user cannot read are named at the start, and SIGHUP keeps the list', async (t) => {
  const file = join(lab.directory, 'secret')
  writeFileSync(file, '::/0 permit 198.51.100.0/24\n')
  chmodSync(file, 0o600)
  const faithd = await startFaithd(lab, ['--user', 'daemon', '--drain', '0', '-f', file])
  t.true(
    messages(faithd).some((message) => message.startsWith(`the user daemon cannot read ${file}, `)),
  )
  faithd.process.kill('SIGHUP')
  await faithd.process.line(/SIGHUP: the access list in force is kept: .*permission denied/i)
  t.deepEqual(await client.dialAll(faithd.address(), [7]), { connected: 1 })
  await faithd.stop()
})

test('clients of a deleted interface get no reset, and the log says why', async (t) => {
  const faithd = await startFaithd(lab, asDaemon)
  const near = await client.connect(faithd.address(), 7)
  near.says('hello')
  await near.hears('hello')
  await lab.router.run('ip', ['link', 'del', 'faith0'])
  t.is((await faithd.end()).code, 69)
  t.regex(messages(faithd).join('\n'), /its clients get no reset, which needs CAP_NET_RAW/)
})

/** Starts faithd where the kernel seems to have another limit for the pipes of a user, which is one for the machine. */
async function withPipePages(pages: number): Promise<string[]> {
  const file = join(lab.directory, 'pages')
  writeFileSync(file, `${pages}\n`)
  const script = 'mount --bind "$0" /proc/sys/fs/pipe-user-pages-soft && exec "$@"'
  const command = [process.execPath, faithdCommand, '-k', '--no-control', ...asDaemon]
  const faithd = lab.router.spawn('unshare', ['--mount', 'sh', '-c', script, file, ...command])
  await faithd.line(/captures/)
  await faithd.stop()
  return faithd.lines.filter((line) => line.includes('the pipes of a user hold'))
}

test('pipes beyond the limit of a user are a warning with the remedy', async (t) => {
  const [warning = '', ...others] = await withPipePages(100)
  t.regex(
    warning,
    /WARN: .* hold 100 pages, and bulk on (\d+) workers? takes up to \d+: .* -w fs\.pipe-user-pages-soft=0/,
  )
  t.deepEqual(others, [])
  t.deepEqual(await withPipePages(0), [], '0 is no limit')
  t.deepEqual(await withPipePages(1 << 24), [])
})

test('--privileged-source needs a sysctl', async (t) => {
  const args = ['-k', '--user', 'daemon', '-p', ...permitted]
  const { code, stderr } = await runFaithd(lab, args)
  t.is(code, 64)
  t.regex(stderr, /sysctl -w net\.ipv4\.ip_unprivileged_port_start=600/)
  const start = (port: number) =>
    lab.router.run('sysctl', ['-w', `net.ipv4.ip_unprivileged_port_start=${port}`])
  await start(600)
  const faithd = await startFaithd(lab, ['-p', ...asDaemon])
  t.deepEqual(await client.dialAll(faithd.address(), [7]), { connected: 1 })
  await faithd.stop()
  await start(1024)
})

test('a user that does not exist, and root, are refused', async (t) => {
  for (const [user, why] of [
    ['daemn', /--user: this host has no user 'daemn'; did you mean daemon\?/],
    ['xyzzy-xyzzy', /no user 'xyzzy-xyzzy'; make it: useradd --system .* xyzzy-xyzzy/],
    ['root', /root is root, which owns the host/],
  ] as const) {
    for (const more of [[], ['--check']]) {
      const { code, stderr } = await runFaithd(lab, ['-k', '--user', user, ...more])
      t.is(code, 64)
      t.regex(stderr, why)
    }
  }
})

test('a process that is not root can only become the user that it is', async (t) => {
  const plain = ['setpriv', '--reuid=1', '--regid=1', '--clear-groups']
  const other = await runFaithd(lab, ['-k', '--user', 'games'], plain)
  t.is(other.code, 77)
  t.regex(
    other.stderr,
    /only root can become the user games, and faithd runs as uid 1; start it as/,
  )

  const ambient = ['sys_admin', 'net_admin', 'bpf', 'dac_override']
    .map((name) => `+${name}`)
    .join(',')
  const given = [`--inh-caps=${ambient}`, `--ambient-caps=${ambient}`]
  const control = join(lab.directory, 'own', 'faithd.sock')
  const own = lab.router.spawn(plain[0] ?? '', [
    ...plain.slice(1),
    ...given,
    process.execPath,
    fileURLToPath(new URL('../../dist/cli/faithd.js', import.meta.url)),
    '-k',
    '--control',
    control,
    ...asDaemon,
  ])
  await own.line(/captures|FATAL/)
  const lost = threadsOf(own.pid)
  t.is(lost.filter(({ CapPrm }) => CapPrm !== capabilities()).length, 2, own.output)
  t.is((await new Control(lab.router, control).get('/v1/keepfaith')).status, 200)
  t.deepEqual(await own.stop(), { code: 0, signal: null })
  t.false(existsSync(dirname(control)), 'the folder in one of root has gone with it')
})
