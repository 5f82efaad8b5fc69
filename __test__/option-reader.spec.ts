import test from 'ava'
import { FaithError } from '../lib/errors.js'
import { OptionReader } from '../lib/option-reader.js'
import { closest } from '../lib/spelling.js'

const NAMES = {
  name: true,
  prefixes: true,
  mtu: true,
  routes: true,
  mapping: true,
  signal: true,
} as const

const reader = (options: unknown) => new OptionReader('call', NAMES, options)

test('an option that is absent or undefined gets its default', (t) => {
  const read = reader({ mtu: undefined })
  t.is(read.integer('mtu', { min: 1280, max: 65_535 }, 1500), 1500)
  t.is(read.string('name', 'faith0'), 'faith0')
  t.true(read.boolean('routes', true))
  t.deepEqual(read.strings('prefixes', ['64:ff9b::/96']), ['64:ff9b::/96'])
  t.is(read.oneOf('mapping', ['rfc6052', 'low32'], 'rfc6052'), 'rfc6052')
})

const wrong: [what: string, read: () => unknown, complaint: RegExp][] = [
  ['options that are no object', () => reader('faith0'), /options must be an object, got 'faith0'/],
  ['options that are null', () => reader(null), /options must be an object, got null/],
  ['options that are an array', () => reader([]), /options must be an object, got an array/],
  [
    'a name that is a number',
    () => reader({ name: 1 }).string('name', 'faith0'),
    /call: `name` must be a string, got 1/,
  ],
  [
    'one prefix in place of an array',
    () => reader({ prefixes: '64:ff9b::/96' }).strings('prefixes', []),
    /`prefixes` must be an array, got '64:ff9b::\/96'/,
  ],
  [
    'an array with a number in it',
    () => reader({ prefixes: ['64:ff9b::/96', 3] }).strings('prefixes', []),
    /`prefixes` must be an array of strings, got 3/,
  ],
  [
    'a flag that is a string',
    () => reader({ routes: 'no' }).boolean('routes', true),
    /`routes` must be true or false, got 'no'/,
  ],
  [
    'a number out of range',
    () => reader({ mtu: 1279 }).integer('mtu', { min: 1280, max: 65_535 }, 1500),
    /`mtu` must be an integer from 1280 to 65535, got 1279/,
  ],
  [
    'a number that is not an integer',
    () => reader({ mtu: 1500.5 }).integer('mtu', { min: 1280, max: 65_535 }, 1500),
    /got 1500\.5/,
  ],
  [
    'an object that is not a signal',
    () => reader({ signal: { aborted: false } }).signal('signal'),
    /`signal` must be an AbortSignal, got an object/,
  ],
  [
    'an unknown word',
    () => reader({ mapping: 'rfc9999' }).oneOf('mapping', ['rfc6052', 'low32'], 'rfc6052'),
    /`mapping` must be 'rfc6052' or 'low32', got 'rfc9999'/,
  ],
]

for (const [what, read, complaint] of wrong) {
  test(`${what} is refused`, (t) => {
    const error = t.throws(read, { instanceOf: FaithError, message: complaint })
    t.is(error.code, 'ERR_FAITH_ARGUMENT')
  })
}

test('an unknown option is refused first, and the error lists the right ones', (t) => {
  const error = t.throws(() => reader({ mtu: -1, prefix: '64:ff9b::/96' }), {
    instanceOf: FaithError,
  })
  t.is(error.code, 'ERR_FAITH_ARGUMENT')
  t.is(error.message, 'call: unknown option `prefix`; did you mean `prefixes`?')
  t.is(error.hint, 'its options are mapping, mtu, name, prefixes, routes, signal')
  t.throws(() => reader({ colour: 1 }), { message: 'call: unknown option `colour`' })
})

test('a property that every object has is not an option', (t) => {
  t.throws(() => reader({ constructor: 1 }), { message: 'call: unknown option `constructor`' })
})

test('options that exclude each other are refused', (t) => {
  const error = t.throws(() => reader({ name: 'faith0', mtu: 1500 }).alone('name'))
  t.is(error.message, 'call: `mtu` does not go with `name`')
  t.notThrows(() => reader({ name: 'faith0' }).alone('name'))
})

const meant: [given: string, names: string[], guess: string | undefined][] = [
  ['prot', ['ports', 'address', 'port'], 'port'],
  ['drain', ['drainMs'], 'drainMs'],
  ['keepAlive', ['idleTimeoutMs', 'keepAliveTimeoutMs'], 'keepAliveTimeoutMs'],
  ['idleTimeout', ['idleTimeoutMs', 'keepAliveTimeoutMs'], 'idleTimeoutMs'],
  ['routeTimeoutMS', ['routeTimeoutMs'], 'routeTimeoutMs'],
  ['acceslist', ['accessList'], 'accessList'],
  ['maxSesions', ['maxSessions', 'maxSessionsPerClient'], 'maxSessions'],
  ['source', ['action', 'client', 'localAddress'], 'client'],
  ['source', ['host', 'localAddress', 'port'], 'localAddress'],
  ['outgoing', ['action', 'client', 'localAddress'], 'localAddress'],
  ['sources', ['address', 'localAddresses'], 'localAddresses'],
  ['privilegedSource', ['port', 'privilegedLocalPort'], 'privilegedLocalPort'],
  ['tun', ['mtu', 'name'], undefined],
  ['', ['port'], undefined],
  ['constructor', ['port'], undefined],
]

for (const [given, names, guess] of meant) {
  test(`\`${given}\` among ${names.join(', ')} suggests ${guess ?? 'nothing'}`, (t) => {
    t.is(closest(given, names), guess)
  })
}
