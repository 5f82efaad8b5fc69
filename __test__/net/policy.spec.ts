import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { ip } from '../fixtures/ip.js'
import { Sockets } from '../fixtures/sockets.js'

/** Public Internet addresses that the lab's server has. */
const publicly = '93.184.215.14'
const neighbour = '93.184.215.15'
/** Private addresses that it has, too. */
const privately = '10.1.2.3'
const elsewhere = '10.2.2.3'
/** An address that moves from the server to the router. */
const moving = '198.51.100.9'

const port = 7

let lab: Lab
let client: Sockets
/** A faithd without rules, and one with a rule that permits everything. */
let unruled: Faithd
let permissive: Faithd

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  await Promise.all([
    lab.server.echo({ port }),
    ip(lab.server, `addr add ${moving}/24 dev eth0`),
    ...[publicly, neighbour, privately, elsewhere].flatMap((address) => [
      ip(lab.server, `addr add ${address}/32 dev eth0`),
      ip(lab.router, `route add ${address} via ${addresses.server}`),
    ]),
    // Listens on the router, which would answer for each of its own addresses.
    Sockets.of(lab.router).listen(port),
  ])
  unruled = await faithdWith()
  permissive = await faithdWith('--permit', '0.0.0.0/0')
})

test.after.always(() => lab.close())

let started = 0

/** Starts a faithd with its own policy. */
async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `policy${started}`, prefix: `3fff:${started}::` }
  return await startFaithd(lab, args, 'by itself', place)
}

/** The outcome of dialling each address. */
async function dial(faithd: Faithd, ...ipv4: string[]): Promise<Record<string, string>> {
  const outcomes = ipv4.map(async (address) => {
    return [address, await client.dial(faithd.address(address), port).outcome()]
  })
  return Object.fromEntries(await Promise.all(outcomes)) as Record<string, string>
}

function all(ipv4: readonly string[], outcome: string): Record<string, string> {
  return Object.fromEntries(ipv4.map((address) => [address, outcome]))
}

test('a public destination is permitted', async (t) => {
  t.deepEqual(await dial(unruled, publicly, neighbour), all([publicly, neighbour], 'connected'))
})

for (const [block, ...some] of [
  ['0.0.0.0/8', '0.0.0.0', '0.0.0.1', '0.255.255.255'],
  ['10.0.0.0/8', '10.0.0.0', privately, '10.255.255.255'],
  ['100.64.0.0/10', '100.64.0.0', '100.127.255.255'],
  ['127.0.0.0/8', '127.0.0.1', '127.255.255.254'],
  ['169.254.0.0/16', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
  ['172.16.0.0/12', '172.16.0.0', '172.31.255.255'],
  ['192.0.0.0/24', '192.0.0.0', '192.0.0.255'],
  ['192.0.2.0/24', '192.0.2.0', '192.0.2.255'],
  ['192.168.0.0/16', '192.168.0.0', '192.168.255.255'],
  ['198.18.0.0/15', '198.18.0.0', '198.19.255.255'],
  ['198.51.100.0/24', '198.51.100.0', addresses.server, '198.51.100.255'],
  ['203.0.113.0/24', '203.0.113.0', '203.0.113.255'],
  ['224.0.0.0/4', '224.0.0.0', '239.255.255.255'],
  ['240.0.0.0/4', '240.0.0.0', '255.255.255.254', '255.255.255.255'],
] as const) {
  test(`${block} is denied, and a rule that permits everything does not open it`, async (t) => {
    t.deepEqual(await dial(unruled, ...some), all(some, 'EACCES'))
    t.deepEqual(await dial(permissive, ...some), all(some, 'EACCES'))
  })
}

test('addresses between the special-purpose blocks are not denied', async (t) => {
  const between = [
    '1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0',
    '169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0',
    '192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0',
    '203.0.112.255 203.0.114.0 223.255.255.255',
  ].flatMap((line) => line.split(' '))
  // The router has no route there, and says so.
  t.deepEqual(await dial(unruled, ...between), all(between, 'ENETUNREACH'))
})

test('a rule that names a block opens it', async (t) => {
  const faithd = await faithdWith('--permit', '10.0.0.0/8')
  t.deepEqual(await dial(faithd, privately, elsewhere), all([privately, elsewhere], 'connected'))
})

test('a rule that names a part of a block opens that part', async (t) => {
  const faithd = await faithdWith('--permit', '10.1.0.0/16', '--permit', '0.0.0.0/0')
  t.deepEqual(await dial(faithd, privately, elsewhere, publicly), {
    [privately]: 'connected',
    [elsewhere]: 'EACCES',
    [publicly]: 'connected',
  })
})

test('the first rule that matches decides', async (t) => {
  const one = await faithdWith('--deny', `${privately}/32`, '--permit', '10.0.0.0/8')
  t.deepEqual(await dial(one, privately, elsewhere), {
    [privately]: 'EACCES',
    [elsewhere]: 'connected',
  })
  const other = await faithdWith('--permit', '10.0.0.0/8', '--deny', `${privately}/32`)
  t.deepEqual(await dial(other, privately, elsewhere), all([privately, elsewhere], 'connected'))
})

test('a destination that no rule matches is denied', async (t) => {
  const permitting = await faithdWith('--permit', publicly)
  t.deepEqual(await dial(permitting, publicly, neighbour), {
    [publicly]: 'connected',
    [neighbour]: 'EACCES',
  })
  const denying = await faithdWith('--deny', neighbour)
  t.deepEqual(await dial(denying, publicly, neighbour), all([publicly, neighbour], 'EACCES'))
})

test('a denial is logged as denied, with the mapped address', async (t) => {
  const faithd = await faithdWith('--deny', '0.0.0.0/0')
  t.deepEqual(await dial(faithd, publicly), { [publicly]: 'EACCES' })
  t.like(await faithd.refusalTo(port), { server: { address: publicly }, reason: 'denied' })
  t.deepEqual(faithd.sessions, [])
})

test('the router’s own addresses are denied, although their block is permitted', async (t) => {
  const faithd = await faithdWith('--permit', '198.51.100.0/24', '--permit', '127.0.0.0/8')
  t.deepEqual(
    await dial(faithd, addresses.server, addresses.routerIPv4, '127.0.0.1', '127.1.2.3'),
    {
      [addresses.server]: 'connected',
      [addresses.routerIPv4]: 'EACCES',
      '127.0.0.1': 'EACCES',
      '127.1.2.3': 'EACCES',
    },
  )
})

test('an address of the router opens only by a rule for that very address', async (t) => {
  const faithd = await faithdWith('--permit', addresses.routerIPv4)
  t.deepEqual(await dial(faithd, addresses.routerIPv4), all([addresses.routerIPv4], 'connected'))
})

test('the router’s loopback opens only with --allow-loopback', async (t) => {
  const loopback = ['127.0.0.1', '127.1.2.3']
  const permitting = await faithdWith('--permit', '127.0.0.1/32', '--permit', '127.0.0.0/8')
  t.deepEqual(await dial(permitting, ...loopback), all(loopback, 'EACCES'))
  const allowing = await faithdWith('--allow-loopback')
  t.deepEqual(await dial(allowing, ...loopback), all(loopback, 'connected'))
  t.deepEqual(await dial(allowing, addresses.routerIPv4), all([addresses.routerIPv4], 'EACCES'))
})

test('faithd follows addresses that the router gets or loses at run time', async (t) => {
  const faithd = await faithdWith('--permit', '198.51.100.0/24')
  const comes = (outcome: string) =>
    waitFor(`${moving} to be ${outcome}`, async () => {
      return (await dial(faithd, moving))[moving] === outcome
    })
  await comes('connected')
  await ip(lab.server, `addr del ${moving}/24 dev eth0`)
  await ip(lab.router, `addr add ${moving}/24 dev wan0`)
  await comes('EACCES')
  await ip(lab.router, `addr del ${moving}/24 dev wan0`)
  await ip(lab.server, `addr add ${moving}/24 dev eth0`)
  await comes('connected')
  t.pass()
})

test('an address with a local route counts as the router’s own', async (t) => {
  const faithd = await faithdWith('--permit', '203.0.113.0/24')
  const address = '203.0.113.7'
  t.deepEqual(await dial(faithd, address), { [address]: 'ENETUNREACH' })
  await ip(lab.router, 'route add local 203.0.113.0/24 dev lo')
  await waitFor(
    'the address to be denied',
    async () => (await dial(faithd, address))[address] === 'EACCES',
  )
  t.pass()
})
