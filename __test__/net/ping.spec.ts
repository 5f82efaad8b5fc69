/** Pings through the relay: echo requests of clients, the replies, and the errors of routers on the way. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab, RunResult } from '../../lab/index.js'
import { type Faithd, permitted, startFaithd, startWrapped } from '../fixtures/faithd.js'
import { mtr, traceroute, tracedPlace } from '../fixtures/routers-on-the-way.js'

const pings = permitted

let lab: Lab
let started = 0

test.before(async () => {
  lab = await createLab()
})

test.after.always(() => lab.close())

function nextPlace(): { name: string; prefix: string } {
  started += 1
  return { name: `ping${started}`, prefix: `3fff:${started}::` }
}

/** The ways in which a host lets faithd send echo requests. */
const ways = [
  ['by raw sockets', async (...args: string[]) => await start('1 0', args)],
  ['by ping sockets', async (...args: string[]) => await start('0 2147483647', args)],
] as const

/** Starts faithd in a router that allows these groups ping sockets. */
async function start(groups: string, args: readonly string[]): Promise<Faithd> {
  await allow(groups)
  return await startFaithd(lab, [...pings, ...args], 'by itself', nextPlace())
}

async function allow(groups: string): Promise<void> {
  const write = `echo ${groups} >/proc/sys/net/ipv4/ping_group_range`
  const { code, stderr } = await lab.router.run('sh', ['-c', write])
  if (code !== 0) throw new Error(stderr)
}

async function ping(to: string, ...options: string[]): Promise<RunResult> {
  return await lab.client.run('ping', ['-6', '-n', '-W', '10', ...options, to], { timeout: 60_000 })
}

for (const [way, begin] of ways) {
  test.serial(`a ping is answered by the server, ${way}`, async (t) => {
    const faithd = await begin('--deny', '203.0.113.0/24')
    const to = faithd.address()
    const { stdout, code } = await ping(to, '-c', '3', '-i', '0.2')
    t.is(code, 0, stdout)
    // The router takes one hop of the reply's 64.
    t.regex(stdout, /3 packets transmitted, 3 received/)
    t.regex(stdout, /icmp_seq=3 ttl=63 /)
    await faithd.stop()
    const session = await faithd.session(({ protocol }) => protocol === 'icmp')
    t.like(session, { bytesUp: 3 * 56, bytesDown: 3 * 56 })
    t.like(session.server, { address: addresses.server, port: 0 })
  })

  test.serial(`pings of any length are answered, ${way}`, async (t) => {
    await using faithd = await begin()
    for (const size of [0, 1, 1232, 1233, 1452, 1453, 1472, 1473, 8192, 65_000]) {
      const { stdout, code } = await ping(faithd.address(), '-c', '1', '-s', String(size))
      t.is(code, 0, `${size}: ${stdout}`)
      t.regex(stdout, new RegExp(`^${size + 8} bytes from`, 'm'))
      t.notRegex(stdout, /wrong data/)
    }
  })

  test.serial(`many clients and servers at a time get their own replies, ${way}`, async (t) => {
    await using faithd = await begin()
    const targets = [faithd.address(), faithd.address(addresses.serverSecond)]
    const all = await Promise.all(
      Array.from({ length: 8 }, async (_, number) =>
        ping(targets[number % 2] ?? '', '-c', '5', '-i', '0.2', '-s', String(100 + number)),
      ),
    )
    for (const { stdout } of all) t.regex(stdout, /5 packets transmitted, 5 received/)
  })

  test.serial(`a denied server and a dead one are told to the client, ${way}`, async (t) => {
    await using faithd = await begin('--deny', '192.0.2.0/24')
    const denied = await ping(faithd.address('192.0.2.9'), '-c', '1')
    t.regex(denied.stdout, /Administratively prohibited/)
    t.like(await faithd.refusal(({ protocol }) => protocol === 'icmp'), { cause: 'denied-by-rule' })
    const dead = await ping(faithd.address('198.51.100.99'), '-c', '1')
    t.regex(dead.stdout, /Address unreachable|No route|Destination unreachable/)
  })
}

test.serial('a rule may be about pings alone', async (t) => {
  const rules = join(lab.directory, 'rules')
  writeFileSync(rules, '::/0 deny 198.51.100.0/24 icmp\n::/0 permit 198.51.100.0/24\n')
  await using faithd = await startFaithd(
    lab,
    ['-f', rules, '--protocols', 'tcp,icmp'],
    'by itself',
    nextPlace(),
  )
  const { stdout } = await ping(faithd.address(), '-c', '1')
  t.regex(stdout, /Administratively prohibited/)
})

test.serial('without a relay of pings they are refused as before, also in fragments', async (t) => {
  await using faithd = await startFaithd(
    lab,
    [...permitted, '--protocols', 'tcp,udp'],
    'by itself',
    nextPlace(),
  )
  for (const size of ['56', '3000']) {
    const { stdout } = await ping(faithd.address(), '-c', '1', '-s', size)
    t.regex(stdout, /Administratively prohibited/, size)
  }
})

test.serial('without CAP_NET_RAW pings need ping sockets, and a warning says so', async (t) => {
  const bare = [
    '-c',
    "import os,sys;os.execvp('setpriv',['setpriv','--bounding-set=-net_raw','--inh-caps=-net_raw',*sys.argv[1:]])",
  ]
  await allow('0 2147483647')
  {
    await using faithd = await startWrapped(lab, bare, pings, nextPlace())
    const { stdout } = await ping(faithd.address(), '-c', '1')
    t.regex(stdout, /1 received/)
  }
  await allow('1 0')
  await using faithd = await startWrapped(lab, bare, pings, nextPlace())
  await waitFor('the warning', () =>
    faithd.log.some(({ msg }) => msg.includes('pings get no answer')),
  )
  const { stdout } = await ping(faithd.address(), '-c', '1')
  t.regex(stdout, /0 received/)
  const warned = faithd.log.filter(({ msg }) => msg.includes('pings get no answer'))
  t.is(warned.length, 1, 'and faithd goes on')
})

for (const [way, groups] of [
  ['raw sockets', '1 0'],
  ['ping sockets', '0 2147483647'],
] as const) {
  test.serial(`traceroute and mtr see each router on the way, by ${way}`, async (t) => {
    await using far = await createLab({ hops: true })
    const allowed = await far.router.run('sh', [
      '-c',
      `echo ${groups} >/proc/sys/net/ipv4/ping_group_range`,
    ])
    t.is(allowed.code, 0)
    const args = ['--permit', '203.0.113.0/24']
    await using faithd = await startFaithd(far, args, 'by itself', tracedPlace)
    const target = faithd.address(addresses.farServer)
    const all = [addresses.gateway, ...addresses.hops, addresses.farServer]
    for (const method of ['-I', '-U', '-p33434']) {
      const seen = await traceroute(far.client, '-q', '1', '-N', '1', method, target)
      t.deepEqual(seen.hops, all, `${method}: ${seen.stdout}`)
    }
    const seen = await mtr(far.client, target)
    t.deepEqual(seen.hops, all, seen.stdout)
    // Three routers have taken a hop each of the 64, and this one.
    const answer = await far.client.run('ping', ['-6', '-n', '-c', '1', '-W', '10', target])
    t.regex(answer.stdout, / ttl=60 /)
  })
}

test.serial(
  'a path to the server that is narrower than the router knows is told to the client',
  async (t) => {
    await using narrow = await createLab({ serverMtu: 1400 })
    await using faithd = await startFaithd(
      narrow,
      ['--permit', '203.0.113.0/24', '--protocols', 'tcp,icmp'],
      'by itself',
      tracedPlace,
    )
    const target = faithd.address(addresses.farServer)
    const full = ['-6', '-n', '-c', '1', '-W', '10', '-s', '1452']
    const whole = await narrow.client.run('ping', [...full, '-M', 'do', target])
    // 1400 octets of IPv4 are 1420 of IPv6.
    t.regex(whole.stdout, /Packet too big: mtu=1420/)
    // The client's host has learnt it, and sends fragments.
    const pieces = await narrow.client.run('ping', [...full, target])
    t.regex(pieces.stdout, /1 received/)
  },
)
