/** A configuration that is printed and read again is the same configuration. */
import * as fc from 'fast-check'
import test from 'ava'
import { parseConfiguration, withPings } from '../cli/configuration-file.js'
import type { Configuration, RelayConfiguration } from '../cli/configuration.js'
import {
  canonicalPorts,
  clientPrefix,
  dnsAddress,
  dnsUpstream,
  interfaceName,
  ipv4Address,
  ipv6Prefix,
  type Kind,
  listenAddress,
  mapping,
  peerAddress,
  protocols,
  rule,
} from '../cli/kinds.js'
import { logPlace } from '../cli/log-place.js'
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

/** Texts of a kind, as they are kept. */
function textsOf(kind: Kind<unknown>, key: string): fc.Arbitrary<unknown> {
  const texts = key === 'acl' || key === 'control' ? paths : (textsOfKinds.get(kind) ?? anything)
  return texts.map((text) => kind.read(text))
}

const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.string())
/** Texts without the characters that the pattern, a global one, names. */
const without = (characters: RegExp) => anything.map((text) => text.replace(characters, ''))

const paths = without(/[/.\0]/g).map((name) => `/${name}x`)
const port = fc.integer({ min: 1, max: 65_535 })
const prefixes = fc
  .tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 }))
  .map(([ip, length]) => `${ip}/${length}`)
const ipv6InBrackets = fc.ipV6().map((ip) => `[${ip}]`)
const hosts = fc.oneof(fc.ipV4(), ipv6InBrackets)
const addresses = fc.tuple(hosts, port).map(([host, number]) => `${host}:${number}`)
const dnsAddresses = fc.oneof(fc.ipV4(), fc.ipV6(), ipv6InBrackets, addresses)

const places = fc.oneof(
  fc.constantFrom('stderr', 'journal', 'syslog', 'syslog:/run/socket', '/var/log/faithd.log'),
  addresses.map((address) => `syslog:${address}`),
)

/** DNS servers that are asked over TLS or HTTPS. */
const urls = fc
  .record({
    host: fc.oneof(hosts, fc.domain()),
    port: fc.option(port),
    path: fc.option(without(/[#\s"<>{}]/g)),
    name: fc.option(fc.domain()),
  })
  .map(({ host, port: number, path, name }) =>
    [
      path === null ? 'tls://' : 'https://',
      host,
      number === null ? '' : `:${number}`,
      path === null ? '' : `/${path}`,
      name === null ? '' : `#${name}`,
    ].join(''),
  )

const mappings = fc.oneof(
  fc
    .tuple(prefixes, fc.ipV4(), fc.integer({ min: 0, max: 32 }))
    .map(([ipv6, ipv4, length]) => `${ipv6}=${ipv4}/${length}`),
  fc.tuple(fc.ipV6(), fc.ipV4()).map(([ipv6, ipv4]) => `${ipv6}=${ipv4}`),
  fc.tuple(fc.ipV6(), fc.ipV4(), port).map(([ipv6, ipv4, to]) => `${ipv6}=${ipv4}:${to}`),
)

const rules = fc
  .tuple(
    fc.option(prefixes),
    fc.constantFrom('permit', 'deny', 'Permit', 'DENY'),
    fc.oneof(fc.ipV4(), without(/[#\n\r]/g)),
  )
  .map(([client, action, rest]) => `${client === null ? '' : `${client} `}${action} ${rest}`)

const interfaceNames = fc
  .string({ unit: fc.constantFrom(...'azAZ09.-_@#é"\'\\\u007F'), maxLength: 14 })
  .map((name) => `${name}x`)

/** Kinds that let few texts through, with such texts. The others let all through. */
const textsOfKinds = new Map<Kind<unknown>, fc.Arbitrary<string>>([
  [clientPrefix, fc.tuple(prefixes, prefixes).map((both) => both.join('='))],
  [dnsAddress, dnsAddresses],
  [dnsUpstream, fc.oneof(dnsAddresses, urls)],
  [interfaceName, interfaceNames],
  [ipv4Address, fc.ipV4()],
  [ipv6Prefix, prefixes],
  [listenAddress, fc.oneof(addresses, port.map(String))],
  [logPlace, places],
  [mapping, mappings],
  [peerAddress, addresses],
  [protocols, fc.subarray([...PROTOCOLS], { minLength: 1 }).map(String)],
  [rule, rules],
])

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
