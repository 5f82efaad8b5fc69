import test from 'ava'
import { UsageError } from '../cli/exit.js'
import { OPTIONS } from '../cli/option-table.js'
import { relayOptions } from '../cli/library-options.js'
import { parseOptions } from '../cli/options.js'
import { readRelayOptions } from '../lib/relay-options.js'
import { configured, interfaceOf, relayOf } from './fixtures/configured.js'

test('the default is every port of the well-known prefix, with the documented limits', (t) => {
  const { keepfaith, interface: interfaces } = configured()
  t.false(keepfaith)
  t.is(interfaces.length, 1)
  t.like(interfaceOf(), { name: 'faith0', prefixes: ['64:ff9b::/96'] })
  t.like(relayOf(), {
    ports: 'all',
    'connect-timeout': 10,
    'idle-timeout': 30 * 60,
    'keep-alive': 120,
    'client-prefix-length': 64,
    drain: 5,
  })
})

test('defaults of the command line are those of the library', (t) => {
  const { settings } = readRelayOptions({ ports: 'all', protocols: ['tcp', 'udp', 'icmp'] })
  t.deepEqual(readRelayOptions(relayOptions(relayOf())).settings, settings)
})

test('faithd relays every protocol, and a service of the command line is one of TCP', (t) => {
  t.is(relayOf().protocols, 'tcp,udp,icmp')
  t.is(relayOf('all').protocols, 'tcp,udp,icmp')
  t.is(relayOf('ssh,8000-8999').protocols, 'tcp')
  t.is(relayOf('domain', '--protocols', 'UDP,tcp').protocols, 'tcp,udp')
  t.is(relayOf('--protocols', 'tcp').protocols, 'tcp')
})

test('--permit and --deny keep their order', (t) => {
  const args = ['--deny', '10.1.0.0/16', '--permit', '10.0.0.0/8', '--deny=192.0.2.1']
  t.deepEqual(relayOf(...args).rules, [
    'deny 10.1.0.0/16',
    'permit 10.0.0.0/8',
    'deny 192.0.2.1/32',
  ])
})

test('a given prefix replaces the well-known one', (t) => {
  const { prefixes } = interfaceOf('-P', '2001:db8:64::/96', '--prefix=2001:db8:100::/40')
  t.deepEqual(prefixes, ['2001:db8:64::/96', '2001:db8:100::/40'])
})

test('one command line does not affect the next', (t) => {
  const before = configured()
  const maps = ['--map', '2001:db8::1=192.0.2.1', '--source', '192.0.2.1', '--proxy-protocol', '2']
  configured('-P', '2001:db8:64::/96', '--permit', '10.0.0.0/8', '-f', 'faithd.conf', ...maps)
  t.deepEqual(configured(), before)
})

test('seconds may be decimal, and become milliseconds', (t) => {
  const relay = relayOf('--connect-timeout', '0.5', '--idle-timeout', '0', '--drain', '12.001')
  t.is(relay.drain, 12.001)
  t.like(relayOptions(relay), { connectTimeoutMs: 500, idleTimeoutMs: 0 })
})

test("the command lines of BSD's faithd mean what they meant there", (t) => {
  t.deepEqual(configured('telnet').local, [])
  t.is(relayOf('-dp', '-f', '/etc/faithd.conf', 'ssh').ports, '22')
  t.like(relayOf('-dp', '-f', '/etc/faithd.conf', 'ssh'), {
    acl: ['/etc/faithd.conf'],
    'privileged-source': true,
  })
  t.is(configured('-dp', 'ssh').log.level, 'debug')

  const telnet = ['telnet', '/usr/libexec/telnetd', 'telnetd']
  t.is(relayOf(...telnet).ports, '23')
  const [local] = configured(...telnet).local
  t.like(local, { port: '23', command: ['/usr/libexec/telnetd'], argv0: 'telnetd' })
  const [ftp] = configured('-p', 'ftp', '/usr/libexec/ftpd', 'ftpd', '-l', '-k').local
  t.like(ftp, { port: '21', command: ['/usr/libexec/ftpd', '-l', '-k'], argv0: 'ftpd' })
  t.false(configured('ftp', '/usr/libexec/ftpd', 'ftpd', '-k').keepfaith)
})

test('a local server without a name of its own gets its path as its name', (t) => {
  const [local] = configured('ssh', '/usr/sbin/sshd').local
  t.like(local, { command: ['/usr/sbin/sshd'], argv0: '/usr/sbin/sshd' })
})

test('with --inetd every operand belongs to the local server', (t) => {
  const { asked, server, overrides } = parseOptions([
    '--inetd',
    '-p',
    '/usr/sbin/sshd',
    'sshd',
    '-i',
    '-k',
  ])
  t.true(asked.has('inetd'))
  t.deepEqual(server, { program: '/usr/sbin/sshd', argv0: 'sshd', args: ['-i', '-k'] })
  t.deepEqual([...overrides.keys()], ['relay'])
})

test('short options can be joined, and the service can stand anywhere', (t) => {
  const args = ['8080', '-kd', '-i', 'faith7']
  t.like(configured(...args), { keepfaith: true, log: { level: 'debug', format: 'text' } })
  t.is(interfaceOf(...args).name, 'faith7')
  t.is(relayOf(...args).ports, '8080')
})

test('ports are sorted and joined, so that the same ports are written the same way', (t) => {
  t.is(relayOf('443,ssh,8000-8005,8004-8010,81,80').ports, '22,80-81,443,8000-8010')
  t.is(relayOf('1-65535').ports, 'all')
})

const listen = (...args: string[]) => configured(...args).dns64.listen

test('--dns64 takes the address behind it, and means every own IPv6 address without one', (t) => {
  t.deepEqual(listen(), [])
  t.deepEqual(listen('--dns64'), ['[::]:53'])
  t.deepEqual(listen('--dns64', '-k'), ['[::]:53'])
  t.deepEqual(listen('--dns64', '192.0.2.1'), ['192.0.2.1:53'])
  t.deepEqual(listen('--dns64', '2001:db8::1', '-k'), ['[2001:db8::1]:53'])
  t.deepEqual(listen('--dns64=[2001:db8::1]'), ['[2001:db8::1]:53'])
  t.deepEqual(listen('--dns64', '[::1]:5300', '--dns64=192.0.2.1:5300'), [
    '[::1]:5300',
    '192.0.2.1:5300',
  ])
  const error = t.throws(() => configured('--dns64=ssh'), { instanceOf: UsageError })
  t.regex(error.message, /^--dns64: 'ssh' is not an IP address, or one with a port/)
})

test('an option that only the file has as a key names the place of the key', (t) => {
  for (const option of ['--all-servers', '--dns64-all-servers']) {
    const { message } = t.throws(() => configured(option), { instanceOf: UsageError })
    t.true(
      message.startsWith(`unknown option '${option}'; write all-servers in [dns64] of faithd.toml`),
    )
  }
  // An option sets this key.
  const { message } = t.throws(() => configured('--upstreams=::1'), { instanceOf: UsageError })
  t.regex(message, /^unknown option '--upstreams'/)
  t.notRegex(message, /faithd\.toml/)
})

test('a service behind --dns64 is a service', (t) => {
  const { dns64, interface: interfaces } = configured('--dns64', 'ssh')
  t.deepEqual(dns64.listen, ['[::]:53'])
  t.is(interfaces[0]?.relay[0]?.ports, '22')
  t.is(relayOf('--dns64', '192.0.2.1', 'ssh').ports, '22')
  t.is(relayOf('--dns64', '--', 'ssh').ports, '22')
})

test('words behind a local server are its own, also those that look like options', (t) => {
  const line = ['telnet', '/usr/sbin/telnetd', 'telnetd', '--dns64', '192.0.2.1']
  const { dns64, local } = configured(...line)
  t.deepEqual(dns64.listen, [])
  t.deepEqual(local[0]?.command, ['/usr/sbin/telnetd', '--dns64', '192.0.2.1'])
})

test('--dns64-upstream may be repeated, and keeps its order', (t) => {
  const args = ['--dns64-upstream', '192.0.2.54', '--dns64-upstream', '[2001:db8::53]:5353']
  t.deepEqual(configured(...args).dns64.upstreams, ['192.0.2.54:53', '[2001:db8::53]:5353'])
  const networks = ['--dns64-client', '2001:db8:1::/48', '--dns64-client', '::1/128']
  t.deepEqual(configured(...networks).dns64.clients, ['2001:db8:1::/48', '::1/128'])
})

const place = (given: string) => configured('--log-to', given).log.to

test('places of the log have one spelling each', (t) => {
  const same = ['stderr', 'journal', 'syslog', '/var/log/a b', 'syslog:/run/log', 'syslog:[::1]:9']
  for (const given of same) t.is(place(given), given)
  t.is(place('syslog:192.0.2.1'), 'syslog:192.0.2.1:514')
  t.is(place('syslog:2001:db8::5'), 'syslog:[2001:db8::5]:514')
  t.is(place('syslog:[2001:db8::5]'), 'syslog:[2001:db8::5]:514')
  t.is(configured().log.to, undefined)
})

test('a repeated flag has no further effect', (t) => {
  t.true(configured('-k', '-k', '--keepfaith').keepfaith)
})

test('every flag has an opposite, and both together are an error', (t) => {
  t.false(configured('--no-keepfaith').keepfaith)
  t.true(interfaceOf('--routes').routes)
  const error = t.throws(() => configured('--routes', '--no-routes'), { instanceOf: UsageError })
  t.is(error.message, '--no-routes: it does not go with --routes; see faithd --help')
})

test('the error for an unknown option suggests a known one', (t) => {
  const error = t.throws(() => configured('--idle-timout=5'), { instanceOf: UsageError })
  t.true(error.message.startsWith("unknown option '--idle-timout'; did you mean '--idle-timeout'?"))
})

/** Two values for each option that does not take numbers like 1 and 2. */
const values: Record<string, [string, string]> = {
  interface: ['faith1', 'faith2'],
  'advertise-lifetime': ['600', '1800'],
  'advertise-interval': ['200', '600'],
  local: ['refuse', 'host'],
  mtu: ['1280', '1500'],
  unsupported: ['drop', 'unreachable'],
  mapping: ['low32', 'rfc6052'],
  config: ['one.toml', 'other.toml'],
  protocols: ['tcp', 'udp'],
  'udp-oversize': ['drop', 'fragment'],
  'udp-filtering': ['address-dependent', 'endpoint-independent'],
  'keep-alive': ['30', '60'],
  'log-to': ['/var/log/faithd.log', 'journal'],
  'log-facility': ['daemon', 'local7'],
  'log-format': ['json', 'text'],
  'log-level': ['warn', 'info'],
  'log-records': ['blocks', 'sessions'],
  ipfix: ['192.0.2.9:4739', '[2001:db8::9]:4739'],
}

for (const { long, value, sets } of OPTIONS) {
  if (value === undefined || sets?.setting.kind.form.type === 'list') continue
  test(`--${long} takes one value; the error for two names the option`, (t) => {
    const [first, second] = values[long] ?? ['1', '2']
    const twice = [`--${long}=${first}`, `--${long}=${second}`]
    const error = t.throws(() => parseOptions(twice), { instanceOf: UsageError })
    t.is(
      error.message,
      `--${long}: it takes one ${value}, and was given '${first}' before '${second}'; see faithd --help`,
    )
    t.notThrows(() => parseOptions(twice.slice(0, 1)))
  })
}

test('flags turn off defaults', (t) => {
  const flags = ['--no-routes', '--no-shortcut', '--no-connect-first', '--allow-loopback']
  t.like(interfaceOf(...flags), { routes: false, shortcut: false })
  t.like(relayOf(...flags), { 'connect-first': false, 'allow-loopback': true })
})

test('--map and --source may be repeated, and keep their order', (t) => {
  const maps = ['2001:db8:64:a::/120=198.51.100.0/24', '2001:db8:64::80=198.51.100.80:8080']
  const sources = ['192.0.2.1', '192.0.2.2']
  const args = [
    ...maps.flatMap((map) => ['--map', map]),
    ...sources.flatMap((source) => ['--source', source]),
  ]
  const relay = relayOf(...args)
  t.like(relay, { map: maps, source: sources })
  t.like(relayOptions(relay), { mappings: maps, localAddresses: sources })
})

const settings: [args: string[], settings: object][] = [
  [['-p'], { privilegedLocalPort: true }],
  [['--copy-dscp'], { copyDscp: true }],
  [['--proxy-protocol', '1'], { proxyProtocol: 1 }],
  [['--proxy-protocol', '2'], { proxyProtocol: 2 }],
  [['--max-held', '100', '--max-held-per-client', '10'], { maxHeld: 100, maxHeldPerClient: 10 }],
  [['--keep-alive', '30'], { keepAliveTimeoutMs: 30_000 }],
  [['--max-sessions-per-client', '100'], { maxSessionsPerClient: 100 }],
  [['--max-rate-per-client', '20'], { maxRatePerClient: 20 }],
  [['--client-prefix-length', '128'], { clientPrefixLength: 128 }],
]

for (const [args, expected] of settings) {
  test(`${args.join(' ')} sets ${Object.keys(expected).join(' and ')}`, (t) => {
    t.like(relayOptions(relayOf(...args)), expected)
  })
}

test('-f names access lists, and --end-denied sets the effect of reading them again', (t) => {
  t.like(relayOf('-f', 'faithd.conf'), { acl: ['faithd.conf'], 'end-denied': false })
  t.like(relayOf('--acl=a', '-f', 'b', '--end-denied'), { acl: ['a', 'b'], 'end-denied': true })
})

const misunderstood: [args: string[], complaint: string][] = [
  [['--frobnicate'], "unknown option '--frobnicate'"],
  [['-x'], "unknown option '-x'"],
  [['-i'], '-i: argument missing: NAME'],
  [['-i', '-k'], "-i: argument missing: NAME, before '-k'"],
  [['--drain', '--no-routes'], "--drain: argument missing: SECONDS, before '--no-routes'"],
  [['--no-routes=yes'], 'does not take an argument'],
  [['70000'], "port '70000' is out of range"],
  [['22,'], "'' is not a port"],
  [['90-80'], "'90-80' ends before it begins"],
  [['no-such-service'], "no TCP service is named 'no-such-service'"],
  [
    ['ssh', 'http'],
    "'http' is not the whole path of a local server; if it is a service, name several",
  ],
  [['--inetd', 'telnetd'], "'telnetd' is not the whole path of a local server"],
  [
    ['--inetd', '/usr/sbin/sshd', '-i'],
    "'-i' would be the name of /usr/sbin/sshd for itself; write the name before it: /usr/sbin/sshd sshd -i",
  ],
  [['ssh', '/usr/sbin/sshd', '-i'], "'-i' would be the name of /usr/sbin/sshd for itself"],
  [['-P', '64:ff9b::'], "-P: '64:ff9b::' is not an IPv6 prefix"],
  [['--permit', '10.0.0.0/33'], "--permit: '10.0.0.0/33' is not an IPv4 prefix"],
  [['--deny', '64:ff9b::/96'], "--deny: '64:ff9b::/96' is not an IPv4 prefix"],
  [['--mapping', 'rfc9999'], "--mapping: 'rfc9999' is not one of rfc6052, low32"],
  [['--unsupported', 'ignore'], "--unsupported: 'ignore' is not one of unreachable, drop"],
  [['--mtu', '1279'], "--mtu: '1279' is not a whole number from 1280 to 65535"],
  [['--connect-timeout', '0'], "--connect-timeout: '0' is not a positive number of seconds"],
  [['--idle-timeout', 'soon'], "--idle-timeout: 'soon' is not a zero or positive number"],
  [['--drain', '-1'], "--drain: '-1' is not a zero or positive number of seconds"],
  [['--drain=-1'], "--drain: '-1' is not a zero or positive number of seconds"],
  [['--max-held', '-5'], "--max-held: '-5' is not a whole number from 1 to"],
  [['--drain', '1e9'], "--drain: '1e9' is not a zero or positive number"],
  [['--max-sessions', '1.5'], "--max-sessions: '1.5' is not a whole number"],
  [['--max-held', '0'], "--max-held: '0' is not a whole number from 1 to"],
  [['--keep-alive', '1'], "--keep-alive: '1' is not a whole number from 2 to 64800"],
  [['--client-prefix-length', '129'], "'129' is not a whole number from 0 to 128"],
  [['--proxy-protocol', '3'], "--proxy-protocol: '3' is not one of 1, 2"],
  [['--source', '2001:db8::1'], "--source: '2001:db8::1' is not an IPv4 address"],
  [['--map', '2001:db8::1'], "--map: '2001:db8::1' is not a mapping"],
  [['--map', '192.0.2.1=2001:db8::1'], "--map: '192.0.2.1=2001:db8::1' is not a mapping"],
  [['--map', '2001:db8::1=192.0.2.1:80:81'], 'is not a mapping'],
  [['--log-to', 'file.log'], "--log-to: 'file.log' is not stderr, journal, syslog"],
  [['--log-to', 'syslog:localhost'], "--log-to: 'syslog:localhost' is not stderr"],
  [['--log-to', 'syslog:192.0.2.1:0'], "--log-to: 'syslog:192.0.2.1:0' is not stderr"],
  [['--log-facility', 'mail'], "--log-facility: 'mail' is not one of daemon, user"],
  [['--log-enterprise', '0'], "--log-enterprise: '0' is not a whole number"],
  [['--log-format', 'xml'], "--log-format: 'xml' is not one of text, json"],
  [['--log-level', 'loud'], "--log-level: 'loud' is not one of"],
]

for (const [args, complaint] of misunderstood) {
  test(`${args.join(' ')} is a usage error`, (t) => {
    const error = t.throws(() => parseOptions(args), { instanceOf: UsageError })
    t.true(error.message.includes(complaint), error.message)
    t.is(error.exitCode, 64)
  })
}
