/** faithd.toml is read, or every error in it is told with its place and what would be right. */
import test from 'ava'
import { ConfigurationError } from '../cli/complaints.js'
import { parseConfiguration } from '../cli/configuration-file.js'
import { defaults, override, type Configuration } from '../cli/configuration.js'
import { UsageError } from '../cli/exit.js'
import { LOG } from '../cli/settings/log.js'
import { parseOptions } from '../cli/options.js'

const FILE = '/etc/faithd/faithd.toml'

function read(...lines: string[]): Configuration {
  return parseConfiguration(lines.join('\n'), FILE).configuration
}

/** Returns the complaints about a refused file, without the file's name. */
function complaints(...lines: string[]): string[] {
  try {
    read(...lines)
  } catch (error) {
    if (!(error instanceof ConfigurationError) || error.exitCode !== 78) throw error
    return error.message.split('\n').map((line) => line.replace(`${FILE}:`, ''))
  }
  throw new Error('the file was read')
}

test('an empty file asks for what no file asks for', (t) => {
  t.deepEqual(read(), defaults())
  t.deepEqual(read('# nothing', '[log]', '[[interface]]', '[[interface.relay]]'), defaults())
})

test('a file has several interfaces, and each has relays of its own', (t) => {
  const {
    keepfaith,
    log,
    interface: interfaces,
  } = read(
    'keepfaith = true',
    'log = { level = "warn" }',
    '[[interface]]',
    'name = "faith0"',
    '[[interface.relay]]',
    'ports = ["ssh", 8000, "9000-9010"]',
    'connect-timeout = 0.5',
    '[[interface.relay]]',
    'ports = 80',
    'acl = "web.conf"',
    '[[interface]]',
    'name = "faith1"',
    'prefixes = ["2001:db8:64::/96"]',
    'routes = false',
  )
  t.true(keepfaith)
  t.deepEqual(log, { ...defaults().log, level: 'warn' })
  t.deepEqual(
    interfaces.map(({ name, routes, relay }) => [name, routes, relay.map(({ ports }) => ports)]),
    [
      ['faith0', true, ['22,8000,9000-9010', '80']],
      ['faith1', false, ['all']],
    ],
  )
  t.is(interfaces[0]?.relay[0]?.['connect-timeout'], 0.5)
  t.deepEqual(interfaces[1]?.relay, defaults().interface[0]?.relay)
})

test('paths in a file are relative to its folder', (t) => {
  const { interface: interfaces } = read(
    '[[interface]]',
    '[[interface.relay]]',
    'acl = ["a.conf", "/b.conf"]',
  )
  t.deepEqual(interfaces[0]?.relay[0]?.acl, ['/etc/faithd/a.conf', '/b.conf'])
})

const relay = ['[[interface]]', '[[interface.relay]]']

const refused: [what: string, lines: string[], says: string][] = [
  [
    'a misspelt key',
    ['keepfaht = true'],
    '1:1: keepfaht: there is no such key; did you mean `keepfaith`?',
  ],
  [
    'a key without a likeness',
    ['[log]', 'x = 1'],
    `2:1: log.x: there is no such key; [log] has ${Object.keys(LOG).join(', ')}`,
  ],
  [
    'a key of another table',
    ['mtu = 1500'],
    '1:1: mtu: it is a key of [[interface]], not of the top of the file',
  ],
  [
    'a misspelt key of another table',
    ['[[interface]]', 'idle-timout = 5'],
    '2:1: interface.idle-timout: there is no such key; did you mean `idle-timeout`?',
  ],
  [
    'the name of an option',
    ['[[interface]]', 'prefix = []'],
    '2:1: interface.prefix: the file calls it `prefixes`',
  ],
  [
    'the name of a flag that is off',
    [...relay, 'no-connect-first = true'],
    '3:1: interface.relay.no-connect-first: the file calls it `connect-first`: write connect-first = false',
  ],
  [
    'a misspelt value',
    ['[log]', 'level = "debgu"'],
    "2:9: log.level: 'debgu' is not one of fatal, error, warn, info, debug, silent; did you mean 'debug'?",
  ],
  [
    'a number with its unit',
    [...relay, 'connect-timeout = "10s"'],
    "3:19: interface.relay.connect-timeout: '10s' is not a positive number of seconds; for example connect-timeout = 10",
  ],
  [
    'a number that is out of bounds',
    [...relay, 'keep-alive = 1'],
    '3:14: interface.relay.keep-alive: 1 is not a whole number from 2 to 64800; for example keep-alive = 120',
  ],
  [
    'a number that is not finite',
    [...relay, 'idle-timeout = inf'],
    '3:16: interface.relay.idle-timeout: Infinity is not a zero or positive number of seconds; for example idle-timeout = 1800',
  ],
  [
    'a text for a flag',
    ['keepfaith = "yes"'],
    "1:13: keepfaith: 'yes' is not true or false; for example keepfaith = true",
  ],
  [
    'one of several values',
    ['[[interface]]', 'prefixes = ["64:ff9b::/96",', ' "64:ff9b::"]'],
    "3:2: interface.prefixes: '64:ff9b::' is not an IPv6 prefix such as 64:ff9b::/96",
  ],
  [
    'a value without its array',
    ['[[interface]]', 'prefixes = "64:ff9b::/96"'],
    '2:12: interface.prefixes: \'64:ff9b::/96\' is not an array of texts, each an IPv6 prefix such as 64:ff9b::/96; for example prefixes = ["64:ff9b::/96"]',
  ],
  [
    'an unknown service',
    [...relay, 'ports = ["no-such-service"]'],
    '3:9: interface.relay.ports: no TCP service is named \'no-such-service\' in /etc/services; for example ports = "all"',
  ],
  [
    'a rule without its action',
    [...relay, 'rules = ["10.0.0.0/8"]'],
    "3:10: interface.relay.rules: '10.0.0.0/8' is not a rule such as 'permit 198.51.100.0/24' or '2001:db8::/32 deny 0.0.0.0/0 port 25'",
  ],
  [
    'a table with one bracket',
    ['[interface]', 'name = "faith1"'],
    '1:2: interface: an object is not [[interface]], with two brackets',
  ],
  [
    'a relay without its interface',
    ['[[interface.relay]]', 'ports = 80'],
    '1:3: interface: write a line [[interface]] above the first [[interface.relay]]',
  ],
  [
    'a text without quotes',
    ['[log]', 'level = info'],
    '2:12: must be a newline; texts stand in quotes: level = "info"',
  ],
  [
    'a key that is defined twice',
    ['keepfaith = true', 'keepfaith = false'],
    '2:1: it is already defined above; keep one of them',
  ],
]

for (const [what, lines, says] of refused) {
  test(`${what} is refused, with its place and what would be right`, (t) => {
    t.deepEqual(complaints(...lines), [says])
  })
}

test('every error of a file is told at once, in the order of its lines', (t) => {
  const lines = ['keepfaith = 1', 'x = 1', '[[interface]]', 'mtu = 1', '[[interface]]', 'y = 1']
  const places = complaints(...lines).map((line) => line.replace(/^(\d+:\d+: \S+):.*/, '$1'))
  t.deepEqual(places, ['1:13: keepfaith', '2:1: x', '4:7: interface.mtu', '6:1: interface.y'])
})

test('no key of a file reaches the prototype of objects', (t) => {
  t.regex(complaints('__proto__.polluted = 1')[0] ?? '', /^1:1: __proto__: there is no such key/)
  t.regex(complaints('[__proto__]', 'polluted = 1')[0] ?? '', /__proto__: there is no such key/)
  t.regex(complaints('x = { __proto__ = { polluted = 1 } }')[0] ?? '', /there is no such key/)
  t.false('polluted' in {})
})

function overridden(lines: string[], ...args: string[]): Configuration {
  return override(read(...lines), parseOptions(args).overrides)
}

test('options override the file: one value, or all values of a list', (t) => {
  const lines = [
    '[[interface]]',
    'prefixes = ["2001:db8:1::/96", "2001:db8:2::/96"]',
    'mtu = 1500',
    '[[interface.relay]]',
    'rules = ["permit 10.0.0.0/8"]',
    'drain = 9',
  ]
  const args = ['-P', '2001:db8:3::/96', '--permit', '192.0.2.0/24', '--drain', '1', '-d', 'ssh']
  const { log, interface: interfaces } = overridden(lines, ...args)
  t.is(log.level, 'debug')
  t.like(interfaces[0], { prefixes: ['2001:db8:3::/96'], mtu: 1500 })
  t.like(interfaces[0]?.relay[0], { ports: '22', rules: ['permit 192.0.2.0/24'], drain: 1 })
})

const several = [
  '[[interface]]',
  '[[interface.relay]]',
  'ports = 22',
  '[[interface.relay]]',
  'ports = 80',
  '[[interface]]',
  'name = "faith1"',
]

for (const [args, says] of [
  [
    ['-P', '64:ff9b::/96'],
    '-P: the file has 2 interfaces, so write `prefixes` in the file, where it says which one',
  ],
  [
    ['--drain', '1'],
    '--drain: the file has 2 interfaces, so write `drain` in the file, where it says which one',
  ],
  [
    ['ssh'],
    "'ssh': the file has 2 interfaces, so write `ports` in the file, where it says which one",
  ],
] as const) {
  test(`faithd ${args.join(' ')} with a file of several interfaces is a usage error`, (t) => {
    const error = t.throws(() => overridden(several, ...args), { instanceOf: UsageError })
    t.is(error.message, `${says}; see faithd --help`)
  })
}

test('so is an option about one of several relays, but none about their interface', (t) => {
  const lines = several.slice(0, 5)
  t.like(overridden(lines, '-i', 'faith7').interface[0], { name: 'faith7' })
  const error = t.throws(() => overridden(lines, '--drain', '1'), { instanceOf: UsageError })
  t.regex(error.message, /^--drain: the file has 2 relays of faith0, so write `drain` in the file/)
})
