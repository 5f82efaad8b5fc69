import test from 'ava'
import { FaithError } from '../index.js'
import { readRelayOptions } from '../lib/relay-options.js'

const settingsOf = (options: object) => readRelayOptions({ ports: 'all', ...options }).settings

test('a relay with only ports has the documented defaults', (t) => {
  t.deepEqual(readRelayOptions({ port: 80 }), {
    settings: {
      ports: [{ first: 80, last: 80 }],
      tcp: true,
      backlog: 4096,
      mapping: 'rfc6052',
      mappings: [],
      accessList: '',
      accessListName: 'accessList',
      allowLoopback: false,
      connectFirst: true,
      maxHeld: 4096,
      maxHeldPerClient: 256,
      connectTimeoutMs: 10_000,
      idleTimeoutMs: 1_800_000,
      keepAliveTimeoutMs: 120_000,
      maxSessions: 0,
      maxSessionsPerClient: 0,
      maxRatePerClient: 0,
      clientPrefixLength: 64,
      proxyProtocol: 0,
      localAddresses: [],
      localHost: false,
      localServices: [],
      portBlockSize: 0,
      portBlocksPerClient: 4,
      portBlockRestMs: 120_000,
      privilegedLocalPort: false,
      copyDscp: false,
      sessionEvents: true,
      routeTimeoutMs: 5000,
      maxUndecided: 1024,
    },
    route: undefined,
    signal: undefined,
  })
})

const route = (): undefined => undefined

test('the default of maxUndecided grows with the time limit, and raises that of maxHeld', (t) => {
  t.like(settingsOf({ route }), { maxUndecided: 1024, maxHeld: 5120, maxHeldPerClient: 1280 })
  t.like(settingsOf({ route, routeTimeoutMs: 250 }), { maxUndecided: 1024 })
  t.like(settingsOf({ route, routeTimeoutMs: 5001 }), {
    maxUndecided: 2048,
    maxHeldPerClient: 2304,
  })
  t.like(settingsOf({ route, routeTimeoutMs: 2_147_483_647 }), {
    maxUndecided: 16_384,
    maxHeld: 20_480,
  })
  t.like(settingsOf({ route, maxUndecided: 10 }), { maxHeld: 4106, maxHeldPerClient: 266 })
  t.like(settingsOf({ route, maxUndecided: 50_000 }), { maxHeld: 54_096, maxHeldPerClient: 50_256 })
  t.like(settingsOf({ route, maxUndecided: 4_294_967_295 }), {
    maxHeld: 4_294_967_295,
    maxHeldPerClient: 4_294_967_295,
  })
  t.like(settingsOf({ route, maxHeld: 5, maxHeldPerClient: 6 }), {
    maxHeld: 5,
    maxHeldPerClient: 6,
  })
  t.like(settingsOf({ routeTimeoutMs: 60_000 }), { maxHeld: 4096, maxHeldPerClient: 256 })
})

const taken: [options: object, settings: object][] = [
  [
    { maxHeld: 1, maxHeldPerClient: 2 },
    { maxHeld: 1, maxHeldPerClient: 2 },
  ],
  [{ keepAliveTimeoutMs: 30_000 }, { keepAliveTimeoutMs: 30_000 }],
  [
    { maxSessionsPerClient: 100, maxRatePerClient: 10 },
    { maxSessionsPerClient: 100, maxRatePerClient: 10 },
  ],
  [{ clientPrefixLength: 0 }, { clientPrefixLength: 0 }],
  [{ proxyProtocol: 1 }, { proxyProtocol: 1 }],
  [{ proxyProtocol: 2 }, { proxyProtocol: 2 }],
  [
    { localAddresses: ['192.0.2.1', '2001:db8::2'] },
    { localAddresses: ['192.0.2.1', '2001:db8::2'] },
  ],
  [
    { portBlockSize: 512, portBlocksPerClient: 1, portBlockRestMs: 1000 },
    { portBlockSize: 512, portBlocksPerClient: 1, portBlockRestMs: 1000 },
  ],
  [
    { privilegedLocalPort: true, copyDscp: true },
    { privilegedLocalPort: true, copyDscp: true },
  ],
  [
    { routeTimeoutMs: 250, maxUndecided: 10 },
    { routeTimeoutMs: 250, maxUndecided: 10 },
  ],
  [
    { mappings: ['2001:db8:64:a::/120=198.51.100.0/24'] },
    { mappings: ['2001:db8:64:a::/120=198.51.100.0/24'] },
  ],
  [
    { mappings: [{ ipv6: '2001:db8:64::80', ipv4: '198.51.100.80:8080' }] },
    { mappings: ['2001:db8:64::80=198.51.100.80:8080'] },
  ],
  [
    { accessList: [{ action: 'deny', destination: '0.0.0.0/0', ports: 25 }] },
    { accessList: '::/0 deny 0.0.0.0/0 port 25' },
  ],
  [{ accessList: '::/0 permit 0.0.0.0/0\n' }, { accessList: '::/0 permit 0.0.0.0/0\n' }],
]

for (const [options, settings] of taken) {
  test(`${JSON.stringify(options)} is valid`, (t) => {
    t.like(settingsOf(options), settings)
  })
}

const refused: [options: object, complaint: RegExp][] = [
  [{ maxHeld: 0 }, /`maxHeld` must be an integer from 1 /],
  [{ maxHeldPerClient: 0 }, /`maxHeldPerClient` must be an integer from 1 /],
  [
    { keepAliveTimeoutMs: 1999 },
    /`keepAliveTimeoutMs` must be an integer from 2000 to 64800000, got 1999/,
  ],
  [{ keepAliveTimeoutMs: 0 }, /`keepAliveTimeoutMs`/],
  [{ portBlockSize: 65_536 }, /`portBlockSize` must be an integer from 0 to 65535, got 65536/],
  [{ portBlocksPerClient: 0 }, /`portBlocksPerClient` must be an integer from 1 to 65535/],
  [{ portBlockRestMs: 999 }, /`portBlockRestMs` must be an integer from 1000 /],
  [{ maxSessionsPerClient: -1 }, /`maxSessionsPerClient`/],
  [{ maxRatePerClient: 0.5 }, /`maxRatePerClient`/],
  [{ clientPrefixLength: 129 }, /`clientPrefixLength` must be an integer from 0 to 128, got 129/],
  [{ proxyProtocol: 3 }, /`proxyProtocol` must be 1 or 2, got 3/],
  [{ proxyProtocol: '2' }, /`proxyProtocol` must be 1 or 2, got '2'/],
  [{ localAddresses: ['::ffff:192.0.2.1'] }, /`localAddresses` .* \(write 192\.0\.2\.1\)/],
  [{ localAddresses: ['gateway'] }, /`localAddresses` must be an IPv4 or IPv6 address/],
  [{ localAddresses: '192.0.2.1' }, /`localAddresses` must be an array, got '192\.0\.2\.1'/],
  [
    { localAddresses: ['fe80::1%eth0'] },
    /`localAddresses` must be an address without a scope \(%\), got 'fe80::1%eth0'/,
  ],
  [{ privilegedLocalPort: 1 }, /`privilegedLocalPort`/],
  [{ copyDscp: 'yes' }, /`copyDscp`/],
  [{ mappings: '2001:db8::/120=192.0.2.0/24' }, /`mappings` must be an array/],
  [{ mappings: [7] }, /`mappings` must be an array of strings or \{ ipv6, ipv4 \}, got 7/],
  [{ mappings: [{ ipv6: '2001:db8::1' }] }, /a mapping of `mappings`: `ipv4` must be a string/],
  [
    { mappings: [{ ipv6: '2001:db8::1', ipv4: '192.0.2.1', port: 80 }] },
    /a mapping of `mappings`: unknown option `port`/,
  ],
  [{ route: 'direct' }, /`route` must be a function, got 'direct'/],
  [{ routeTimeoutMs: 0 }, /`routeTimeoutMs` must be an integer from 1 to 2147483647, got 0/],
  [{ maxUndecided: 0 }, /`maxUndecided` must be an integer from 1 /],
  [{ accessList: null }, /an access list must be a text or an array of rules, got null/],
  [{ accessList: Promise.resolve('') }, /an access list must be .* got an object/],
]

for (const [options, complaint] of refused) {
  const [name, value] = Object.entries(options)[0] ?? []
  test(`${name} ${JSON.stringify(value)} is refused`, (t) => {
    const error = t.throws(() => settingsOf(options), {
      instanceOf: FaithError,
      message: complaint,
    })
    t.is(error.code, 'ERR_FAITH_ARGUMENT')
    t.true(error.message.startsWith('faith.relay: '), error.message)
  })
}
