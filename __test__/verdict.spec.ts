/** The answers of a route that are verdicts, and the faults of others. */
import test from 'ava'
import { FaithError } from '../index.js'
import type { NativeVerdict } from '../lib/native.js'
import { readVerdict } from '../lib/route.js'

const verdicts: [answer: object | undefined, verdict: NativeVerdict][] = [
  [undefined, {}],
  [{ reject: 'drop' }, { reject: 'drop' }],
  [
    { reject: 'refused', tag: 'bad' },
    { reject: 'refused', tag: 'bad' },
  ],
  [{ socket: true }, { socket: true }],
  [{ proceed: true }, {}],
  [
    { proceed: true, socket: true, idleTimeoutMs: 0, tag: 'ftp' },
    { proceed: true, socket: true, idleTimeoutMs: 0, tag: 'ftp' },
  ],
  [
    {
      proceed: true,
      localAddress: '192.0.2.2',
      proxyProtocol: 1,
      idleTimeoutMs: 0,
      maxBytes: 1,
      tag: '',
    },
    { localAddress: '192.0.2.2', proxyProtocol: 1, idleTimeoutMs: 0, maxBytes: 1, tag: '' },
  ],
  [{ proceed: true, privilegedLocalPort: true }, { privilegedLocalPort: true }],
  [
    { host: '192.0.2.1', port: 80, privilegedLocalPort: false },
    { host: '192.0.2.1', port: 80, privilegedLocalPort: false },
  ],
  [
    { host: '192.0.2.1', port: 80, idleTimeoutMs: 1000, maxBytes: 2 ** 40, tag: 'é'.repeat(128) },
    { host: '192.0.2.1', port: 80, idleTimeoutMs: 1000, maxBytes: 2 ** 40, tag: 'é'.repeat(128) },
  ],
  [
    { host: '192.0.2.1', port: 80 },
    { host: '192.0.2.1', port: 80 },
  ],
  [
    { host: '192.0.2.1', port: 65_535, localAddress: '192.0.2.2', proxyProtocol: 2 },
    { host: '192.0.2.1', port: 65_535, localAddress: '192.0.2.2', proxyProtocol: 2 },
  ],
  [
    { host: '2001:db8::1', port: 80, localAddress: '2001:db8::2' },
    { host: '2001:db8::1', port: 80, localAddress: '2001:db8::2' },
  ],
  [
    { host: '64:ff9b::192.0.2.1', port: 80, allowAny: true },
    { host: '64:ff9b::192.0.2.1', port: 80, allowAny: true },
  ],
  [
    { host: '192.0.2.1', port: 80, allowAny: true },
    { host: '192.0.2.1', port: 80, allowAny: true },
  ],
  [
    { host: '192.0.2.1', port: 80, allowAny: false },
    { host: '192.0.2.1', port: 80 },
  ],
  [
    { host: 'localhost', port: 80 },
    { host: '127.0.0.1', port: 80 },
  ],
]

for (const [answer, verdict] of verdicts) {
  test(`the verdict ${JSON.stringify(answer)} is valid`, async (t) => {
    t.deepEqual(await readVerdict(answer), verdict)
  })
}

test('undefined properties of a verdict are left out', async (t) => {
  const verdict = { host: '192.0.2.1', port: 80, localAddress: undefined, reject: undefined }
  t.deepEqual(await readVerdict(verdict), { host: '192.0.2.1', port: 80 })
})

const malformed: [answer: unknown, complaint: RegExp][] = [
  [null, /got null/],
  [true, /got true/],
  [[], /got an array/],
  [{}, /^the verdict has none of `proceed`, `host`, `reject`, `socket`$/],
  [{ tag: 'mine' }, /^the verdict has none of /],
  [{ host: undefined, port: 80 }, /`host` must be a string, got undefined/],
  [{ host: '192.0.2.1' }, /`port` must be an integer from 1 to 65535, got undefined/],
  [{ host: '192.0.2.1', port: 0 }, /`port`/],
  [{ host: '192.0.2.1', port: '80' }, /`port` .* got '80'/],
  [{ host: '', port: 80 }, /`host`/],
  [
    { host: 'fe80::1%eth0', port: 80 },
    /`host` must be an address without a scope \(%\), got 'fe80::1%eth0'/,
  ],
  [
    { host: '::ffff:1.2.3.4', port: 80 },
    /`host` must be an IPv4 address in its own form \(write 1\.2\.3\.4\), got '::ffff:1\.2\.3\.4'/,
  ],
  [{ host: '0:0:0:0:0:FFFF:102:304', port: 80 }, /\(write 1\.2\.3\.4\)/],
  [{ host: '[2001:db8::1]', port: 80 }, /`host` must be an address without brackets/],
  [{ host: '2001:db8:::1', port: 80 }, /`host` must be an IPv4 or IPv6 address, got/],
  [
    { host: '192.0.2.256', port: 80 },
    /`host` must be an IPv4 or IPv6 address, got '192\.0\.2\.256'/,
  ],
  [{ host: '192.0.2', port: 80 }, /`host` must be an IPv4 or IPv6 address/],
  [
    { host: '192.0.2.1', port: 80, localAddress: '::1' },
    /`localAddress` must be an IPv4 address as `host` '192\.0\.2\.1' is, got '::1'/,
  ],
  [
    { host: '2001:db8::1', port: 80, localAddress: '192.0.2.2' },
    /`localAddress` must be an IPv6 address as `host` '2001:db8::1' is, got '192\.0\.2\.2'/,
  ],
  [
    { host: 'localhost', port: 80, localAddress: '2001:db8::2' },
    /`localAddress` must be an IPv4 address as the first address of `host` 'localhost' is/,
  ],
  [
    { proceed: true, localAddress: '2001:db8::2' },
    /`localAddress` must be an IPv4 address as the server that the dialled address means is/,
  ],
  [
    { host: '2001:db8::1', port: 80, localAddress: 'fe80::1%eth0' },
    /`localAddress` must be an address without a scope/,
  ],
  [{ host: '2001:db8::1', port: 80, localAddress: 7 }, /`localAddress` must be an IPv4 or IPv6/],
  [{ host: '192.0.2.1', port: 80, proxyProtocol: 3 }, /`proxyProtocol` must be 1 or 2, got 3/],
  [
    { host: '192.0.2.1', port: 80, prot: 1 },
    /the verdict: unknown option `prot`; did you mean `port`\?/,
  ],
  [{ host: '192.0.2.1', port: 80, allowAny: 1 }, /`allowAny` must be true or false, got 1/],
  [{ allowAny: true, reject: 'drop' }, /`allowAny` does not go with `reject`/],
  [{ proceed: false }, /`proceed` must be true, got false/],
  [{ proceed: true, host: '192.0.2.1', port: 80 }, /`host` does not go with `proceed`/],
  [{ proceed: true, allowAny: true }, /`allowAny` does not go with `proceed`/],
  [{ proceed: true, maxBytes: 0 }, /`maxBytes` must be an integer from 1 to 9007199254740991/],
  [{ proceed: true, idleTimeoutMs: -1 }, /`idleTimeoutMs` must be an integer from 0/],
  [{ proceed: true, tag: 7 }, /`tag` must be a string, got 7/],
  [
    { proceed: true, tag: 'é'.repeat(129) },
    /`tag` must be a string of at most 256 bytes, got '258 bytes'/,
  ],
  [{ socket: true, tag: 'mine' }, /`tag` does not go with `socket`/],
  [{ proceed: true, socket: false }, /`socket` must be true, got false/],
  [
    { proceed: true, socket: true, host: '192.0.2.1', port: 80 },
    /`host` does not go with `proceed`/,
  ],
  [{ reject: 'drop', maxBytes: 1 }, /`maxBytes` does not go with `reject`/],
  [{ socket: false }, /`socket` must be true, got false/],
  [{ socket: 1 }, /`socket` must be true or false, got 1/],
  [{ socket: true, host: '192.0.2.1', port: 80 }, /`host` does not go with `socket`/],
  [{ reject: 'drop', socket: true }, /`socket` does not go with `reject`/],
  [{ reject: 'denied' }, /`reject` must be 'refused' or/],
  [{ reject: 'drop', host: '192.0.2.1', port: 80 }, /`host` does not go with `reject`/],
]

for (const [answer, complaint] of malformed) {
  test(`${JSON.stringify(answer)} is not a verdict`, async (t) => {
    const error = await t.throwsAsync(readVerdict(answer), {
      instanceOf: FaithError,
      message: complaint,
    })
    t.is(error?.code, 'ERR_FAITH_ARGUMENT')
  })
}

test('verdicts that datagrams cannot have are refused with the reason', async (t) => {
  for (const [verdict, complaint] of [
    [{ socket: true }, '`socket` is for connections of TCP, and this one is about udp'],
    [{ proceed: true, socket: true }, '`socket` is for connections of TCP'],
    [{ proceed: true, proxyProtocol: 2 }, '`proxyProtocol` is for connections of TCP'],
    [{ proceed: true, privilegedLocalPort: true }, '`privilegedLocalPort` is for connections'],
    [{ host: '2001:db8::7', port: 53 }, '`host` must be an IPv4 server for udp'],
  ] as const) {
    const error = await t.throwsAsync(readVerdict(verdict, 'udp'), { instanceOf: FaithError })
    t.true(error.message.includes(complaint), error.message)
    await t.notThrowsAsync(readVerdict(verdict, 'tcp'))
  }
  const suitable = { host: '192.0.2.1', port: 53, idleTimeoutMs: 1, maxBytes: 2, tag: 'it' }
  t.deepEqual(await readVerdict(suitable, 'udp'), suitable)
})
