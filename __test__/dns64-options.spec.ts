import test from 'ava'
import { readDns64Options } from '../lib/dns64-options.js'
import { check } from '../cli/check.js'
import { parseConfiguration } from '../cli/configuration-file.js'
import { clientPrefix, dnsAddress, dnsUpstream } from '../cli/kinds.js'
import { originOf } from '../cli/origin.js'

test('a server answers at every own IPv6 address by default, and asks those of resolv.conf', (t) => {
  t.deepEqual(readDns64Options({}), {
    start: {
      listen: ['[::]:53'],
      upstreams: [],
      allServers: false,
      cacheBytes: 16_777_216,
      tlsPort: 853,
      resolveNames: [],
      resolveTimeoutMs: 2000,
    },
    synthesis: {
      clients: [],
      clientPrefixes: [],
      exclude: [],
      failures: 'synthesise',
      maxRatePerClient: 1000,
    },
    resolving: undefined,
    signal: undefined,
  })
})

test('addresses of either family are taken, with port 53 by default', (t) => {
  const { start } = readDns64Options({
    listen: [{ address: '192.0.2.1' }, { address: '2001:db8::1', port: 0 }],
    upstreams: [{ address: '2001:db8::53' }, { address: '192.0.2.53', port: 5353 }],
  })
  t.deepEqual(start.listen, ['192.0.2.1:53', '[2001:db8::1]:0'])
  t.deepEqual(start.upstreams, ['[2001:db8::53]:53', '192.0.2.53:5353'])
})

for (const [what, options, message] of [
  ['no address', { listen: [] }, /`listen` must be one address at least/],
  ['a name', { listen: [{ address: 'router' }] }, /`address` must be an IP address/],
  ['a zone', { upstreams: [{ address: 'fe80::1%lan0' }] }, /an IP address without a zone/],
  ['a text without a scheme', { upstreams: ['192.0.2.53'] }, /texts such as tls:\/\/192\.0\.2\.53/],
  ['null', { upstreams: [null] }, /`upstreams`: an address must be an object/],
  ['port 0 of an upstream', { upstreams: [{ address: '::1', port: 0 }] }, /from 1 to 65535/],
  ['an unknown option', { upstream: [] }, /unknown option `upstream`; did you mean `upstreams`/],
  [
    'a prefix of no clients',
    { clientPrefixes: [{ prefix: '::/96' }] },
    /`clients` must be a string/,
  ],
  ['a network as text', { clientPrefixes: ['::/0'] }, /a network must be an object/],
  ['an unknown field', { listen: [{ adress: '::' }] }, /unknown option `adress`/],
  ['a number of servers', { allServers: 2 }, /`allServers` must be true or false/],
  ['a negative cache', { cacheBytes: -1 }, /`cacheBytes` must be an integer from 0/],
  ['other failures', { failures: 'drop' }, /'synthesise' or 'pass'/],
  ['a negative rate', { maxRatePerClient: -1 }, /an integer from 0/],
] as const) {
  test(`${what} is refused`, (t) => {
    t.throws(() => readDns64Options(options), { code: 'ERR_FAITH_ARGUMENT', message })
  })
}

test('an address of the command line has one spelling', (t) => {
  for (const [given, kept] of [
    ['192.0.2.53', '192.0.2.53:53'],
    ['192.0.2.53:5353', '192.0.2.53:5353'],
    ['2001:db8::53', '[2001:db8::53]:53'],
    ['[2001:db8::53]', '[2001:db8::53]:53'],
    ['[2001:db8::53]:5353', '[2001:db8::53]:5353'],
    ['::', '[::]:53'],
  ] as const) {
    t.is(dnsAddress.read(given), kept)
    t.is(dnsAddress.read(kept), kept)
  }
  for (const given of [
    '',
    '53',
    'ssh',
    '[192.0.2.53]',
    '192.0.2.53:0',
    '[::1]:x',
    'fe80::1%lan0',
  ]) {
    t.throws(() => dnsAddress.read(given), { message: /is not an IP address/ })
  }
})

test('a server over TLS or HTTPS has one spelling', (t) => {
  for (const [given, kept] of [
    ['tls://192.0.2.53', 'tls://192.0.2.53:853'],
    ['tls://192.0.2.53:54#Dns.example.net', 'tls://192.0.2.53:54#Dns.example.net'],
    ['tls://[2001:db8::53]#dns.example.net', 'tls://[2001:db8::53]:853#dns.example.net'],
    ['https://192.0.2.53/dns-query', 'https://192.0.2.53:443/dns-query'],
    ['https://Dns.example.net/dns-query', 'https://dns.example.net:443/dns-query'],
  ] as const) {
    t.is(dnsUpstream.read(given), kept)
    t.is(dnsUpstream.read(kept), kept)
    t.deepEqual(readDns64Options({ upstreams: [given] }).start.upstreams, [kept])
  }
  for (const given of [
    'udp://192.0.2.53',
    'tls://192.0.2.53/dns-query',
    'tls://192.0.2.53:0',
    'tls://192.0.2.53#',
    'tls://192.0.2.53#a b',
    'tls://192.0.2.300',
    'tls://2001:db8::53',
    'tls://[192.0.2.53]',
    'tls://fe80::1%lan0',
    'https://192.0.2.53',
    'https://user@dns.example.net/dns-query',
    'https://dns.example.net/dns query',
  ]) {
    t.throws(() => dnsUpstream.read(given), { message: /is not an IP address/ }, given)
    t.throws(() => readDns64Options({ upstreams: [given] }), { code: 'ERR_FAITH_ARGUMENT' }, given)
  }
})

const checked = async (...lines: string[]) => {
  const file = parseConfiguration(lines.join('\n'), '/faithd.toml')
  return await check(file.configuration, originOf(file, new Map()))
}

const relays = (mapping: string) => [
  '[[interface]]',
  '[[interface.relay]]',
  'ports = 80',
  '[[interface.relay]]',
  'ports = 443',
  `mapping = "${mapping}"`,
]

test('relays must read addresses in the way in which the DNS server makes them', async (t) => {
  const server = ['[dns64]', 'listen = ["::"]']
  await t.notThrowsAsync(checked(...relays('low32')))
  await t.notThrowsAsync(checked(...server, ...relays('rfc6052')))
  const message =
    '/faithd.toml:8:11: interface.relay.mapping: mapping must be that of the first relay, by which [dns64] makes addresses'
  await t.throwsAsync(checked(...server, ...relays('low32')), { message })
})

test('a certificate needs its key', (t) => {
  const tls = { certificate: 'PEM', key: 'PEM too' }
  const certificate = { chain: 'PEM', key: 'PEM too' }
  t.like(readDns64Options({ tls }).start, { certificate, tlsPort: 853 })
  t.like(readDns64Options({ tls: { ...tls, port: 0 } }).start, { certificate, tlsPort: 0 })
  const message = /`tls`: `key` must be a string, got undefined/
  t.throws(() => readDns64Options({ tls: { certificate: 'PEM' } }), { message })
})

test('one of the servers to ask must have an address', async (t) => {
  const named = 'upstreams = ["https://dns.example.net/dns-query"]'
  const message =
    '/faithd.toml:3:13: dns64.upstreams: nothing can look up https://dns.example.net:443/dns-query: one of the upstreams ' +
    'must have an address'
  await t.throwsAsync(checked('[dns64]', 'listen = ["::"]', named), { message })
})

test('settings of a DNS server that answers nowhere are an error', async (t) => {
  const message =
    '/faithd.toml:2:13: dns64.upstreams: faithd answers no DNS queries; say where with --dns64, or listen of [dns64]'
  await t.throwsAsync(checked('[dns64]', 'upstreams = ["192.0.2.53"]'), { message })
})

const withClients = (prefix: string) => [
  '[dns64]',
  'listen = ["::"]',
  `client-prefixes = ["2001:db8:1::/64=64:ff9b:0::/96", "2001:db8:2::/64=${prefix}"]`,
  '[[interface]]',
  'prefixes = ["64:ff9b::/96", "2001:db8:64::/96"]',
]

test('clients get a prefix that faithd has, or the check fails', async (t) => {
  await t.notThrowsAsync(checked(...withClients('2001:db8:64::/96')))
  const message =
    /^\/faithd.toml:3:\d+: dns64.client-prefixes: no interface has the prefix 2001:db8:65::\/96$/
  await t.throwsAsync(checked(...withClients('2001:db8:65::/96')), { message })
  for (const given of [
    '2001:db8:1::/64',
    '2001:db8:1::/64=',
    '=64:ff9b::/96',
    'a=b',
    '::/0=::/0=::/0',
  ]) {
    t.throws(() => clientPrefix.read(given), { message: /is not a network and a prefix/ })
  }
})
