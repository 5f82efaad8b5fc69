import { readFileSync } from 'node:fs'

import test from 'ava'
import type { ExecutionContext } from 'ava'

import { addresses, createLab, udp } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

let lab: Lab
let client: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  await Promise.all([
    lab.server.echo({ port: 7 }),
    // Redirects every port of the server to a listener, so that a refused client was not relayed.
    nft(
      lab.server,
      `table ip echo {
        chain prerouting {
          type nat hook prerouting priority dstnat
          tcp dport 1-65535 redirect to :7
        }
      }`,
    ),
  ])
})

test.after.always(() => lab.close())

let places = 0

/** Gives the test an interface and a prefix of its own. */
function freshPlace() {
  places += 1
  return { name: `command${places}`, prefix: `3fff:${places}::` }
}

/** Starts a faithd for this test. */
async function start(...args: string[]): Promise<Faithd> {
  return await startFaithd(lab, [...permitted, ...args], 'by itself', freshPlace())
}

async function ip(...args: string[]): Promise<string> {
  const { stdout } = await lab.router.run('ip', ['-6', ...args])
  return stdout
}

test('the process is called faithd, and shows its arguments', async (t) => {
  const faithd = await start()
  t.is(readFileSync(`/proc/${faithd.pid}/comm`, 'utf8'), 'faithd\n')
  t.true(readFileSync(`/proc/${faithd.pid}/cmdline`, 'utf8').split('\0').includes('-k'))
  await faithd.stop()
})

test('-h and --help print the usage', async (t) => {
  for (const option of ['-h', '--help']) {
    const { code, stdout, stderr } = await runFaithd(lab, [option])
    t.is(code, 0)
    t.regex(stdout, /^Usage: faithd \[options\] \[service \[serverpath \[serverargs…\]\]\]$/m)
    t.is(stderr, '')
  }
})

test('-V and --version print the version of the package', async (t) => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(manifest) as { version: string }
  for (const option of ['-V', '--version']) {
    const { code, stdout, stderr } = await runFaithd(lab, [option])
    t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `faithd ${version}\n`, stderr: '' })
  }
})

for (const [service, relayed, refused] of [
  ['8080', [8080], [8079, 8081]],
  ['ssh', [22], [21, 23]],
  ['http,https', [80, 443], [79, 81, 442, 444]],
  ['8000-8003', [8000, 8001, 8003], [8004, 22]],
  ['telnet,25,8000-8001,65535', [23, 25, 8000, 8001, 65_535], [22, 24, 26, 8002, 65_534]],
  ['all', [1, 22, 6999, 8000, 65_535], []],
] as const) {
  test(`faithd ${service} relays that service, and refuses other ports itself`, async (t) => {
    const faithd = await start(service)
    const ends = await Promise.all(relayed.map((port) => client.connect(faithd.address(), port)))
    // The echo shows that the relay has a session.
    for (const end of ends) end.says('.')
    for (const end of ends) await end.hears('.')
    const expected = refused.length === 0 ? {} : { ECONNREFUSED: refused.length }
    t.deepEqual(await client.dialAll(faithd.address(), refused), expected)
    await faithd.stop()
    const seen = faithd.sessions.map(({ destination }) => destination.port)
    t.deepEqual(
      seen.toSorted((one, other) => one - other),
      [...relayed],
    )
  })
}

test('without a service every port is relayed', async (t) => {
  const faithd = await start()
  t.deepEqual(await client.dialAll(faithd.address(), [1, 80, 65_535]), { connected: 3 })
})

test('-i names the interface, and each -P adds a prefix', async (t) => {
  const prefixes = ['3fff:a1::/96', '3fff:a2::/64', '3fff:a3::/32']
  const args = ['-k', '-i', 'some-name', ...prefixes.flatMap((prefix) => ['-P', prefix])]
  const faithd = await lab.router.faithd(args)
  t.regex(await ip('link', 'show', 'some-name'), /<.*\bUP\b.*>/)
  const routes = await ip('route', 'show', 'dev', 'some-name')
  for (const prefix of prefixes) t.true(routes.includes(`${prefix} `), routes)
  await faithd.stop()
})

test('the defaults are 64:ff9b::/96 and faith0', async (t) => {
  const faithd = await lab.router.faithd(['-k', ...permitted])
  t.regex(await ip('route', 'show', 'dev', 'faith0'), /^64:ff9b::\/96 /m)
  t.is(await client.dial(`64:ff9b::${addresses.server}`, 80).outcome(), 'connected')
  await faithd.stop()
})

test('--unsupported unreachable answers UDP at once, --unsupported drop does not', async (t) => {
  const answering = await start('--protocols', 'tcp', '--unsupported', 'unreachable')
  t.like(await udp(lab.client, { address: answering.address() }), { code: 'EACCES' })
  const silent = await start('--protocols', 'tcp', '--unsupported', 'drop')
  const nothing = { address: silent.address(), timeout: 500 }
  t.like(await udp(lab.client, nothing), { code: 'ETIMEDOUT' })
})

test('with --no-routes the administrator sets the routes', async (t) => {
  const faithd = await start('--no-routes')
  t.notRegex(await ip('route', 'show', 'dev', faithd.name), /3fff/)
  t.is(await client.dial(faithd.address(), 80).outcome(), 'ENETUNREACH')

  const route = [`${faithd.address()}/128`, 'dev', faithd.name]
  await ip('route', 'add', ...route)
  t.is(await client.dial(faithd.address(), 80).outcome(), 'connected')
  const second = faithd.address(addresses.serverSecond)
  t.is(await client.dial(second, 80).outcome(), 'ENETUNREACH')

  await ip('route', 'del', ...route)
  t.is(await client.dial(faithd.address(), 80).outcome(), 'ENETUNREACH')
})

test('-d logs more', async (t) => {
  const place = freshPlace()
  const args = ['-k', '-i', place.name, '-P', `${place.prefix}/96`]
  const quiet = await lab.router.faithd(args)
  await quiet.stop()
  t.notRegex(quiet.stderr, /DEBUG/)
  const talkative = await lab.router.faithd([...args, '-d'])
  await talkative.stop()
  t.regex(talkative.stderr, /DEBUG: options: .*"keepfaith":true/)
})

/** Wrong command lines, with the exit code and message of faithd. */
const failures: [what: string, args: string[], code: number, says: RegExp][] = [
  ['an unknown option', ['--frobnicate'], 64, /unknown option '--frobnicate'/],
  ['an option without its value', ['-i'], 64, /-i: argument missing: NAME/],
  ['an option given twice', ['--mtu=1280', '--mtu=1500'], 64, /--mtu: it takes one BYTES, /],
  ['two services', ['ssh', 'http'], 64, /'http' is not the whole path of a local server/],
  ['an unknown service', ['no-such-service'], 64, /'no-such-service'/],
  ['port 0', ['0'], 64, /'0' is out of range/],
  ['port 65536', ['65536'], 64, /'65536' is out of range/],
  ['a range that ends before it begins', ['80-22'], 64, /'80-22' ends before it begins/],
  ['a malformed prefix', ['-P', '64:ff9b::'], 64, /'64:ff9b::' is not an IPv6 prefix/],
  ['a prefix with host bits', ['-P', '3fff::1/96'], 64, /host bits set; write 3fff::\/96/],
  ['a prefix of an illegal length', ['-P', '3fff::/97'], 64, /cannot be \/97/],
  [
    'prefixes that overlap',
    ['-P', '3fff:b::/32', '-P', '3fff:b::/96'],
    64,
    /overlaps 3fff:b::\/32/,
  ],
  ['an illegal interface name', ['-i', 'a/b'], 64, /`a\/b` is not a legal interface name/],
  ['an interface name that is too long', ['-i', 'abcdefghijklmnop'], 64, /1 to 15 bytes/],
  ['a malformed rule', ['--permit', '10.0.0.0/33'], 64, /--permit: '10\.0\.0\.0\/33'/],
  ['a rule with host bits', ['--deny', '10.0.0.1/8'], 64, /write 10\.0\.0\.0\/8/],
  ['an interface that exists', ['-i', 'lan0'], 78, /lan0: an interface of that name exists/],
  ['a route that exists', ['-P', '3fff:ffff::/96'], 78, /remove that route/],
]

for (const [what, args, code, says] of failures) {
  test(`${what} ends faithd with ${code} and one line`, async (t) => {
    const { name, prefix } = freshPlace()
    if (what === 'a route that exists') await ip('route', 'add', '3fff:ffff::/96', 'dev', 'lan0')
    const named = args.includes('-i') ? [] : ['-i', name]
    const failed = await runFaithd(lab, ['-k', ...named, '-P', `${prefix}/96`, ...args])
    assertFailure(t, failed, code, says)
    t.is(await ip('link', 'show', name), '')
  })
}

test('where another faithd has the interface, the error names its process', async (t) => {
  const { name, prefix } = freshPlace()
  const first = await startFaithd(lab, permitted, 'by itself', { name, prefix })
  const failed = await runFaithd(lab, ['-k', '-i', name, '-P', '3fff:fffe::/96'])
  const holder = `process ${first.pid} \\(faithd\\) has it; choose another name, or end that process`
  assertFailure(t, failed, 78, new RegExp(`${name}: an interface of that name exists; ${holder}`))
  await first.stop()
})

test('without -k faithd ends with 78, and its error gives the remedy', async (t) => {
  assertFailure(t, await runFaithd(lab, []), 78, /keepfaith is 0.*-k/)
})

test('without /dev/net/tun faithd ends with 69, and its error gives the remedy', async (t) => {
  const hide = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/net && exec "$@"', 'sh']
  const failed = await runFaithd(lab, ['-k', '-i', freshPlace().name], hide)
  assertFailure(t, failed, 69, /command\d+: \/dev\/net\/tun: No such file.*modprobe tun/)
})

for (const capability of ['net_admin', 'sys_admin']) {
  const name = `CAP_${capability.toUpperCase()}`
  test(`without ${name} faithd ends with 77, and its error names the capability`, async (t) => {
    const without = ['setpriv', `--inh-caps=-${capability}`, `--bounding-set=-${capability}`]
    const { name: device } = freshPlace()
    const failed = await runFaithd(lab, ['-k', '-i', device], without)
    assertFailure(t, failed, 77, new RegExp(`${device}.*Operation not permitted.*${name}`))
    t.is(await ip('link', 'show', device), '')
  })
}

type Failed = Awaited<ReturnType<typeof runFaithd>>

function assertFailure(
  t: ExecutionContext,
  { code, stdout, stderr }: Failed,
  expected: number,
  says: RegExp,
): void {
  t.is(code, expected)
  t.is(stdout, '')
  t.regex(stderr, says)
  t.regex(stderr, /^[^\n]+\n$/)
}
