import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { type AccessList, checkAccessList, FaithError, readAccessList } from '../index.js'
import { accessListText } from '../lib/access-list.js'

const text = (rules: unknown): string => accessListText('faith.relay', rules)

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faithd-access-list-'))
})
test.after.always(() => rm(folder, { recursive: true }))

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

const written: [rule: object, line: string][] = [
  [{ action: 'permit', destination: '0.0.0.0/0' }, '::/0 permit 0.0.0.0/0'],
  [
    { action: 'deny', client: '2001:db8:1::/48', destination: '198.51.100.2' },
    '2001:db8:1::/48 deny 198.51.100.2',
  ],
  [{ action: 'deny', destination: '0.0.0.0/0', ports: 25 }, '::/0 deny 0.0.0.0/0 port 25'],
  [{ action: 'permit', destination: '0.0.0.0/0', ports: 'all' }, '::/0 permit 0.0.0.0/0 port all'],
  [
    {
      action: 'permit',
      client: '2001:db8::1',
      destination: '10.0.0.0/8',
      ports: [80, '443', '8000-8999'],
      localAddress: '192.0.2.1',
    },
    '2001:db8::1 permit 10.0.0.0/8 port 80,443,8000-8999 192.0.2.1',
  ],
]

for (const [rule, line] of written) {
  test(`the rule is written as ${line}, which can be read again`, (t) => {
    t.is(text([rule]), line)
    t.is(checkAccessList([rule] as AccessList), 1)
  })
}

test('a text is used unchanged, and its rules are counted', (t) => {
  const list = '# no mail\n\n::/0 deny 0.0.0.0/0 port 25\n::/0 permit 0.0.0.0/0 # else\n'
  t.is(text(list), list)
  t.is(checkAccessList(list), 2)
  t.is(checkAccessList(''), 0)
  t.is(checkAccessList([]), 0)
})

const malformed: [what: string, list: AccessList, complaint: RegExp][] = [
  [
    'a destination with host bits',
    [{ action: 'deny', destination: '10.0.0.1/8' }],
    /^accessList:1: destination: .*host bits/,
  ],
  [
    'a destination of IPv6',
    [{ action: 'deny', destination: '::/0' }],
    /^accessList:1: destination: /,
  ],
  [
    'a source of IPv4',
    [{ action: 'deny', client: '10.0.0.0/8', destination: '10.0.0.0/8' }],
    /^accessList:1: source: /,
  ],
  [
    'port 0',
    [{ action: 'deny', destination: '10.0.0.0/8', ports: 0 }],
    /^accessList:1: port: port 0/,
  ],
  [
    'half a port',
    [{ action: 'deny', destination: '10.0.0.0/8', ports: 80.5 }],
    /^accessList:1: port: "80\.5"/,
  ],
  [
    'a reversed range',
    [{ action: 'deny', destination: '10.0.0.0/8', ports: '90-80' }],
    /^accessList:1: port: .*reversed/,
  ],
  [
    'a denial with an outgoing address',
    [{ action: 'deny', destination: '10.0.0.0/8', localAddress: '192.0.2.1' }],
    /^accessList:1: .*192\.0\.2\.1/,
  ],
  [
    'a third rule that is wrong',
    [
      { action: 'permit', destination: '10.0.0.0/8' },
      { action: 'permit', destination: '10.0.0.0/8' },
      { action: 'permit', destination: 'x' },
    ],
    /^accessList:3: destination: "x"/,
  ],
  [
    'a text with a bad line',
    '::/0 permit 0.0.0.0/0\n::/0 allow 0.0.0.0/0\n',
    /^accessList:2: .*"allow"/,
  ],
]

for (const [what, list, complaint] of malformed) {
  test(`${what} is refused by its place in the list`, (t) => {
    const error = t.throws(() => checkAccessList(list), {
      instanceOf: FaithError,
      message: complaint,
    })
    t.is(error.code, 'ERR_FAITH_ACCESS_LIST')
  })
}

test('an error lists every malformed line, each on its own line', (t) => {
  const error = t.throws(() => checkAccessList('one\n::/0 permit 0.0.0.0/0\nthree\n', 'my list'), {
    instanceOf: FaithError,
  })
  t.deepEqual(
    error.message.split('\n').map((line) => line.split(': ')[0]),
    ['my list:1', 'my list:3'],
  )
})

const smuggled: [what: string, rule: object][] = [
  ['a second rule in a destination', { destination: '10.0.0.0/8\n::/0 permit 0.0.0.0/0' }],
  ['ports in a destination', { destination: '10.0.0.0/8 port 80' }],
  ['a comment in a client', { client: '::/0#', destination: '10.0.0.0/8' }],
  ['nothing as a client', { client: '', destination: '10.0.0.0/8' }],
  ['null as a client', { client: null, destination: '10.0.0.0/8' }],
  ['an address behind the ports', { destination: '10.0.0.0/8', ports: '80 192.0.2.1' }],
  ['an empty list of ports', { destination: '10.0.0.0/8', ports: [] }],
  ['null as ports', { destination: '10.0.0.0/8', ports: null }],
  ['null as the local address', { destination: '10.0.0.0/8', localAddress: null }],
  ['no destination', {}],
  ['an unknown action', { action: 'allow', destination: '10.0.0.0/8' }],
  ['an option that rules do not have', { destination: '10.0.0.0/8', port: 80 }],
]

for (const [what, rule] of smuggled) {
  test(`a rule with ${what} is refused, and named`, (t) => {
    const good = { action: 'permit', destination: '192.0.2.0/24' }
    const error = t.throws(() => text([good, { action: 'permit', ...rule }]), {
      instanceOf: FaithError,
      message: /^accessList:2: /,
    })
    t.is(error.code, 'ERR_FAITH_ACCESS_LIST')
  })
}

test('an error lists every malformed rule of an array, by its number and the name of the list', (t) => {
  const rules = [
    { action: 'allow', destination: '10.0.0.0/8' },
    { action: 'permit', destination: '192.0.2.0/24' },
    { action: 'permit' },
    { action: 'deny', destination: '10.0.0.1/8' },
    null,
  ] as AccessList
  const error = t.throws(() => checkAccessList(rules, 'my list'), { instanceOf: FaithError })
  t.is(error.code, 'ERR_FAITH_ACCESS_LIST')
  const [action, destination, bits, none, ...more] = error.message.split('\n')
  t.is(action, "my list:1: `action` must be 'permit' or 'deny', got 'allow'")
  t.is(destination, 'my list:3: `destination` must be text without blanks, got undefined')
  t.regex(bits ?? '', /^my list:4: destination: .*host bits/)
  t.is(none, 'my list:5: a rule must be an object, got null')
  t.deepEqual(more, [])
})

for (const [count, last] of [
  [21, 'accessList: 1 more rule is malformed'],
  [10_000, 'accessList: 9980 more rules are malformed'],
] as const) {
  test(`the first twenty of ${count} malformed rules are told, and the others counted`, (t) => {
    const rules = Array.from({ length: count }, () => null)
    const lines = t.throws(() => text(rules), { instanceOf: FaithError }).message.split('\n')
    t.is(lines.length, 21)
    t.is(lines[20], last)
  })
}

test('the hint of a misspelt property names the properties of a rule', (t) => {
  const error = t.throws(() => text([{ action: 'deny', destination: '10.0.0.0/8', port: 80 }]), {
    instanceOf: FaithError,
  })
  t.is(error.message, 'accessList:1: unknown option `port`; did you mean `ports`?')
  t.is(error.hint, 'its options are action, client, destination, localAddress, ports, protocol')
})

for (const list of [undefined, null, 7, {}, Promise.resolve('')]) {
  test(`${String(list)} (${typeof list}) is not an access list`, (t) => {
    const error = t.throws(() => text(list), { instanceOf: FaithError })
    t.is(error.code, 'ERR_FAITH_ARGUMENT')
  })
}

test('a file is read unchanged', async (t) => {
  const content = '# ours\n::/0 permit 198.51.100.0/24\n'
  t.is(await readAccessList(await file('good.conf', content)), content)
})

test('a name that is not a string is refused', (t) => {
  const error = t.throws(() => checkAccessList('', 5 as never), { instanceOf: FaithError })
  t.like(error, {
    code: 'ERR_FAITH_ARGUMENT',
    message: 'checkAccessList: `name` must be a string, got 5',
  })
})

test('a malformed file is refused by its name and line', async (t) => {
  const path = await file('bad.conf', '# ours\n\n::/0 permit 198.51.100.0/24 prot 80\n')
  const error = await t.throwsAsync(readAccessList(path), { instanceOf: FaithError })
  t.is(error?.code, 'ERR_FAITH_ACCESS_LIST')
  t.true(error?.message.startsWith(`${path}:3: `), error?.message)
})

test('a missing file is an error, not an empty list', async (t) => {
  const path = join(folder, 'missing.conf')
  const error = await t.throwsAsync(readAccessList(path), { instanceOf: FaithError })
  t.is(error?.code, 'ERR_FAITH_ACCESS_LIST')
  t.is(error?.message, `cannot read the access list ${path}: no such file or directory`)
  t.is(error?.errno, -2)
  t.is(error?.syscall, 'open')
})

test('an unreadable file is an error, not an empty list', async (t) => {
  const error = await t.throwsAsync(readAccessList(folder), { instanceOf: FaithError })
  t.is(error?.code, 'ERR_FAITH_ACCESS_LIST')
  t.regex(error?.message ?? '', /: illegal operation on a directory$/)
})

test('a path must be a string', async (t) => {
  const error = await t.throwsAsync(readAccessList(0 as never), { instanceOf: FaithError })
  t.is(error?.code, 'ERR_FAITH_ARGUMENT')
})
