/** Bad input and missing privileges: each is a FaithError with a code, and existing interfaces keep working. */
import test, { type ExecutionContext } from 'ava'
import { FaithError, type FaithInterfaceOptions, type FaithListenOptions } from '../../../index.js'
import { addresses, captured } from '../../../lab/index.js'
import { Program } from '../../programs/program.js'
import { settled } from '../../fixtures/remains.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
test.before(() => settled(lab.router))

const server = captured()

async function devices(): Promise<string> {
  return (await lab.router.run('sh', ['-c', 'ip -o link; ip -6 route show table all'])).stdout
}

/** The error of an attempt, which must be a FaithError with that code. */
async function fails(
  t: ExecutionContext,
  attempt: Promise<unknown>,
  code: string,
): Promise<FaithError> {
  const error = await t.throwsAsync(attempt, { instanceOf: FaithError })
  if (error === undefined) throw new Error('no error')
  t.is(error.code, code, error.message)
  t.true(error.message.length > 0 && !error.message.includes('\n'), 'one line')
  return error
}

/** A command that hides /dev/net/tun and runs the following command. */
const withoutTun = (script: string) => [
  'unshare',
  '-m',
  '--propagation',
  'private',
  'sh',
  '-c',
  `mount -t tmpfs tmpfs /dev/net && ${script}exec "$@"`,
  'sh',
]

test.serial(
  'without /dev/net/tun creating fails, and the error names the module to load',
  async (t) => {
    await using program = await Program.start(lab.router, withoutTun(''))
    const error = await fails(t, program.create(), 'ENOENT')
    t.regex(error.message, /\/dev\/net\/tun/)
    t.regex(error.hint ?? '', /modprobe tun/)
    t.like(error, { errno: -2, syscall: 'open' })
  },
)

test.serial('a /dev/net/tun without permission is EACCES, and the error explains it', async (t) => {
  const before = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--']
  const hidden = withoutTun('touch /dev/net/tun && chmod 0 /dev/net/tun && ')
  await using program = await Program.start(lab.router, [...hidden, ...before])
  const error = await fails(t, program.create(), 'EACCES')
  t.regex(error.message, /\/dev\/net\/tun/)
  t.regex(error.hint ?? '', /\/dev\/net\/tun readable and writable/)
})

for (const [missing, kept] of [
  ['CAP_NET_ADMIN', ['sys_admin']],
  ['CAP_SYS_ADMIN', ['net_admin']],
  ['CAP_NET_ADMIN', []],
] as const) {
  const has = kept.length > 0 ? `only ${kept.join()}` : 'no capability'
  test.serial(`with ${has} creating fails, and the error names ${missing}`, async (t) => {
    const before = await devices()
    const bounds = ['-all', ...kept.map((name) => `+${name}`)].join(',')
    const drop = ['setpriv', `--bounding-set=${bounds}`, '--inh-caps=-all', '--']
    await using program = await Program.start(lab.router, drop)
    const error = await fails(t, program.create(), 'EPERM')
    t.regex(error.hint ?? '', new RegExp(missing))
    t.is(error.errno, -1)
    t.is(await devices(), before, 'the attempt leaves nothing behind')
  })
}

test.serial('the name of an existing interface is refused', async (t) => {
  for (const name of ['lan0', 'lo']) {
    const error = await fails(t, router.create({ name }), 'EEXIST')
    t.regex(error.message, new RegExp(`cannot create ${name}: .*exists`))
    t.regex(error.hint ?? '', /another name/)
  }
})

test.serial(
  'the name of an existing faith interface is refused, and that interface works on',
  async (t) => {
    await using faith = await router.create()
    await faith.listen({ port: 80 }, 'first')
    await fails(t, router.create({ prefixes: ['64:ff9b:1::/48'] }), 'EEXIST')
    await using other = await Program.start(lab.router)
    await fails(t, other.create({ prefixes: ['64:ff9b:1::/48'] }), 'EEXIST')
    t.like(await client.greeting(server, 80), { from: 'first' })
  },
)

test.serial('two simultaneous creates with one name make one interface', async (t) => {
  const attempts = await Promise.allSettled([
    router.create({ prefixes: ['64:ff9b:1::/48'] }),
    router.create({ prefixes: ['64:ff9b:2::/48'] }),
  ])
  const [failed] = attempts.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
  for (const each of attempts) if (each.status === 'fulfilled') await each.value.close()
  t.true(failed instanceof FaithError)
  t.is((failed as FaithError).code, 'EEXIST')
})

const illegal: [what: string, options: FaithInterfaceOptions, code: string][] = [
  ['an empty name', { name: '' }, 'ERR_FAITH_NAME'],
  ['a name of 16 bytes', { name: 'faith-of-16-byte' }, 'ERR_FAITH_NAME'],
  ['a name with a slash', { name: 'fa/ith' }, 'ERR_FAITH_NAME'],
  ['a name with a colon', { name: 'faith:0' }, 'ERR_FAITH_NAME'],
  ['a name with a space', { name: 'faith 0' }, 'ERR_FAITH_NAME'],
  ['a name the kernel would number', { name: 'faith%d' }, 'ERR_FAITH_NAME'],
  ['the name .', { name: '.' }, 'ERR_FAITH_NAME'],
  ['the name ..', { name: '..' }, 'ERR_FAITH_NAME'],
  ['the name all', { name: 'all' }, 'ERR_FAITH_NAME'],
  ['a name with a NUL', { name: 'faith\0' }, 'ERR_FAITH_NAME'],
  ['no prefix', { prefixes: [] }, 'ERR_FAITH_PREFIX'],
  ['a prefix without a length', { prefixes: ['64:ff9b::'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix with a word as address', { prefixes: ['faith/96'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix of IPv4', { prefixes: ['10.0.0.0/8'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix with host bits', { prefixes: ['64:ff9b::1/96'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix of 128 bits', { prefixes: ['64:ff9b::/128'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix of 0 bits', { prefixes: ['::/0'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix of 95 bits', { prefixes: ['64:ff9b::/95'] }, 'ERR_FAITH_PREFIX'],
  ['a multicast prefix', { prefixes: ['ff0e::/32'] }, 'ERR_FAITH_PREFIX'],
  ['a link-local prefix', { prefixes: ['fe80::/64'] }, 'ERR_FAITH_PREFIX'],
  ['the IPv4-mapped prefix', { prefixes: ['::ffff:0:0/96'] }, 'ERR_FAITH_PREFIX'],
  ['a prefix twice', { prefixes: ['64:ff9b::/96', '64:ff9b::/96'] }, 'ERR_FAITH_PREFIX'],
  ['overlapping prefixes', { prefixes: ['64:ff9b::/96', '64:ff9b::/32'] }, 'ERR_FAITH_PREFIX'],
  ['an MTU below 1280', { mtu: 1279 }, 'ERR_FAITH_ARGUMENT'],
  ['an MTU above 65535', { mtu: 65_536 }, 'ERR_FAITH_ARGUMENT'],
  ['65 workers', { workers: 65 }, 'ERR_FAITH_ARGUMENT'],
]

for (const [what, options, code] of illegal) {
  test.serial(`${what} is ${code}, and nothing is created`, async (t) => {
    const before = await devices()
    await fails(t, router.create(options), code)
    t.is(await devices(), before)
  })
}

test.serial(
  'a prefix that is routed elsewhere is refused, and leaves nothing behind',
  async (t) => {
    await lab.router.run('ip', ['-6', 'route', 'add', '64:ff9b:1::/48', 'dev', 'lan0'])
    const before = await devices()
    const prefixes = ['64:ff9b::/96', '64:ff9b:1::/48']
    const error = await fails(t, router.create({ prefixes }), 'EEXIST')
    t.regex(error.message, /route 64:ff9b:1::\/48 to faith0, because lan0 has a route for it/)
    t.regex(error.hint ?? '', /routes: false/)
    t.is(await devices(), before)
    await lab.router.run('ip', ['-6', 'route', 'del', '64:ff9b:1::/48', 'dev', 'lan0'])
  },
)

for (const [whose, metric] of [
  ['an administrator', '1024'],
  ['a routing daemon, which wins over all others', '20'],
] as const) {
  test.serial(
    `a prefix that ${whose} routes can be added only after that route is gone`,
    async (t) => {
      const prefix = '64:ff9b:1::/48'
      const inside = '64:ff9b:1:c000:2:2100::'
      const theirs = [prefix, 'via', addresses.client, 'dev', 'lan0', 'metric', metric]
      await using faith = await router.create()
      await faith.listen({ port: 80 }, 'here')
      await lab.router.run('ip', ['-6', 'route', 'add', ...theirs])
      const before = await devices()
      const error = await fails(t, faith.addPrefix(prefix), 'EEXIST')
      t.regex(error.message, /route 64:ff9b:1::\/48 to faith0/)
      t.regex(error.hint ?? '', /remove that route/)
      t.deepEqual(await faith.prefixes(), ['64:ff9b::/96'])
      t.is(await devices(), before, 'the other route is unchanged')
      t.like(await client.greeting(server, 80), { from: 'here' })

      await lab.router.run('ip', ['-6', 'route', 'del', ...theirs])
      await faith.addPrefix(prefix)
      t.like(await client.greeting(inside, 80), { from: 'here', ipv4: '192.0.2.33' })
    },
  )
}

test.serial('a route with lower priority than the interface’s own does no harm', async (t) => {
  const theirs = ['64:ff9b::/96', 'via', addresses.client, 'dev', 'lan0', 'metric', '2000']
  await lab.router.run('ip', ['-6', 'route', 'add', ...theirs])
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  t.like(await client.greeting(server, 80), { from: 'here' })
  const { code } = await lab.router.run('ip', ['-6', 'route', 'del', ...theirs])
  t.is(code, 0, 'the route still exists')
})

for (const [prefix, code] of [
  ['64:ff9b::/32', 'ERR_FAITH_PREFIX'],
  ['64:ff9b::/96', 'ERR_FAITH_PREFIX'],
  ['64:ff9b:1::1/48', 'ERR_FAITH_PREFIX'],
  ['64:ff9b:1::/49', 'ERR_FAITH_PREFIX'],
  ['nonsense', 'ERR_FAITH_PREFIX'],
] as const) {
  test.serial(`${prefix} cannot be added, and the existing prefixes work on`, async (t) => {
    await using faith = await router.create()
    await faith.listen({ port: 80 }, 'here')
    await fails(t, faith.addPrefix(prefix), code)
    t.deepEqual(await faith.prefixes(), ['64:ff9b::/96'])
    t.like(await client.greeting(server, 80), { from: 'here' })
  })
}

test.serial('a prefix that the interface lacks cannot be deleted', async (t) => {
  await using faith = await router.create()
  await fails(t, faith.deletePrefix('64:ff9b:1::/48'), 'ENOENT')
  await fails(t, faith.deletePrefix('64:ff9b::'), 'ERR_FAITH_PREFIX')
  t.deepEqual(await faith.prefixes(), ['64:ff9b::/96'])
})

test.serial('one listener too many gets an error with the limit', async (t) => {
  await using faith = await router.create()
  if ((await faith.stats()).steering !== 'sk_lookup') {
    t.pass('the limit is another one then')
    return
  }
  const most = 1024
  for (let port = 1000; port < 1000 + most; port += 1) await faith.listen({ port }, 'here')
  const error = await fails(t, faith.listen({ port: 5000 }), 'ENOSPC')
  t.like(error, { errno: undefined, syscall: undefined })
  t.regex(error.message, /steer ports 5000: at most 1024 listeners fit/)
  t.regex(error.hint ?? '', /close a listener/)
})

const outside: [what: string, options: object, code: string][] = [
  ['port 0', { port: 0 }, 'ERR_FAITH_PORT'],
  ['port 65536', { port: 65_536 }, 'ERR_FAITH_PORT'],
  ['port -1', { port: -1 }, 'ERR_FAITH_PORT'],
  ['port 80.5', { port: 80.5 }, 'ERR_FAITH_PORT'],
  ['a range beyond 65535', { ports: '65000-65536' }, 'ERR_FAITH_PORT'],
  ['a range from 0', { ports: ['0-80'] }, 'ERR_FAITH_PORT'],
  ['a range that ends before it begins', { ports: ['90-80'] }, 'ERR_FAITH_PORT'],
  ['a port that is a word', { ports: 'http' }, 'ERR_FAITH_PORT'],
  ['no ports', { ports: [] }, 'ERR_FAITH_PORT'],
  ['neither port nor ports', {}, 'ERR_FAITH_PORT'],
  ['both port and ports', { port: 80, ports: [81] }, 'ERR_FAITH_PORT'],
  ['an address outside every prefix', { port: 80, address: '2001:db8::1' }, 'EADDRNOTAVAIL'],
  ['an address of the router', { port: 80, address: addresses.gateway }, 'EADDRNOTAVAIL'],
  ['a host name as address', { port: 80, address: 'localhost' }, 'ERR_FAITH_ARGUMENT'],
  ['an address with a zone', { port: 80, address: 'fe80::1%lan0' }, 'ERR_FAITH_ARGUMENT'],
  ['an IPv4 address', { port: 80, address: addresses.server }, 'ERR_FAITH_ARGUMENT'],
  ['a backlog of 0', { port: 80, backlog: 0 }, 'ERR_FAITH_ARGUMENT'],
]

for (const call of ['listen', 'relay'] as const) {
  test.serial(`${call} refuses bad ports and addresses`, async (t) => {
    await using faith = await router.create()
    await faith.listen({ port: 8080 }, 'here')
    for (const [what, options, code] of outside) {
      const error = await t.throwsAsync(
        faith[call](options as FaithListenOptions),
        { instanceOf: FaithError },
        what,
      )
      t.is(error?.code, code, what)
    }
    t.like(await client.greeting(server, 8080), { from: 'here' })
  })
}

type Listens = FaithListenOptions
const taken: [what: string, first: Listens, second: Listens, named: string][] = [
  ['the same port', { port: 80 }, { port: 80 }, ':: has port 80'],
  ['a port of a list', { ports: [22, 80] }, { port: 80 }, ':: has port 80'],
  ['a port of a range', { ports: '80-90' }, { port: 85 }, ':: has port 85'],
  ['any port beside all', { ports: 'all' }, { port: 80 }, ':: has port 80'],
  ['all beside one', { port: 80 }, { ports: 'all' }, ':: has port 80'],
  ['ranges that overlap', { ports: '80-95' }, { ports: '90-100' }, ':: has ports 90-95'],
  [
    'a port of one address',
    { port: 80, address: server },
    { ports: '1-80', address: server },
    '64:ff9b::c633:6402 has port 80',
  ],
]

for (const steering of ['auto', 'on-demand'] as const) {
  for (const [what, first, second, named] of taken) {
    test.serial(`${steering}: ${what} is taken for a second listener or relay`, async (t) => {
      await using faith = await router.create({ steering })
      await faith.listen(first, 'first')
      const error = await fails(t, faith.listen(second), 'EADDRINUSE')
      t.true(error.message.startsWith(`another faith listener of ${named}`), error.message)
      await fails(t, faith.relay(second), 'EADDRINUSE')
      t.like(await client.greeting(server, 80), { from: 'first' })
    })
  }
}

test.serial('a relay’s port is taken for a listener', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: '80-90' })
  await fails(t, faith.listen({ port: 80 }), 'EADDRINUSE')
  await relay.close()
  await faith.listen({ port: 80 }, 'here')
  t.like(await client.greeting(server, 80), { from: 'here' })
})

test.serial('calls on a closed interface fail with its closed error', async (t) => {
  const faith = await router.create()
  await faith.close()
  const attempts = {
    listen: () => faith.listen({ port: 80 }),
    relay: () => faith.relay({ port: 80 }),
    add: () => faith.addPrefix('64:ff9b:1::/48'),
    delete: () => faith.deletePrefix('64:ff9b::/96'),
  }
  for (const [what, attempt] of Object.entries(attempts)) {
    const error = await t.throwsAsync(attempt(), { instanceOf: FaithError }, what)
    t.is(error?.code, 'ERR_FAITH_CLOSED', what)
    t.regex(error?.message ?? '', /faith0 is closed/)
    t.truthy(error?.hint)
  }
})

test.serial('pending calls fail or are closed when the interface closes', async (t) => {
  for (let round = 0; round < 10; round += 1) {
    const faith = await router.create()
    const attempts = [faith.listen({ port: 80 }), faith.addPrefix('64:ff9b:1::/48')]
    const closed = faith.close()
    for (const outcome of await Promise.allSettled(attempts)) {
      const reason: unknown = outcome.status === 'fulfilled' ? undefined : outcome.reason
      t.is(reason instanceof FaithError ? reason.code : reason, reason && 'ERR_FAITH_CLOSED')
    }
    await closed
  }
})
