/** `faithd --check` and `faithd --print-config`, and what a file does to a start that fails. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { parseConfiguration } from '../cli/configuration-file.js'
import { configured } from './fixtures/configured.js'

const command = fileURLToPath(new URL('../cli/faithd.ts', import.meta.url))

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faithd-check-'))
})
test.after.always(() => rm(folder, { recursive: true }))

interface Outcome {
  code: unknown
  stdout: string
  stderr: string
}

const program = [process.execPath, '--import=@oxc-node/core/register', command]

/** Runs a program to its end. */
function run(executable: string, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(executable, args, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    )
  })
}

function faithd(...args: string[]): Promise<Outcome> {
  const [node = '', ...before] = program
  return run(node, ...before, ...args)
}

let files = 0
async function file(...lines: string[]): Promise<string> {
  files += 1
  const path = join(folder, `${files}.toml`)
  await writeFile(path, lines.map((line) => `${line}\n`).join(''))
  return path
}

test.serial(
  '--check prints the configuration in effect, as a file that has the same effect',
  async (t) => {
    const path = await file(
      'keepfaith = true',
      '[[interface]]',
      'mtu = 1500',
      '[[interface.relay]]',
      'drain = 9',
    )
    const { code, stdout, stderr } = await faithd(
      '--check',
      '-c',
      path,
      '--drain',
      '2',
      '-i',
      'faith3',
    )
    t.is(code, 0, stderr)
    const { configuration } = parseConfiguration(stdout, '/printed.toml')
    t.like(configuration.interface[0], { name: 'faith3', mtu: 1500 })
    t.like(configuration.interface[0]?.relay[0], { drain: 2, 'connect-timeout': 10 })
    t.regex(stdout, /^connect-timeout = 10$/m)
    const again = await faithd('--check', '-c', await file(stdout))
    t.is(again.stdout, stdout)
  },
)

test.serial(
  '--print-config turns a command line into a file, with defaults as comments',
  async (t) => {
    const args = [
      '-k',
      '-P',
      '2001:db8:64::/96',
      '--permit',
      '10.0.0.0/8',
      '--no-routes',
      'ssh,http',
    ]
    const { code, stdout } = await faithd('--print-config', ...args)
    t.is(code, 0)
    t.deepEqual(parseConfiguration(stdout, '/printed.toml').configuration, configured(...args))
    t.regex(stdout, /^rules = \["permit 10\.0\.0\.0\/8"\]$/m)
    t.regex(stdout, /^# connect-timeout = 10$/m)
  },
)

test.serial('--check warns of records by port block where no relay gives blocks', async (t) => {
  const { code, stderr } = await faithd('--check', '-k', '--log-records', 'blocks')
  t.is(code, 0)
  t.true(
    stderr.startsWith('faithd: warning: --log-records blocks records nothing without '),
    stderr,
  )
  const blocks = ['--port-block', '512', '--source', '127.0.0.1']
  t.is((await faithd('--check', '-k', '--log-records', 'blocks', ...blocks)).stderr, '')
})

test.serial('--check tells every error of a file at once, and exits with 78', async (t) => {
  const path = await file('keepfaith = 1', 'frobnicate = 1')
  const { code, stdout, stderr } = await faithd('--check', '-c', path)
  t.is(code, 78)
  t.is(stdout, '')
  t.regex(
    stderr,
    new RegExp(`^faithd: ${path}:1:13: keepfaith: .*\nfaithd: ${path}:2:1: frobnicate: .*\n$`),
  )
})

for (const [who, first, second, effect] of [
  ['the first of two relays', [], [], ['tcp,udp,icmp', 'tcp,udp']],
  ['the relay that names them', [], ['protocols = "icmp,tcp"'], ['tcp,udp', 'tcp,icmp']],
] as const) {
  test.serial(`${who} has the pings of an interface`, async (t) => {
    const path = await file(
      'keepfaith = true',
      '[[interface]]',
      '[[interface.relay]]',
      'ports = 80',
      ...first,
      '[[interface.relay]]',
      'ports = 443',
      ...second,
    )
    const { code, stdout } = await faithd('--check', '-c', path)
    t.is(code, 0)
    t.deepEqual(
      [...stdout.matchAll(/^protocols = "(.*)"$/gm)].map(([, protocols]) => protocols),
      [...effect],
    )
  })
}

test.serial('two relays that name pings are an error', async (t) => {
  const relay = ['[[interface.relay]]', 'protocols = "icmp"']
  const path = await file('keepfaith = true', '[[interface]]', ...relay, 'ports = 1', ...relay)
  const { code, stderr } = await faithd('--check', '-c', path)
  t.is(code, 78)
  t.regex(stderr, /:7:13: interface\.relay\.protocols: another relay of the interface has icmp/)
})

test.serial(
  '--check finds what only the library can judge, and what does not go together',
  async (t) => {
    const list = join(folder, 'bad.conf')
    await writeFile(list, '::/0 permit 10.0.0.0/8\n::/0 permti 10.0.0.0/8\n')
    const path = await file(
      'keepfaith = true',
      '[[interface]]',
      'name = "a/b"',
      'prefixes = ["64:ff9b::1/96"]',
      '[[interface.relay]]',
      'ports = [22, "80-90"]',
      'rules = ["permit 10.0.0.0/8", "deny 10.0.0.1/8"]',
      '[[interface.relay]]',
      'ports = 85',
      'acl = "bad.conf"',
      '[[interface.relay]]',
      'ports = 99',
      'map = ["2001:db8::/96=192.0.2.1"]',
      '[[interface]]',
      'name = "a/b"',
      'prefixes = ["2001:db8::/32", "2001:db8:1::/48"]',
    )
    const { code, stderr } = await faithd('--check', '-c', path)
    t.is(code, 78)
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(`faithd: ${folder}/`, ''))
    const name = path.replace(`${folder}/`, '')
    for (const [index, says] of [
      `${name}:3:8: interface.name: \`a/b\` is not a legal interface name`,
      `${name}:4:13: interface.prefixes: `,
      `${name}:7:31: interface.relay.rules: destination: `,
      `${name}:9:9: interface.relay.ports: another relay of the interface has port 85`,
      `${name}:11:3: interface.relay: `,
      `${name}:15:8: interface.name: \`a/b\` is not a legal interface name`,
      `${name}:15:8: interface.name: another interface is named a/b`,
      `${name}:16:30: interface.prefixes: 2001:db8:1::/48 overlaps 2001:db8::/32`,
      'bad.conf:2: ',
    ].entries()) {
      t.true(lines[index]?.startsWith(says), `${says}\n${stderr}`)
    }
    t.is(lines.length, 9, stderr)
  },
)

test.serial(
  'a file that is missing, and one by which nothing is captured, end faithd with 78',
  async (t) => {
    const missing = await faithd('-c', join(folder, 'missing.toml'))
    t.is(missing.code, 78)
    t.regex(
      missing.stderr,
      /^faithd: cannot read the configuration .*missing\.toml: no such file or directory\n$/,
    )
    const path = await file('[log]', 'format = "json"')
    const off = await faithd('-c', path)
    t.is(off.code, 78)
    const { level, msg } = JSON.parse(off.stderr) as { level: string; msg: string }
    t.is(level, 'fatal')
    t.is(
      msg,
      `keepfaith is 0, so nothing would be captured; set it to 1 with -k, or write keepfaith = true in ${path}`,
    )
  },
)

test.serial('a fault of the command line beside a file is a usage error', async (t) => {
  const path = await file('keepfaith = true')
  const { code, stderr } = await faithd('--check', '-c', path, '-P', '64:ff9b::1/96')
  t.is(code, 64)
  t.regex(stderr, /^faithd: -P: .*; see faithd --help\n$/)
})

/** Runs faithd where /etc has nothing but a folder for its file. */
function withEtc(script: string): Promise<Outcome> {
  const hide = 'mount -t tmpfs tmpfs /etc && mkdir /etc/faithd && '
  return run('unshare', '-m', 'sh', '-c', `${hide}${script}`, 'sh', ...program)
}

test.serial(
  '/etc/faithd/faithd.toml is read where it exists and -c names no other file',
  async (t) => {
    const write = 'echo \'[[interface]]\nname = "faith9"\' > /etc/faithd/faithd.toml && '
    const named = /^name = "faith9"$/m
    t.regex((await withEtc(`${write}"$@" --print-config`)).stdout, named)
    t.notRegex((await withEtc(`${write}"$@" --print-config -c /dev/null`)).stdout, named)
    t.notRegex((await withEtc('"$@" --print-config')).stdout, named)
  },
)
