/** A configuration that is printed and read again is the same configuration. */
import * as fc from 'fast-check'
import test from 'ava'
import { parseConfiguration, withPings } from '../cli/configuration-file.js'
import type { Configuration, RelayConfiguration } from '../cli/configuration.js'
import { canonicalPorts, clientPrefix, type Kind } from '../cli/kinds.js'
import type { Settings } from '../cli/settings/setting.js'
import { TABLES } from '../cli/settings/tables.js'
import { tomlText } from '../cli/toml-text.js'
import { PROTOCOLS } from '../lib/protocol.js'
import { cases } from './fixtures/cases.js'

/** Legal values of a kind, by the facts that the table has about it. */
function valuesOf(kind: Kind<unknown>, key: string): fc.Arbitrary<unknown> {
  const { form } = kind
  switch (form.type) {
    case 'flag':
      return fc.boolean()
    case 'choice':
      return fc.constantFrom(...form.choices)
    case 'number':
      return form.whole
        ? fc.integer({ min: form.least, max: form.most })
        : fc.double({ min: form.least, max: form.most, noNaN: true }).map((number) => number + 0)
    case 'ports':
      return fc
        .array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 5 })
        .map((ports) => canonicalPorts(ports.map(String)))
    case 'list':
      return fc.array(textsOf(form.item, key), { maxLength: 3 })
    case 'text':
      return textsOf(kind, key)
  }
}

/** Texts that the kind lets through, so that they are kept as they are. */
function textsOf(kind: Kind<unknown>, key: string): fc.Arbitrary<unknown> {
  const texts = fc.oneof(
    fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([ip, length]) => `${ip}/${length}`),
    fc.ipV4(),
    fc.tuple(fc.ipV6(), fc.ipV4(), fc.nat(65_535)).map(([v6, v4, port]) => `${v6}=${v4}:${port}`),
    fc.tuple(fc.constantFrom('permit', 'deny'), fc.ipV4()).map((words) => words.join(' ')),
    fc.string({ unit: 'binary' }),
    fc.string(),
  )
  if (key === 'acl' || key === 'control')
    return fc.string().map((name) => `/${name.replace(/[/.\0]/g, '')}x`)
  if (key === 'metrics' || key === 'ipfix') return addresses
  if (key === 'to') return places
  if (key === 'client-prefixes') return clientPrefixes
  if (key === 'protocols') return fc.subarray([...PROTOCOLS], { minLength: 1 }).map(String)
  return texts.filter((text) => isLegal(kind, text)).map((text) => kind.read(text))
}

const port = fc.integer({ min: 1, max: 65_535 })
const addresses = fc.oneof(
  fc.tuple(fc.ipV4(), port).map(([ip, number]) => `${ip}:${number}`),
  fc.tuple(fc.ipV6(), port).map(([ip, number]) => `[${ip}]:${number}`),
)

const places = fc.oneof(
  fc.constantFrom('stderr', 'journal', 'syslog', 'syslog:/run/socket', '/var/log/faithd.log'),
  addresses.map((address) => `syslog:${address}`),
)

const clientPrefixes = fc
  .tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.nat(0xffff))
  .map(([ip, length, subnet]) => `${ip}/${length}=3fff:${subnet.toString(16)}::/96`)
  .filter((text) => isLegal(clientPrefix, text))
  .map((text) => clientPrefix.read(text))

function isLegal(kind: Kind<unknown>, text: string): boolean {
  try {
    kind.read(text)
    return !/[\u{D800}-\u{DFFF}]/u.test(text)
  } catch {
    return false
  }
}

function tableOf(settings: Settings): fc.Arbitrary<object> {
  const values = Object.entries(settings).map(([key, { kind, fallback }]) => {
    const value = fc.oneof(fc.constant(fallback), valuesOf(kind, key))
    return [key, value] as const
  })
  return fc.record(Object.fromEntries(values))
}

const configurations = fc
  .record({
    process: tableOf(TABLES.process),
    log: tableOf(TABLES.log),
    pref64: tableOf(TABLES.pref64),
    dns64: tableOf(TABLES.dns64),
    local: fc.array(tableOf(TABLES.local), { maxLength: 2 }),
    interfaces: fc.array(
      fc.tuple(
        tableOf(TABLES.interface),
        fc.array(tableOf(TABLES.relay), { minLength: 1, maxLength: 3 }),
      ),
      { minLength: 1, maxLength: 3 },
    ),
  })
  .map(({ process, log, pref64, dns64, local, interfaces }) => {
    const several = interfaces.map(([faith, relays]) =>
      Object.assign({}, faith, { relay: withPings(relays as RelayConfiguration[]) }),
    )
    return Object.assign({}, process, {
      log,
      pref64,
      dns64,
      local,
      interface: several,
    }) as Configuration
  })

for (const defaults of ['written', 'commented'] as const) {
  test(`a printed configuration, with defaults ${defaults}, is read back unchanged`, (t) => {
    fc.assert(
      fc.property(configurations, (configuration) => {
        const text = tomlText(configuration, defaults)
        const read = parseConfiguration(text, '/faithd.toml').configuration
        t.deepEqual(plain(read), plain(configuration))
      }),
      { ...cases, numRuns: Math.min(cases.numRuns ?? 100, 100_000) },
    )
  })
}

/** Without what is left out, which a file cannot have. */
function plain(configuration: Configuration): unknown {
  return JSON.parse(JSON.stringify(configuration))
}
