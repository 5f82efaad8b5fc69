/** Servers with IPv6 addresses, which a route or `spliceTo()` names. */
import test from 'ava'
import type { FaithRouteServer } from '../../../index.js'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { proxyHeader } from '../../fixtures/proxy-header.js'
import { nft, packets } from '../../fixtures/nft.js'
import { Sockets } from '../../fixtures/sockets.js'
import { connection } from '../../fixtures/splices.js'
import type { Faith, Relay } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage({ ipv6Server: true })
const near = Sockets.of(lab.client)
const servers = Sockets.of(lab.server)
const address = addresses.serverIPv6
const own = { address: '2001:db8:3::77', other: '2001:db8:3::78', ipv4: '198.51.100.77' }
const away = {
  absent: '2001:db8:3::99',
  noRoute: '2001:db8:4::1',
  unreachable: '2001:db8:5::1',
  prohibited: '2001:db8:6::1',
}
const publicly = '2606:4700:4700::1111'
const anywhere = { address: '64:ff9b::c633:6402' }

test.before(async () => {
  // A preferred lifetime of 0 keeps the kernel from choosing these addresses by itself.
  for (const [host, command] of [
    [lab.router, `addr add ${own.address}/64 dev wan0 nodad preferred_lft 0`],
    [lab.router, `addr add ${own.other}/64 dev wan0 nodad preferred_lft 0`],
    [lab.router, `addr add ${own.ipv4}/24 dev wan0`],
    [lab.router, `-6 route add unreachable ${away.unreachable}`],
    [lab.router, `-6 route add prohibit ${away.prohibited}`],
    [lab.router, `-6 route add ${publicly} via ${address}`],
    [lab.server, `addr add ${publicly}/128 dev eth0 nodad`],
  ] as const) {
    const { code, stderr } = await host.run('ip', command.split(' '))
    if (code !== 0) throw new Error(stderr)
  }
})

let ports = 7500

function freshPort(): number {
  ports += 1
  return ports
}

/** Starts a relay whose route sends every client of a port to the server of its verdict. */
async function routed(faith: Faith, verdicts: Record<number, FaithRouteServer>, options = {}) {
  const dialled = Object.keys(verdicts).map(Number)
  return await faith.route({ ports: dialled, ...options }, { verdicts })
}

const ended = (relay: Relay) =>
  waitFor('the session to be told', async () => (await relay.told()).session[0])
const refused = (relay: Relay) =>
  waitFor('the refusal to be told', async () => (await relay.told()).refused[0])

test.serial('a route sends a client to an IPv6 server, and each end is passed on', async (t) => {
  await using faith = await router.create()
  const [dialled, port] = [freshPort(), freshPort()]
  await using relay = await routed(faith, { [dialled]: { host: address, port, allowAny: true } })
  const listening = await servers.listen(port, { address })
  const caller = await near.connect(captured(), dialled)
  const far = await listening.accept()
  caller.says('up')
  caller.ends()
  await far.hears('up')
  await far.sees('end')
  const server = { address, port }
  t.like(await relay.sessions(), [{ destination: { ...anywhere, port: dialled }, server }])
  far.says('and down')
  await caller.hears('and down')
  far.ends()
  await caller.sees('end')
  const { destination, server: told, ...rest } = await ended(relay)
  t.deepEqual({ destination, told }, { destination: { ...anywhere, port: dialled }, told: server })
  t.like(rest, { bytesUp: 2, bytesDown: 8, reason: 'closed' })
  t.is(await far.address(), addresses.routerIPv6)
})

test.serial('a public IPv6 server needs no allowAny', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  await using relay = await routed(faith, { [port]: { host: publicly, port } })
  await servers.listen(port, { address: publicly, greet: 'here', leave: 'end' })
  const caller = await near.connect(captured(), port)
  await caller.hears('here')
  caller.ends()
  t.like(await ended(relay), { server: { address: publicly, port }, reason: 'closed' })
})

for (const [host, cause] of [
  [address, 'special-purpose'],
  [addresses.routerIPv6, 'own-address'],
  [own.address, 'own-address'],
  ['::1', 'loopback'],
  ['::', 'loopback'],
  ['64:ff9b::8.8.8.8', 'own-address'],
  [`2002:c633:6402::1`, 'special-purpose'],
] as const) {
  test.serial(`without allowAny, ${host} is denied as ${cause}`, async (t) => {
    await using faith = await router.create()
    const port = freshPort()
    await using relay = await routed(faith, { [port]: { host, port } })
    t.is(await near.dial(captured(), port).outcome(), 'EACCES')
    const { server, ...told } = await refused(relay)
    t.is(server?.port, port)
    t.like(told, { reason: 'denied', cause, destination: { ...anywhere, port } })

    const { accepted } = await connection(faith, client)
    const error = await t.throwsAsync(accepted.spliceTo({ host, port, allowAny: false }), {
      code: 'ERR_FAITH_DENIED',
    })
    t.regex(
      error?.message ?? '',
      new RegExp(`^cannot connect to \\[.*\\]:${port}: .*\\(${cause}\\)`),
    )
  })
}

test.serial('a client whose IPv6 server refuses is refused', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  await using relay = await routed(faith, { [port]: { host: address, port, allowAny: true } })
  t.is(await near.dial(captured(), port).outcome(), 'ECONNREFUSED')
  t.like(await refused(relay), {
    reason: 'refused',
    code: 'ECONNREFUSED',
    server: { address, port },
  })
  const { accepted } = await connection(faith, client)
  await t.throwsAsync(accepted.spliceTo({ host: address, port }), { code: 'ECONNREFUSED' })
})

for (const [what, host, code, reason] of [
  ['a host that does not answer for its address', away.absent, 'EHOSTUNREACH', 'unreachable'],
  ['a host that is unreachable', away.unreachable, 'EHOSTUNREACH', 'unreachable'],
  ['a network without a route', away.noRoute, 'ENETUNREACH', 'unreachable'],
  ['a host that the routing table prohibits', away.prohibited, 'EACCES', 'denied'],
] as const) {
  test.serial(`a client gets ${code} for ${what} by IPv6 too`, async (t) => {
    await using faith = await router.create()
    const port = freshPort()
    await using relay = await routed(faith, { [port]: { host, port, allowAny: true } })
    t.is(await near.dial(captured(), port).outcome(), code)
    t.like(await refused(relay), { reason, code, server: { address: host, port } })
    const { accepted } = await connection(faith, client)
    await t.throwsAsync(accepted.spliceTo({ host, port }), { code })
  })
}

for (const [type, code, reason] of [
  ['no-route', 'ENETUNREACH', 'unreachable'],
  ['addr-unreachable', 'EHOSTUNREACH', 'unreachable'],
  ['admin-prohibited', 'EACCES', 'unreachable'],
  ['port-unreachable', 'ECONNREFUSED', 'refused'],
] as const) {
  test.serial(`a client gets ${code} for its server's ICMPv6 ${type}`, async (t) => {
    await using faith = await router.create()
    const port = freshPort()
    await nft(
      lab.server,
      `table inet rejects${port} {
        chain input {
          type filter hook input priority filter
          tcp dport ${port} reject with icmpv6 ${type}
        }
      }`,
    )
    await using relay = await routed(faith, { [port]: { host: address, port, allowAny: true } })
    t.is(await near.dial(captured(), port).outcome(), code)
    const told = await refused(relay)
    t.like(told, { reason, code })
    t.false('cause' in told)
  })
}

test.serial('a verdict says where the connection comes from', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  const verdict = { host: address, port, allowAny: true, localAddress: own.address }
  await using relay = await routed(faith, { [port]: verdict })
  const listening = await servers.listen(port, { address })
  await near.connect(captured(), port)
  t.is(await (await listening.accept()).address(), own.address)
  t.like(await relay.sessions(), [{ server: { address, port } }])
})

test.serial('a missing local address is reported, and the client refused', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  const verdict = { host: address, port, allowAny: true, localAddress: '2001:db8:3::cafe' }
  await using relay = await routed(faith, { [port]: verdict })
  t.is(await near.dial(captured(), port).outcome(), 'ECONNREFUSED')
  t.like(await refused(relay), { reason: 'error', cause: 'no-source', code: 'EADDRNOTAVAIL' })
  const { accepted } = await connection(faith, client)
  const { allowAny: _, ...server } = verdict
  await t.throwsAsync(accepted.spliceTo(server), { code: 'EADDRNOTAVAIL' })
})

test.serial('a connection comes from a local address of the server’s family', async (t) => {
  await using faith = await router.create()
  const [ipv4, ipv6] = [freshPort(), freshPort()]
  const verdicts = {
    [ipv4]: { host: addresses.server, port: ipv4, allowAny: true },
    [ipv6]: { host: address, port: ipv6, allowAny: true },
  }
  const from = async (localAddresses: string[]) => {
    await using relay = await routed(faith, verdicts, { localAddresses })
    const seen: string[] = []
    for (const [port, at] of [
      [ipv4, addresses.server],
      [ipv6, address],
    ] as const) {
      const sockets = Sockets.of(lab.server)
      const listening = await sockets.listen(port, { address: at })
      await near.connect(captured(), port)
      seen.push(await (await listening.accept()).address())
      await sockets.stop()
    }
    await relay.close()
    return seen
  }
  t.deepEqual(await from([own.other, own.ipv4]), [own.ipv4, own.other])
  t.deepEqual(await from([own.other]), [addresses.routerIPv4, own.other])
  t.deepEqual(await from([own.ipv4]), [own.ipv4, addresses.routerIPv6])
})

test.serial('a relay does not start if the host lacks one of its localAddresses', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  const options = { localAddresses: [own.address, '2001:db8:3::cafe'] }
  await t.throwsAsync(routed(faith, { [port]: { host: address, port } }, options), {
    code: 'EADDRNOTAVAIL',
    message: /2001:db8:3::cafe/,
  })
})

test.serial('privileged ports, DSCP and the PROXY header work as for IPv4', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  await nft(
    lab.client,
    `table inet marks${port} {
      chain output {
        type filter hook output priority mangle
        tcp dport ${port} ip6 dscp set af21
      }
    }`,
  )
  await nft(
    lab.server,
    `table inet marked${port} {
      counter marked {}
      chain input {
        type filter hook input priority filter
        tcp dport ${port} ip6 dscp af21 counter name marked
      }
    }`,
  )
  const verdict = { host: address, port, allowAny: true, proxyProtocol: 1 } as const
  const options = { privilegedLocalPort: true, copyDscp: true }
  await using relay = await routed(faith, { [port]: verdict }, options)
  const listening = await servers.listen(port, { address })
  const ends = [await near.connect(captured(), port), await near.connect(captured(), port)]
  for (const end of ends) {
    const far = await listening.accept()
    const from = await far.port()
    t.true(from >= 600 && from < 1024, `${from}`)
    const dialled = `${addresses.client} ${anywhere.address} ${await end.port()} ${port}`
    await far.hears(`PROXY TCP6 ${dialled}\r\n`)
  }
  t.true((await packets(lab.server, `inet marked${port}`, 'marked')) > 0)
  t.is((await relay.sessions()).length, 2)
})

test.serial(
  'a socket is spliced to an IPv6 server from a local address, with a PROXY header',
  async (t) => {
    await using faith = await router.create()
    const { caller, accepted, port } = await connection(faith, client)
    const { local } = await caller.look()
    const listening = await servers.listen(port, { address })
    const target = { host: address, port, localAddress: own.address, proxyProtocol: 2 } as const
    const splicing = accepted.spliceTo(target)
    const server = await listening.accept()
    t.is(await server.address(), own.address)
    await caller.write('hello\n')
    await server.hears(`${proxyHeader(local.port, port)}hello\n`)
    await caller.end()
    await server.sees('end')
    server.says('bye\n')
    t.is(await caller.line(), 'bye')
    server.ends()
    t.like(await splicing, { bytesUp: 6, bytesDown: 4, reason: 'closed' })
  },
)

for (const [server, message] of [
  [{ host: 'fe80::1%wan0' }, /`host` must be an address without a scope \(%\), got 'fe80::1%wan0'/],
  [{ host: '::ffff:198.51.100.2' }, /`host` must be .*\(write 198\.51\.100\.2\)/],
  [{ host: address, localAddress: own.ipv4 }, /`localAddress` must be an IPv6 address as `host`/],
  [{ host: addresses.server, localAddress: own.address }, /`localAddress` must be an IPv4 address/],
] as const) {
  test.serial(`spliceTo names the fault of ${JSON.stringify(server)}`, async (t) => {
    await using faith = await router.create()
    const { caller, accepted, port } = await connection(faith, client)
    await t.throwsAsync(accepted.spliceTo({ ...server, port }), {
      code: 'ERR_FAITH_ARGUMENT',
      message,
    })
    await caller.write('still here\n')
    t.is(await accepted.line(), 'still here')
  })
}

test.serial('a refusal without a server names none', async (t) => {
  await using faith = await router.create()
  const port = freshPort()
  const verdicts = { [port]: { reject: 'refused' } } as const
  await using relay = await faith.route({ ports: 'all' }, { verdicts })
  t.is(await near.dial(captured(), port).outcome(), 'ECONNREFUSED')
  const told = await refused(relay)
  t.false('server' in told)
  t.deepEqual(told.destination, { ...anywhere, port })
})
