/** The units of the package: systemd finds no fault with them, and faithd works inside their sandbox. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { unitText } from '../../cli/install-service.js'
import { createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { inPrivateNamespace } from '../fixtures/private-namespace.js'
import { Sockets } from '../fixtures/sockets.js'
import { capabilities, kept, threadAt, threadNamed, threadsOf } from '../fixtures/threads.js'
import { testOfRoot } from '../fixtures/user-namespace.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const units = ['faithd.service', 'faithd@.service'] as const
const textOf = (unit: string) => readFileSync(join(root, 'packaging', unit), 'utf8')

for (const unit of units) {
  test(`${unit} passes systemd-analyze verify`, (t) => {
    // The programs and pages that a unit names must be there; those of this machine stand in for installed ones.
    const folder = mkdtempSync(join(tmpdir(), 'faithd-units-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const installed = unitText(unit, { node: '/bin/true', script: '/etc/hostname' })
    const file = join(folder, unit.replace('@', '@test'))
    writeFileSync(file, installed.replace(/^Documentation=.*$/m, ''))
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
    t.is(stderr, '')
    t.is(status, 0)
  })

  test(`systemd-analyze rates the exposure of ${unit} at 2.5 at most`, (t) => {
    const args = ['security', '--offline=true', '--threshold=25', '--no-pager']
    const { status, stdout, stderr } = spawnSync(
      'systemd-analyze',
      [...args, join(root, 'packaging', unit)],
      { encoding: 'utf8' },
    )
    t.is(status, 0, stdout)
    t.is(stderr, '')
    t.regex(stdout, /Overall exposure level for faithd\S*: [012]\.\d OK/)
  })
}

/** The lines that are not among the others. */
function own(lines: readonly string[], others: readonly string[]): string[] {
  return lines.filter((line) => !others.includes(line))
}

test('an instance differs from the service in its name and its command alone', (t) => {
  const [service = [], instance = []] = units.map((unit) => textOf(unit).split('\n'))
  t.deepEqual(own(service, instance), [
    'Description=Relay of TCP, UDP and ping from IPv6 to IPv4',
    'EnvironmentFile=-/etc/default/faithd',
    'ExecStart=/usr/sbin/faithd --user=${FAITHD_USER} $FAITHD_OPTIONS',
  ])
  t.deepEqual(
    own(instance, service).map((line) => line.split('=')[0]),
    ['Description', 'ExecStart'],
  )
})

/** The capabilities that the units give. */
const UNITS = capabilities('NET_ADMIN', 'SYS_ADMIN', 'BPF', 'NET_RAW', 'NET_BIND_SERVICE')

/** The cgroups of this process. systemd moves processes of its own topmost cgroup alone. */
const cgroups = (): string => readFileSync('/proc/self/cgroup', 'utf8')
const cgroupsBefore = cgroups()

test.afterEach.always('the processes of the machine stay in their cgroups', (t) => {
  t.is(cgroups(), cgroupsBefore)
})

/** A systemd in the lab's router, as root has one for services of its own. */
class Systemd {
  readonly #lab: Lab
  readonly #process: LabProcess
  readonly #unit: string

  private constructor(lab: Lab, process: LabProcess, unit: string) {
    this.#lab = lab
    this.#process = process
    this.#unit = unit
  }

  /** Starts it; `unit` is the service that {@link show} and {@link is} are about. */
  static async start(lab: Lab, unit: string): Promise<Systemd> {
    const script = fileURLToPath(new URL('../programs/systemd.sh', import.meta.url))
    const alone = ['-m', '--propagation', 'private', '--', 'sh', script]
    const node = dirname(process.execPath)
    const systemd = lab.router.spawn('unshare', [...alone, root, node])
    await systemd.line(/^running$/)
    return new Systemd(lab, systemd, unit)
  }

  /** Runs a command beside it. */
  async run(...command: string[]): Promise<string> {
    const args = ['-m', '-t', String(this.#process.pid), 'env', 'XDG_RUNTIME_DIR=/run/manager']
    const { code, stdout, stderr } = await this.#lab.router.run('nsenter', [...args, ...command])
    if (code !== 0) throw new Error(`${command.join(' ')}: ${stderr}${this.#process.output}`)
    return stdout
  }

  async ctl(...args: string[]): Promise<string> {
    return await this.run('systemctl', '--user', '--no-pager', ...args)
  }

  async show(property: string): Promise<string> {
    return (await this.ctl('show', '--value', '-p', property, this.#unit)).trim()
  }

  /** Waits until the service is in a state. */
  async is(state: string): Promise<void> {
    await waitFor(
      `${this.#unit} to be ${state}`,
      async () => (await this.show('ActiveState')) === state,
    )
  }
}

/** Writes a file beside a systemd. */
async function put(systemd: Systemd, path: string, text: string): Promise<void> {
  await systemd.run('mkdir', '-p', dirname(path))
  await systemd.run('sh', '-c', 'printf %s "$1" > "$2"', 'sh', text, path)
}

/** Installs a unit by install-service, with further settings. Returns the text for the operator. */
async function install(
  systemd: Systemd,
  unit: string,
  settings: string,
  ...args: string[]
): Promise<string> {
  const place = '/run/systemd/user'
  // There is no journal.
  const log = '[Service]\nStandardError=append:/run/log\n'
  await put(systemd, `${place}/${unit}.d/test.conf`, log + settings)
  await systemd.run('ln', '-s', `/etc/systemd/system/${unit}`, place)
  const path = `PATH=/run/bin:${process.env['PATH']}:/usr/sbin:/sbin`
  const faithd = ['/media/node', '/mnt/dist/cli/faithd.js', 'install-service']
  return await systemd.run('env', path, ...faithd, ...args)
}

testOfRoot(
  'faithd starts, reloads, relays and ends as a service, in the sandbox of its unit',
  async (t) => {
    await using lab = await createLab()
    await lab.server.echo({ port: 7 })
    await lab.router.run('sysctl', ['-w', 'net.ipv4.tcp_keepalive_time=77'])
    const systemd = await Systemd.start(lab, 'faithd')
    const options = '-k --permit 198.51.100.0/24 --log-format json'
    await put(systemd, '/etc/default/faithd', `FAITHD_OPTIONS="${options}"\n`)
    t.deepEqual((await install(systemd, 'faithd.service', '')).trim().split('\n'), [
      'wrote /etc/systemd/system/faithd.service',
      'wrote /etc/sysusers.d/faithd.conf',
      'ran systemd-sysusers faithd.conf',
      'ran systemctl daemon-reload',
      'Next:',
      '  write /etc/faithd/faithd.toml, with keepfaith = true',
      '  systemctl enable --now faithd',
      '  systemctl status faithd',
    ])
    await systemd.ctl('start', 'faithd')

    t.is(
      await systemd.show('StatusText'),
      'faith0 captures 64:ff9b::/96; 0 sessions active, 0 attempts under way',
    )
    t.is(await systemd.show('WatchdogUSec'), '30s')
    const pid = Number(await systemd.show('MainPID'))
    const user = (await systemd.run('id', '-u', 'faithd')).trim()
    const threads = threadsOf(pid)
    for (const keeper of Object.keys(kept('faith0'))) {
      t.true(threads.some(({ name }) => name === keeper))
    }
    for (const thread of threads) {
      const left = kept('faith0')[thread.name] ?? capabilities()
      t.like(
        thread,
        {
          Uid: [user, user, user, user].join('\t'),
          CapEff: left,
          CapPrm: left,
          CapInh: capabilities(),
          CapAmb: capabilities(),
          // The unit gives no CAP_SETPCAP, and no_new_privs lets nothing be gained from the rest.
          CapBnd: UNITS,
          NoNewPrivs: '1',
          Seccomp: '2',
        },
        thread.name,
      )
    }
    // Not even root could write there from inside.
    const inside = ['nsenter', '-m', '-t', String(pid), '--', 'sh', '-c']
    const writable = async (path: string) =>
      (await systemd.run(...inside, `touch ${path} 2>/dev/null && echo yes || echo no`)).trim()
    const written = ['/usr/x', '/etc/x', '/var/x', '/mnt/x', '/proc/sys/vm/swappiness']
    t.deepEqual(
      await Promise.all(written.map(writable)),
      written.map(() => 'no'),
    )
    const devices = await systemd.run(...inside, 'cd /dev && ls -d net/* kmsg mem 2>/dev/null || :')
    t.deepEqual(devices.trim().split('\n'), ['net/tun'])

    const near = await Sockets.of(lab.client).connect('64:ff9b::198.51.100.2', 7)
    near.says('hello')
    await near.hears('hello')
    const time = await inPrivateNamespace(lab.router, pid, 'sysctl -n net.ipv4.tcp_keepalive_time')
    t.is(time.trim(), '77', 'the private namespace has the TCP settings of the host')

    const faithctl = ['/media/node', '/mnt/dist/cli/faithctl.js']
    await systemd.run(...faithctl, 'prefix', 'add', '3fff:7::/96')
    const other = await Sockets.of(lab.client).connect('3fff:7::198.51.100.2', 7)
    other.says('hello')
    await other.hears('hello')
    await systemd.run(...faithctl, 'prefix', 'delete', '3fff:7::/96')
    t.is((await lab.router.run('ip', ['-6', 'route', 'show', '3fff:7::/96'])).stdout, '')

    await systemd.ctl('reload', 'faithd')
    await systemd.is('active')
    t.is(Number(await systemd.show('MainPID')), pid)

    const log = await systemd.run('cat', '/run/log')
    const lines = log.trim().split('\n')
    // More than two workers may need more pipes than a user may have, and a machine may allow fewer descriptors than the unit
    // asks for.
    const faults = lines
      .filter((line) => /"level":"(?:warn|error|fatal)"/.test(line))
      .filter((line) => !/"pages":|the descriptor limit allows/.test(line))
    t.deepEqual(faults, [], 'nothing is missing')
    t.regex(log, /steering by sk_lookup/)
    t.regex(log, /"shortcut":true/)

    await systemd.ctl('stop', 'faithd')
    t.is(await systemd.show('Result'), 'success')
    t.is(await systemd.show('ExecMainStatus'), '0')
  },
)

testOfRoot(
  'an instance runs by a file of its own, and systemd starts it again when a worker was killed',
  async (t) => {
    await using lab = await createLab()
    const systemd = await Systemd.start(lab, 'faithd@lan')
    const settings = 'keepfaith = true\n[[interface]]\nname = "lan"\nprefixes = ["3fff:1::/96"]\n'
    await put(systemd, '/etc/faithd/lan.toml', settings)
    await install(systemd, 'faithd@.service', 'WatchdogSec=8\n', '--instance', 'lan')
    await systemd.ctl('start', 'faithd@lan')
    const status = 'lan captures 3fff:1::/96; 0 sessions active, 0 attempts under way'
    t.is(await systemd.show('StatusText'), status)

    const faithctl = ['/media/node', '/mnt/dist/cli/faithctl.js', '--instance', 'lan']
    t.regex(await systemd.run(...faithctl, 'prefix', 'list'), /3fff:1::\/96/)

    const pid = Number(await systemd.show('MainPID'))
    const main = threadAt(`/proc/${pid}/task/${pid}`)
    t.like(main, { CapEff: capabilities(), NoNewPrivs: '1' })
    await put(systemd, '/etc/faithd/lan.toml', settings.replace('3fff:1:', '3fff:2:'))
    await systemd.ctl('reload', 'faithd@lan')
    await waitFor('the other prefix', async () =>
      (await systemd.run(...faithctl, 'prefix', 'list')).includes('3fff:2::/96'),
    )
    const sign = await systemd.show('WatchdogTimestampMonotonic')
    await waitFor(
      'a sign of life',
      async () => (await systemd.show('WatchdogTimestampMonotonic')) !== sign,
    )
    const worker = threadNamed(pid, 'lan/0')
    const program = fileURLToPath(new URL('../programs/end-thread.py', import.meta.url))
    await lab.router.run('python3', [program, worker])
    await waitFor('the new start', async () => (await systemd.show('NRestarts')) === '1')
    await systemd.is('active')
    t.not(Number(await systemd.show('MainPID')), pid)
    const why = 'worker lan/0 has not answered for 3 s; faithd ends, so that its service manager'
    t.true((await systemd.run('cat', '/run/log')).includes(`FATAL: ${why}`))
    await systemd.ctl('stop', 'faithd@lan')
    t.is(await systemd.show('Result'), 'success')
  },
)

testOfRoot(
  'with an empty FAITHD_USER the service keeps the capabilities of its unit',
  async (t) => {
    await using lab = await createLab()
    const systemd = await Systemd.start(lab, 'faithd')
    await put(systemd, '/etc/default/faithd', 'FAITHD_OPTIONS="-k -p"\nFAITHD_USER=\n')
    await install(systemd, 'faithd.service', '')
    await systemd.ctl('start', 'faithd')
    for (const { name, CapEff } of threadsOf(Number(await systemd.show('MainPID')))) {
      t.is(CapEff, UNITS, name)
    }
    const faithctl = ['/media/node', '/mnt/dist/cli/faithctl.js']
    await systemd.run(...faithctl, 'interface', 'create', 'made0', '-P', '3fff:8::/96')
    await systemd.ctl('stop', 'faithd')
    t.is(await systemd.show('Result'), 'success')
  },
)

test('install-service writes the unit and its user, and overwrites nothing else', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'faithd-install-'))
  t.teardown(() => rmSync(place, { recursive: true }))
  const faithd = join(root, 'dist/cli/faithd.js')
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [faithd, 'install-service', ...args], { encoding: 'utf8' })
  const first = run('--root', place)
  t.is(first.stderr, '')
  t.is(first.status, 0)
  const unit = join(place, 'etc/systemd/system/faithd.service')
  t.true(first.stdout.startsWith(`wrote ${unit}\nwrote ${place}/etc/sysusers.d/faithd.conf\n`))
  t.regex(
    first.stdout,
    /^Next:\n {2}systemd-sysusers faithd\.conf && systemctl daemon-reload\n {2}write \/etc\/faithd\/faithd\.toml, with keepfaith = true\n {2}systemctl enable --now faithd\n/m,
  )
  const text = readFileSync(unit, 'utf8')
  const command = `${process.execPath} ${faithd} --user=${'${FAITHD_USER}'} $FAITHD_OPTIONS`
  t.true(text.includes(`\nExecStart=${command}\n`))
  t.is(run('--print').stdout, text)
  t.true(run('--root', place).stdout.startsWith(`${unit} is as it should be\n`))

  execFileSync('systemd-sysusers', [`--root=${place}`, 'faithd.conf'])
  t.regex(readFileSync(join(place, 'etc/passwd'), 'utf8'), /^faithd:/m)

  writeFileSync(unit, '# mine\n')
  const refused = run('--root', place)
  t.is(refused.status, 78)
  t.is(
    refused.stderr,
    `faithd: ${unit} exists, and differs from the one for this installation; compare it with --print, or replace it with --force\n`,
  )
  t.is(readFileSync(unit, 'utf8'), '# mine\n')
  t.is(run('--root', place, '--force').status, 0)
  t.is(readFileSync(unit, 'utf8'), text)

  mkdirSync(join(place, 'etc/faithd'))
  writeFileSync(join(place, 'etc/faithd/lan.toml'), '')
  const instance = run('--root', place, '--instance', 'lan')
  t.regex(instance.stdout, /^ {2}systemctl enable --now faithd@lan$/m)
  t.notRegex(instance.stdout, /write \/etc/)
  t.regex(
    readFileSync(join(place, 'etc/systemd/system/faithd@.service'), 'utf8'),
    /--config \/etc\/faithd\/%i\.toml --control \/run\/faithd\/%i\.sock$/m,
  )

  t.is(run('--instance', 'a/b').status, 64)
  t.regex(
    run('--frobnicate').stderr,
    /^faithd: install-service: Unknown option '--frobnicate'.*; see faithd --help\n$/,
  )
})

test('paths with blanks and signs of systemd are quoted', (t) => {
  const command = /^ExecStart=(.*) --user=\$\{FAITHD_USER\} \$FAITHD_OPTIONS$/m
  const [, quoted] =
    command.exec(
      unitText('faithd.service', { node: '/opt/a b/node', script: '/opt/50%/$x/faithd.js' }),
    ) ?? []
  t.is(quoted, '"/opt/a b/node" /opt/50%%/$$x/faithd.js')
})
