/** A faithd.conf of BSD's faithd(8) is read as it is. */
import test from 'ava'
import { checkAccessList, FaithError, matchAccessList } from '../index.js'

/** The setting that BSD's manual shows, in our words and with documentation prefixes. */
const example = `# Let clients of 2001:db8:1::/48 reach every IPv4 destination
# but 10.0.0.0/8 and 127.0.0.0/8, and let no other client reach any.
#
2001:db8:1::/48 deny 10.0.0.0/8
2001:db8:1::/48 deny 127.0.0.0/8
2001:db8:1::/48 permit 0.0.0.0/0
`

function permits(list: string, client: string, server: string): boolean {
  const question = { client, destination: { address: server, port: 23 } }
  return matchAccessList(list, question).permitted
}

test("the example of BSD's manual decides as its comment says", (t) => {
  t.is(checkAccessList(example), 3)
  t.true(permits(example, '2001:db8:1::7', '8.8.8.8'))
  t.false(permits(example, '2001:db8:1::7', '10.1.1.1'))
  t.false(permits(example, '2001:db8:1::7', '127.0.0.1'))
  t.false(permits(example, '2001:db8:2::7', '8.8.8.8'))
})

test('the first rule that matches decides, and without a match BSD denies', (t) => {
  const list = '::/0 permit 8.8.8.0/24\n::/0 deny 8.8.0.0/16\n'
  t.true(permits(list, '2001:db8::1', '8.8.8.8'))
  t.false(permits(list, '2001:db8::1', '8.8.4.4'))
  t.false(permits(list, '2001:db8::1', '1.1.1.1'))
})

test('a file of comments alone permits, as on BSD', (t) => {
  t.true(permits('# nothing yet\n\n', '2001:db8::1', '8.8.8.8'))
})

for (const [what, line] of [
  ['tabs and several blanks', '::/0\t permit  \t8.8.8.8/32'],
  ['blanks around', '  ::/0 permit 8.8.8.8/32  '],
  ['a comment behind', '::/0 permit 8.8.8.8/32# the resolver'],
  ['another case', '::/0 PERMIT 8.8.8.8/32'],
  ['no lengths', '2001:db8::1 permit 8.8.8.8'],
  ['a source address of the router', '::/0 permit 8.8.8.8/32 192.0.2.1'],
  ['an IPv6 address with an IPv4 part', '::/0 permit 8.8.8.8/32 192.0.2.1 # 2001:db8::192.0.2.1'],
  ['no newline at the end', '::/0 permit 8.8.8.8/32'],
] as const) {
  test(`a rule with ${what} is read`, (t) => {
    t.is(checkAccessList(line), 1)
    t.true(permits(line, '2001:db8::1', '8.8.8.8'))
    t.false(permits(line, '2001:db8::1', '8.8.4.4'))
  })
}

/** Lines that BSD skipped or took for something else without a word. */
for (const [what, line, says] of [
  ['BSD skipped a line that is no rule', '::/0 permit', /1: a destination is missing/],
  [
    'BSD took another word for deny',
    '::/0 allow 8.8.8.8',
    /expected `permit` or `deny`, found "allow"/,
  ],
  ['BSD ignored host bits', '::/0 permit 8.8.8.8/24', /write 8\.8\.8\.0\/24 or 8\.8\.8\.8\/32/],
  ['BSD ignored the source of a deny', '::/0 deny 8.8.8.8 192.0.2.1', /remove 192\.0\.2\.1/],
  ['no client of BSD matched an IPv4 source', '0.0.0.0/0 permit 8.8.8.8', /source: .*IPv6 prefix/],
  ['no server of BSD matched an IPv6 destination', '::/0 deny ::/0', /destination: .*IPv4 prefix/],
] as const) {
  test(`${what}, and here the error says what to write`, (t) => {
    const error = t.throws(() => checkAccessList(line), { instanceOf: FaithError })
    t.regex(error.message, says)
  })
}
