/** A command line is either understood or refused with a message that names the fault. */
import * as fc from 'fast-check'
import test from 'ava'
import { exitCodeOf, UsageError } from '../cli/exit.js'
import { type Option, OPTIONS } from '../cli/option-table.js'
import { LOG_FORMATS, LOG_LEVELS } from '../cli/settings/log.js'
import { relayOptions } from '../cli/library-options.js'
import { parsePorts } from '../lib/ports.js'
import { readRelayOptions } from '../lib/relay-options.js'
import { cases } from './fixtures/cases.js'
import { configured, interfaceOf, relayOf } from './fixtures/configured.js'

/** Values that some option takes, or almost takes. */
const value = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.integer().map(String),
  fc.double().map(String),
  fc.ipV4(),
  fc.ipV6(),
  fc.tuple(fc.ipV4(), fc.integer({ min: -1, max: 40 })).map(([ip, length]) => `${ip}/${length}`),
  fc.tuple(fc.ipV6(), fc.integer({ min: -1, max: 140 })).map(([ip, length]) => `${ip}/${length}`),
  fc.tuple(fc.ipV6(), fc.ipV4(), fc.nat(70_000)).map(([from, to, port]) => `${from}=${to}:${port}`),
  fc.constantFrom('', '0', '-0', '1e3', '0x10', ' 1', '1 ', '1.5', '.5', '007', 'Infinity', 'NaN'),
  fc.constantFrom('rfc6052', 'low32', 'drop', 'json', 'debug', '__proto__', 'toString', '--'),
)

const option = fc.constantFrom(...OPTIONS)

const written = ({ long, short }: Option): string[] => [
  `--${long}`,
  ...(short === undefined ? [] : [`-${short}`]),
]

/** One or two arguments: an option in one of its forms, with or without a value, or something else. */
const argument = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(
      option.chain((one) => fc.constantFrom(...written(one))),
      value,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(option, value).map(([{ long }, text]) => [`--${long}=${text}`]),
  },
  { weight: 1, arbitrary: fc.tuple(option, value).map(([one, text]) => [`-${one.short}${text}`]) },
  { weight: 2, arbitrary: option.map(({ long }) => [`--${long}`]) },
  { weight: 1, arbitrary: value.map((text) => [text]) },
)

test('any arguments are understood, or give a usage error with the reason', (t) => {
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 5 }), (groups) => {
      const args = groups.flat()
      try {
        // The library may refuse only values that the command line cannot check.
        readRelayOptions(relayOptions(relayOf(...args)))
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        if (exitCodeOf(error) !== 64) throw error
        if (!/^.{3,}; see faithd --help$/s.test(error.message)) throw error
      }
    }),
    cases,
  )
  t.pass()
})

test('the error for a refused value names its option', (t) => {
  const options = OPTIONS.filter((one) => one.value !== undefined)
  const refused = new Set<string>()
  fc.assert(
    fc.property(fc.constantFrom(...options), value, (one, text) => {
      try {
        configured(`--${one.long}=${text}`)
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        if (!error.message.startsWith(`--${one.long}: `)) throw error
        refused.add(one.long)
      }
    }),
    cases,
  )
  // The command line cannot judge names of interfaces, files and groups, so it accepts any text.
  const unrefused = options.map(({ long }) => long).filter((long) => !refused.has(long))
  t.deepEqual(unrefused, [
    'interface',
    'acl',
    'dns64-certificate',
    'dns64-key',
    'config',
    'control',
    'control-group',
    'user',
  ])
})

test('arguments written as the help says are read as written', (t) => {
  const count = fc.integer({ min: 1, max: 999_999_999 })
  const prefix = fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 }))
  const asked = fc.record({
    keepfaith: fc.boolean(),
    prefixes: fc.array(
      prefix.map(([address, length]) => `${address}/${length}`),
      { minLength: 1, maxLength: 3 },
    ),
    sources: fc.array(fc.ipV4(), { maxLength: 3 }),
    denied: fc.array(fc.ipV4(), { maxLength: 3 }),
    mtu: fc.integer({ min: 1280, max: 65_535 }),
    idleTimeoutMs: fc.integer({ min: 0, max: 4_294_967_295 }),
    maxHeld: count,
    maxSessionsPerClient: count,
    clientPrefixLength: fc.integer({ min: 0, max: 128 }),
    proxyProtocol: fc.constantFrom(1, 2),
    logFormat: fc.constantFrom(...LOG_FORMATS),
    logLevel: fc.constantFrom(...LOG_LEVELS),
    ports: fc
      .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }))
      .map(([one, other]) => ({ first: Math.min(one, other), last: Math.max(one, other) })),
  })
  fc.assert(
    fc.property(asked, fc.boolean(), (wanted, joined) => {
      const given = (long: string, text: string | number): string[] =>
        joined ? [`--${long}=${text}`] : [`--${long}`, String(text)]
      const args = [
        ...(wanted.keepfaith ? ['-k'] : []),
        ...wanted.prefixes.flatMap((text) => given('prefix', text)),
        ...wanted.sources.flatMap((text) => given('source', text)),
        ...wanted.denied.flatMap((text) => given('deny', text)),
        ...given('mtu', wanted.mtu),
        ...given('idle-timeout', wanted.idleTimeoutMs / 1000),
        ...given('max-held', wanted.maxHeld),
        ...given('max-sessions-per-client', wanted.maxSessionsPerClient),
        ...given('client-prefix-length', wanted.clientPrefixLength),
        ...given('proxy-protocol', wanted.proxyProtocol),
        ...given('log-format', wanted.logFormat),
        ...given('log-level', wanted.logLevel),
        `${wanted.ports.first}-${wanted.ports.last}`,
      ]
      const { keepfaith, log } = configured(...args)
      const { prefixes, mtu } = interfaceOf(...args)
      const relay = relayOf(...args)
      const options = relayOptions(relay)
      const read = {
        keepfaith,
        prefixes,
        sources: relay.source,
        denied: relay.rules.map((rule) => rule.replace(/^deny /, '').replace(/\/32$/, '')),
        mtu,
        idleTimeoutMs: options.idleTimeoutMs,
        maxHeld: options.maxHeld,
        maxSessionsPerClient: options.maxSessionsPerClient,
        clientPrefixLength: options.clientPrefixLength,
        proxyProtocol: options.proxyProtocol,
        logFormat: log.format,
        logLevel: log.level,
        ports: parsePorts(relay.ports)[0],
      }
      if (JSON.stringify(read) !== JSON.stringify(wanted)) {
        throw new Error(`${JSON.stringify(wanted)} was read as ${JSON.stringify(read)}`)
      }
    }),
    cases,
  )
  t.pass()
})
