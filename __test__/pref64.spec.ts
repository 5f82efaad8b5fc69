/** `faithd pref64`: the text for each daemon, where the prefixes come from, and what it refuses. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { parseOptions } from '../cli/options.js'
import { pref64 } from '../cli/pref64/command.js'
import { optionBytes, readLifetime, readPref64 } from '../cli/pref64/prefix.js'
import { ADVERTISERS } from '../cli/pref64/recipes.js'
import { ControlSocket, faith } from './fixtures/fake-daemon.js'

const command = fileURLToPath(new URL('../cli/faithd.ts', import.meta.url))

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faithd-pref64-'))
})
test.after.always(() => rm(folder, { recursive: true }))

/** The lines without the comment. */
async function lines(...args: string[]): Promise<string[]> {
  const text = await pref64(args)
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

const ours = ['-P', '64:ff9b::/96']

test('radvd gets a block for each prefix', async (t) => {
  t.deepEqual(await lines('--for', 'radvd', ...ours, '-P', '2001:db8:64::/48'), [
    'nat64prefix 64:ff9b::/96',
    '{',
    '\tAdvValidLifetime 1800;',
    '};',
    'nat64prefix 2001:db8:64::/48',
    '{',
    '\tAdvValidLifetime 1800;',
    '};',
  ])
})

test('networkd gets a section for each prefix', async (t) => {
  t.deepEqual(await lines('--for', 'networkd', ...ours, '--lifetime', '600'), [
    '[IPv6PREF64Prefix]',
    'Prefix=64:ff9b::/96',
    'LifetimeSec=600',
  ])
})

test('BIRD gets the bytes of the option', async (t) => {
  // The example of BIRD's guide: an hour of 2001:db8:a:b::/96.
  t.deepEqual(await lines('--for', 'bird', '-P', '2001:db8:a:b::/96', '--lifetime', '3600'), [
    'custom option type 38 value hex:0e:10:20:01:0d:b8:00:0a:00:0b:00:00:00:00; # 2001:db8:a:b::/96',
  ])
})

test('odhcpd gets commands for one prefix, and no lifetime', async (t) => {
  t.deepEqual(await lines('--for', 'odhcpd', ...ours, '--link', 'guests'), [
    "uci set dhcp.guests.ra_pref64='64:ff9b::/96'",
    'uci commit dhcp',
    'service odhcpd restart',
  ])
  await t.throwsAsync(lines('--for', 'odhcpd', ...ours, '-P', '2001:db8:64::/96'), {
    message: 'odhcpd advertises one prefix, and there are 2; choose it with -P',
  })
  await t.throwsAsync(lines('--for', 'odhcpd', ...ours, '--lifetime', '600'), {
    message: '--lifetime: odhcpd has no setting for it; leave it out',
  })
})

test('VyOS gets a command for each prefix', async (t) => {
  t.deepEqual(await lines('--for', 'vyos', ...ours), [
    'set service router-advert interface eth1 nat64prefix 64:ff9b::/96 valid-lifetime 1800',
  ])
})

for (const advertiser of ADVERTISERS) {
  test(`the comment for ${advertiser} names its version, and option 108`, async (t) => {
    const text = await pref64(['--for', advertiser, ...ours])
    const comment = text.split('\n').filter((line) => line.startsWith('# '))
    t.regex(comment.join('\n'), /\b\d+(?:\.\d+)? or later/)
    t.regex(comment.join('\n'), /option 108/)
    t.true(
      comment.every((line) => line.length <= 100),
      text,
    )
  })
}

test('a prefix is written in its shortest form, and once', async (t) => {
  const given = ['-P', '0064:FF9B:0::0/96', ...ours]
  t.deepEqual(await lines('--for', 'vyos', ...given), await lines('--for', 'vyos', ...ours))
})

for (const [length, code, network] of [
  [96, 0, '2001:db8:1:2:3:4:'],
  [64, 1, '2001:db8:1:2:'],
  [56, 2, '2001:db8:1:200:'],
  [48, 3, '2001:db8:1:'],
  [40, 4, '2001:db8:100:'],
  [32, 5, '2001:db8:'],
] as const) {
  test(`/${length} has the code ${code}`, (t) => {
    const bytes = optionBytes(readPref64(`${network}:/${length}`), 65_528)
    t.is(bytes.length, 14)
    t.deepEqual(bytes.slice(0, 2), [0xff, 0xf8 | code])
    t.deepEqual(bytes.slice(2, 6), [0x20, 0x01, 0x0d, 0xb8])
  })
}

test('each bit of a prefix is in its place', (t) => {
  const prefix = readPref64('fedc:ba98:7654:3210:12:5678::/96')
  t.deepEqual(
    optionBytes(prefix, 8),
    [0, 8, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0x00, 0x12, 0x56, 0x78],
  )
})

test('a prefix with a dotted end is read', (t) => {
  t.is(readPref64('64:ff9b::0.0.0.0/96').text, '64:ff9b::/96')
})

test('a lifetime is rounded up to a multiple of 8', (t) => {
  t.deepEqual(
    ['1', '8', '9', '1800', '65521', '65528'].map(readLifetime),
    [8, 8, 16, 1800, 65_528, 65_528],
  )
})

for (const [args, complaint] of [
  [[], 'pref64: name the daemon with --for: radvd, networkd, bird, odhcpd, vyos'],
  [['--for', 'dnsmasq'], "--for: 'dnsmasq' is not one of radvd, networkd, bird, odhcpd, vyos"],
  [
    ['--for', 'radvd', '-P', '64:ff9b::/95'],
    "-P: '64:ff9b::/95' has a length that PREF64 cannot carry; RFC 8781 has /96, /64, /56, /48, /40, /32 alone",
  ],
  [
    ['--for', 'radvd', '-P', '2001:db8::1/96'],
    "-P: '2001:db8::1/96' has bits behind its length; write 2001:db8::/96",
  ],
  [
    ['--for', 'radvd', '-P', '192.0.2.0/24'],
    "-P: '192.0.2.0/24' is not an IPv6 prefix such as 64:ff9b::/96",
  ],
  [
    ['--for', 'radvd', ...ours, '--lifetime', '0'],
    "--lifetime: '0' is not a whole number of seconds from 1 to 65528",
  ],
  [
    ['--for', 'radvd', ...ours, '--lifetime', '65529'],
    "--lifetime: '65529' is not a whole number of seconds from 1 to 65528",
  ],
  [
    ['--for', 'vyos', ...ours, '--link', 'eth1; reboot'],
    "--link: 'eth1; reboot' is not the name of an interface",
  ],
] as const) {
  test(`${['faithd pref64', ...args].join(' ')} is refused`, async (t) => {
    await t.throwsAsync(pref64(args), { message: `${complaint}; see faithd --help` })
  })
}

test('unknown options and operands are refused', async (t) => {
  await t.throwsAsync(pref64(['--for', 'radvd', '--prefixes', 'x']), {
    message: /^pref64: .*--pre/,
  })
  await t.throwsAsync(pref64(['radvd']), { message: /^pref64: .*'radvd'/ })
})

async function file(...text: string[]): Promise<string> {
  const path = join(folder, `${text.length}-${Math.random()}.toml`)
  await writeFile(path, text.join('\n'))
  return path
}

test('-c takes the prefixes of a file', async (t) => {
  const path = await file(
    '[[interface]]',
    'prefixes = ["2001:db8:64::/96", "2001:db8:65::/64"]',
    '[[interface]]',
    'name = "faith1"',
    'prefixes = ["2001:db8:66::/96"]',
  )
  const shown = await lines('--for', 'networkd', '-c', path)
  t.deepEqual(
    shown.filter((line) => line.startsWith('Prefix=')),
    ['Prefix=2001:db8:64::/96', 'Prefix=2001:db8:65::/64', 'Prefix=2001:db8:66::/96'],
  )
})

test('a mapping that hosts cannot know is refused for all lengths but 96', async (t) => {
  const relay = ['[[interface.relay]]', 'mapping = "low32"']
  const short = await file('[[interface]]', 'prefixes = ["2001:db8:64::/64"]', ...relay)
  await t.throwsAsync(lines('--for', 'radvd', '-c', short), {
    message: /2001:db8:64::\/64 has mapping = "low32"/,
  })
  const long = await file('[[interface]]', 'prefixes = ["2001:db8:64::/96"]', '', ...relay)
  t.is((await lines('--for', 'radvd', '-c', long))[0], 'nat64prefix 2001:db8:64::/96')
})

/** A running faithd with these interfaces, until the test ends. */
async function running(t: ExecutionContext, interfaces: object[]): Promise<{ path: string }> {
  const daemon = await ControlSocket.open({
    'GET /v1/interfaces': () => ({ body: { interfaces } }),
  })
  t.teardown(() => daemon.close())
  return daemon
}

test('--control takes the prefixes of a running faithd, and -P and -c go before it', async (t) => {
  const interfaces = [
    { ...faith, prefixes: ['2001:db8:a::/96'] },
    { ...faith, name: 'faith1', prefixes: ['2001:db8:b::/96'] },
  ]
  const daemon = await running(t, interfaces)
  const shown = (...more: string[]) =>
    lines('--for', 'vyos', '--control', daemon.path, ...more).then((all) =>
      all.map((line) => line.split(' ')[6]),
    )
  t.deepEqual(await shown(), ['2001:db8:a::/96', '2001:db8:b::/96'])
  const path = await file('[[interface]]', 'prefixes = ["2001:db8:c::/96"]')
  t.deepEqual(await shown('-c', path), ['2001:db8:c::/96'])
  t.deepEqual(await shown('-c', path, '-P', '2001:db8:d::/96'), ['2001:db8:d::/96'])
})

test('a daemon without a prefix, and one that does not run, are errors', async (t) => {
  const interfaces = [{ ...faith, prefixes: [] }]
  const daemon = await running(t, interfaces)
  await t.throwsAsync(lines('--for', 'vyos', '--control', daemon.path), {
    message: /there is no prefix/,
  })
  await t.throwsAsync(lines('--for', 'vyos', '--control', join(folder, 'none.sock')), {
    message: /none\.sock does not exist/,
  })
})

/** Runs faithd until it ends. */
function faithd(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import=@oxc-node/core/register', command, ...args],
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    )
  })
}

test('pref64 is a command as the first word', async (t) => {
  const { code, stdout, stderr } = await faithd('pref64', '--for', 'radvd', ...ours)
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  t.is(stdout, await pref64(['--for', 'radvd', ...ours]))
  const refused = await faithd('pref64', '--for', 'radvd', '-P', '::/0')
  t.is(refused.code, 64)
  t.regex(refused.stderr, /^faithd: -P: '::\/0' has a length/)
})

for (const before of ['-k', '--']) {
  test(`pref64 is a service behind ${before}, as on BSD`, (t) => {
    t.throws(() => parseOptions([before, 'pref64']), {
      message: /no TCP service is named 'pref64'/,
    })
  })
}
