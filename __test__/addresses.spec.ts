import test from 'ava'
import { embed, extract, FaithError, matchAccessList } from '../index.js'

/** RFC 6052 section 2.4, tables 2 and 3: 192.0.2.33 in a prefix of each length, and in the well-known one. */
const vectors: [prefix: string, ipv6: string, asPrinted: string][] = [
  ['2001:db8::/32', '2001:db8:c000:221::', '2001:db8:c000:221::'],
  ['2001:db8:100::/40', '2001:db8:1c0:2:21::', '2001:db8:1c0:2:21::'],
  ['2001:db8:122::/48', '2001:db8:122:c000:2:2100::', '2001:db8:122:c000:2:2100::'],
  ['2001:db8:122:300::/56', '2001:db8:122:3c0:0:221::', '2001:db8:122:3c0:0:221::'],
  ['2001:db8:122:344::/64', '2001:db8:122:344:c0:2:2100:0', '2001:db8:122:344:c0:2:2100::'],
  ['2001:db8:122:344::/96', '2001:db8:122:344::c000:221', '2001:db8:122:344::192.0.2.33'],
  ['64:ff9b::/96', '64:ff9b::c000:221', '64:ff9b::192.0.2.33'],
]

for (const [prefix, ipv6, asPrinted] of vectors) {
  test(`embed() puts 192.0.2.33 into ${prefix} as RFC 6052 says`, (t) => {
    t.is(embed('192.0.2.33', prefix), ipv6)
    t.is(extract(ipv6, prefix), '192.0.2.33')
    t.is(extract(asPrinted, prefix), '192.0.2.33')
  })
}

test('extract() ignores the bits after the IPv4 address and bits 64 to 71', (t) => {
  t.is(extract('2001:db8:c000:221:ff00::1', '2001:db8::/32'), '192.0.2.33')
  t.is(extract('2001:db8:122:c000:ff02:21aa:bbbb:cccc', '2001:db8:122::/48'), '192.0.2.33')
})

test('an address outside the prefix has no IPv4 address', (t) => {
  t.is(extract('64:ff9b:1::c000:221', '64:ff9b::/96'), undefined)
  t.is(extract('::1', '64:ff9b::/96'), undefined)
})

test('the first and the last IPv4 address are ordinary addresses', (t) => {
  for (const ipv4 of ['0.0.0.0', '255.255.255.255']) {
    for (const [prefix] of vectors) t.is(extract(embed(ipv4, prefix), prefix), ipv4)
  }
})

test('an error quotes the beginning of a long text', (t) => {
  const long = 'x'.repeat(10_000)
  const calls: (() => unknown)[] = [
    () => embed(long, '64:ff9b::/96'),
    () => embed('192.0.2.33', long),
    () => extract(long, '64:ff9b::/96'),
    () => matchAccessList('', { client: '::1', destination: { address: long, port: 80 } }),
  ]
  for (const call of calls) {
    const error = t.throws(call, { instanceOf: FaithError, message: /x{64}…/ })
    t.true(error.message.length < 300, error.message)
  }
})

const refused: [what: string, call: () => unknown, code: string, complaint: RegExp][] = [
  ['a host name', () => embed('localhost', '64:ff9b::/96'), 'ERR_FAITH_ARGUMENT', /`localhost`/],
  ['IPv4 in octal', () => embed('192.0.2.033', '64:ff9b::/96'), 'ERR_FAITH_ARGUMENT', /IPv4/],
  ['half an address', () => embed('192.0.2', '64:ff9b::/96'), 'ERR_FAITH_ARGUMENT', /`192\.0\.2`/],
  ['IPv6 for IPv4', () => embed('64:ff9b::1', '64:ff9b::/96'), 'ERR_FAITH_ARGUMENT', /IPv4/],
  ['IPv4 for IPv6', () => extract('192.0.2.33', '64:ff9b::/96'), 'ERR_FAITH_ARGUMENT', /IPv6/],
  ['a zone', () => extract('fe80::1%eth0', '64:ff9b::/96'), 'ERR_FAITH_ARGUMENT', /fe80::1%eth0/],
  ['a number', () => embed(3221226017 as never, '::/96'), 'ERR_FAITH_ARGUMENT', /`ipv4`.*string/],
  ['no prefix', () => extract('::1', undefined as never), 'ERR_FAITH_ARGUMENT', /`prefix`/],
  ['a prefix without length', () => embed('192.0.2.33', '64:ff9b::'), 'ERR_FAITH_PREFIX', /ff9b/],
  ['a length of 95', () => embed('192.0.2.33', '64:ff9b::/95'), 'ERR_FAITH_PREFIX', /\/95/],
  ['host bits', () => extract('::1', '64:ff9b::1/96'), 'ERR_FAITH_PREFIX', /host bits/],
  ['link-local space', () => extract('fe80::1', 'fe80::/64'), 'ERR_FAITH_PREFIX', /link-local/],
]

for (const [what, call, code, complaint] of refused) {
  test(`${what} is refused with ${code}`, (t) => {
    const error = t.throws(call, { instanceOf: FaithError, message: complaint })
    t.is(error.code, code)
  })
}

test('the error of a malformed address shows the right form', (t) => {
  const error = t.throws(() => embed('192.0.2', '64:ff9b::/96'), { instanceOf: FaithError })
  t.is(error.hint, 'write it as 198.51.100.2')
})
