import test from 'ava'
import { type FaithAccessQuestion, FaithError, matchAccessList } from '../index.js'

const client = '2001:db8::1'
const list = `# permitted destinations
2001:db8:1::/48 deny 0.0.0.0/0
::/0 permit 0.0.0.0/0 port 443 192.0.2.9
`

function to(address: string, port = 443): FaithAccessQuestion {
  return { client, destination: { address, port } }
}

test('the answer has the deciding rule and the source address', (t) => {
  t.deepEqual(matchAccessList(list, to('8.8.8.8')), {
    permitted: true,
    rule: { text: '::/0 permit 0.0.0.0/0 port 443 192.0.2.9', line: 3 },
    localAddress: '192.0.2.9',
  })
  t.deepEqual(matchAccessList(list, { ...to('8.8.8.8'), client: '2001:db8:1::2' }), {
    permitted: false,
    cause: 'denied-by-rule',
    rule: { text: '2001:db8:1::/48 deny 0.0.0.0/0', line: 2 },
  })
})

test('a decision by default has no rule', (t) => {
  t.deepEqual(matchAccessList('', to('8.8.8.8')), { permitted: true })
  t.deepEqual(matchAccessList(list, to('8.8.8.8', 80)), {
    permitted: false,
    cause: 'denied-no-match',
  })
  t.deepEqual(matchAccessList(list, to('10.0.0.7')), {
    permitted: false,
    cause: 'special-purpose',
  })
})

test('loopback is denied unless allowLoopback is set, as in a relay', (t) => {
  t.like(matchAccessList('', to('127.0.0.1')), { permitted: false, cause: 'loopback' })
  t.true(matchAccessList('', to('127.0.0.1'), { allowLoopback: true }).permitted)
})

test('the answer and errors name the file of the rule', (t) => {
  const { rule } = matchAccessList(list, to('8.8.8.8'), { file: 'faithd.conf' })
  t.like(rule, { file: 'faithd.conf', line: 3 })
  const read = (): unknown => matchAccessList('nonsense', to('8.8.8.8'), { file: 'faithd.conf' })
  t.throws(read, { code: 'ERR_FAITH_ACCESS_LIST', message: /^faithd\.conf:1: / })
})

test('a rule of a list made of several files has the file and the line of its own', (t) => {
  const files = '::/0 deny 8.8.4.4\n#line 1 "/etc/faithd/a.conf"\n# ours\n::/0 deny 8.8.8.8\n'
  const ask = (address: string) =>
    matchAccessList(files, { client: '2001:db8::1', destination: { address, port: 80 } }).rule
  t.deepEqual(ask('8.8.4.4'), { text: '::/0 deny 8.8.4.4/32', line: 1 })
  t.deepEqual(ask('8.8.8.8'), { text: '::/0 deny 8.8.8.8/32', line: 2, file: '/etc/faithd/a.conf' })
})

test('the line of a rule in an array is its position', (t) => {
  const rules = [
    { action: 'deny', destination: '8.8.4.4' },
    { action: 'permit', destination: '8.8.0.0/16', ports: [443] },
  ] as const
  t.deepEqual(matchAccessList(rules, to('8.8.8.8')).rule, {
    text: '::/0 permit 8.8.0.0/16 port 443',
    line: 2,
  })
})

test('a decision is about one protocol', (t) => {
  const rules = '::/0 permit 0.0.0.0/0 udp port 443\n::/0 permit 0.0.0.0/0 icmp'
  const line = (protocol: 'tcp' | 'udp' | 'icmp', port: number) => {
    const { permitted, rule } = matchAccessList(rules, { ...to('8.8.8.8', port), protocol })
    return permitted ? rule?.line : undefined
  }
  t.deepEqual([line('tcp', 443), line('udp', 443), line('udp', 53)], [undefined, 1, undefined])
  t.deepEqual([line('icmp', 0), line('icmp', 443)], [2, 2])
  t.false(matchAccessList(rules, to('8.8.8.8')).permitted, 'TCP without a protocol')
})

test('the argument of a route is a valid question', (t) => {
  const connection = {
    id: 7,
    protocol: 'tcp' as const,
    client: { address: client, port: 1024 },
    destination: { address: '64:ff9b::808:808', port: 1, ipv4: '8.8.8.8', ipv4Port: 443 },
  }
  t.like(matchAccessList(list, connection), { permitted: true, rule: { line: 3 } })
})

const malformed: [question: unknown, complaint: RegExp][] = [
  [undefined, /the question must be an object, got undefined/],
  [{ destination: to('8.8.8.8').destination }, /: `client` is missing$/],
  [{ client }, /: `destination` is missing$/],
  [{ ...to('8.8.8.8'), client: 7 }, /`client` must be an IPv6 address or \{ address \}, got 7/],
  [
    { client, destination: '8.8.8.8' },
    /`destination` must be \{ address, port \}, got '8\.8\.8\.8'/,
  ],
  [{ ...to('8.8.8.8'), dest: 1 }, /unknown option `dest`/],
  [{ ...to('8.8.8.8'), client: '192.0.2.1' }, /`client` must be an IPv6 address/],
  [{ ...to('8.8.8.8'), client: { port: 1 } }, /`client`: `address` must be a string/],
  [to('web'), /`destination`: `address` must be an IP address, got 'web'/],
  [to('64:ff9b::808:808'), /`destination` must have an IPv4 address, got '64:ff9b::808:808'/],
  [to('8.8.8.8', 0), /`destination`: `port` must be an integer from 1 to 65535/],
  [{ ...to('8.8.8.8'), protocol: 'sctp' }, /`protocol` must be/],
]

for (const [question, complaint] of malformed) {
  const ask = (): unknown => matchAccessList('', question as FaithAccessQuestion)
  test(`${JSON.stringify(question)} is not a question`, (t) => {
    t.throws(ask, { instanceOf: FaithError, code: 'ERR_FAITH_ARGUMENT', message: complaint })
  })
}
