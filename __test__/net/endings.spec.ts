import test from 'ava'

import { addresses, createLab, halfClose, reset, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { startBoth, startFaithd, steerings } from '../fixtures/faithd.js'
import type { Faithd, Steering } from '../fixtures/faithd.js'
import { nft, packets } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

let lab: Lab
let faithds: Record<Steering, Faithd>
let client: Sockets
let server: Sockets

/** IPv4 addresses that cannot be reached, each for another reason. */
const away = {
  /** The router has no route. */
  noRoute: '203.0.113.1',
  /** No host on the link to the server answers for it. */
  silentHost: '198.51.100.99',
  /** The router forwards to the server, which has no route. */
  noRouteBeyond: '192.0.2.1',
  /** The server answers that the host is unreachable. */
  noHostBeyond: '192.0.2.2',
  /** The router's own routing table forbids it. */
  forbidden: '198.51.100.66',
  /** A private address that is not permitted. */
  notPermitted: '10.0.0.1',
} as const

/** The port at which the server is silent. */
const silent = 4444
const connectTimeoutMs = 1.5

test.before(async () => {
  lab = await createLab()
  await Promise.all([
    lab.server.peer(),
    ...[
      'echo 1 >/proc/sys/net/ipv4/ip_forward',
      'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit',
      `ip route add unreachable ${away.noHostBeyond}`,
    ].map((line) => shell(lab.server, line)),
    shell(lab.router, `ip route add 192.0.2.0/24 via ${addresses.server}`),
    shell(lab.router, `ip route add prohibit ${away.forbidden}`),
    // Keeps neighbour discovery well below the connect timeout: it fails after three requests.
    shell(lab.router, 'ip ntable change name arp_cache dev wan0 retrans 100'),
    nft(
      lab.server,
      `table inet filter {
        chain input {
          type filter hook input priority filter
          tcp dport ${silent} drop
        }
      }`,
    ),
    nft(
      lab.client,
      `table inet heard {
        counter answers {}
        chain input {
          type filter hook input priority filter
          tcp sport ${silent} counter name answers
        }
      }`,
    ),
  ])
  client = Sockets.of(lab.client)
  server = Sockets.of(lab.server)
  const permits = ['198.51.100.0/24', '192.0.2.0/24', '203.0.113.0/24']
  faithds = await startBoth(lab, [
    ...permits.flatMap((block) => ['--permit', block]),
    '--connect-timeout',
    String(connectTimeoutMs),
  ])
})

test.after.always(() => lab.close())

async function shell(host: Host, line: string): Promise<void> {
  const { code, stderr } = await host.run('sh', ['-c', line])
  if (code !== 0) throw new Error(`${line}: ${stderr}`)
}

/** Node reports a reset that it sees together with bytes as an end (uv__stream_io() of libuv). */
const resetBehindBytes = '(?:ECONNRESET|end)'

let ports = 7100

/** A connection through faithd on a port of its own, with both ends at hand. */
async function connection(faithd: Faithd) {
  ports += 1
  const port = ports
  const listening = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listening.accept()
  return { near, far, port, record: () => faithd.sessionTo(port) }
}

/** Waits until the kernel has removed a connection that its program has not closed: only a reset does that. */
async function isReset(host: Host, which: string): Promise<void> {
  await waitFor(`the connection with ${which} to be reset`, async () => {
    const { stdout } = await host.run('ss', ['-Htn', 'state', 'connected', which])
    return stdout === ''
  })
}

for (const [steering, too] of steerings) {
  test(`either side can end its stream and still read${too}`, async (t) => {
    const faithd = faithds[steering]
    const { expected, clientFirst, serverFirst } = await halfClose(lab.client, {
      address: faithd.address(),
    })
    t.deepEqual(clientFirst, expected)
    t.deepEqual(serverFirst, expected)
  })

  test(`an end is passed on alone, and the other direction stays open${too}`, async (t) => {
    const { near, far, record } = await connection(faithds[steering])
    near.says('request')
    near.ends()
    await far.sees('end')
    far.says('long ')
    await near.hears('long ')
    far.says('answer')
    await near.hears('long answer')
    t.false(near.history.includes('end'))
    far.ends()
    await near.sees('end')
    t.like(await record(), { bytesUp: 7, bytesDown: 11, reason: 'closed' })
  })

  test(`a reset is passed on, from either side${too}`, async (t) => {
    t.deepEqual(await reset(lab.client, { address: faithds[steering].address() }), {
      seenByClient: 'ECONNRESET',
      seenByServer: 'ECONNRESET',
    })
  })

  test(`a reset by the client reaches a server that is blocked${too}`, async (t) => {
    const { near, far, record } = await connection(faithds[steering])
    near.pauses()
    far.floods()
    await far.isBlocked()
    near.resets()
    await far.sees('ECONNRESET')
    t.like(await record(), { reason: 'client-reset' })
  })

  test(`a reset by the server reaches a client that is blocked${too}`, async (t) => {
    const { near, far, record } = await connection(faithds[steering])
    far.pauses()
    near.floods()
    await near.isBlocked()
    far.resets()
    await near.sees('ECONNRESET')
    t.like(await record(), { reason: 'server-reset' })
  })

  test(`a blocked client's reset reaches a server behind its bytes${too}`, async (t) => {
    const { near, far, record } = await connection(faithds[steering])
    far.pauses()
    near.floods()
    await near.isBlocked()
    near.resets()
    far.resumes()
    await far.sees(resetBehindBytes)
    const { received } = await far.status()
    t.like(await record(), { reason: 'client-reset', bytesUp: received })
  })

  test(`a blocked server's reset reaches a client behind its bytes${too}`, async (t) => {
    const { near, far, record } = await connection(faithds[steering])
    near.pauses()
    far.floods()
    await far.isBlocked()
    far.resets()
    near.resumes()
    await near.sees(resetBehindBytes)
    const { received } = await near.status()
    t.like(await record(), { reason: 'server-reset', bytesDown: received })
  })

  test(`a blocked peer's reset reaches one that does not read at last${too}`, async (t) => {
    const place =
      steering === 'by itself'
        ? { name: 'deaf0', prefix: '3fff:67::' }
        : { name: 'deaf1', prefix: '3fff:68::' }
    const args = ['--permit', '198.51.100.0/24', '--keep-alive', '2']
    const faithd = await startFaithd(lab, args, steering, place)
    const up = await connection(faithd)
    const down = await connection(faithd)
    up.far.pauses()
    up.near.floods()
    down.near.pauses()
    down.far.floods()
    await up.near.isBlocked()
    await down.far.isBlocked()
    up.near.resets()
    down.far.resets()
    t.like(await up.record(), { reason: 'client-reset' })
    t.like(await down.record(), { reason: 'server-reset' })
    await isReset(lab.server, `sport = :${up.port}`)
    await isReset(lab.client, `dport = :${down.port}`)
    await faithd.stop()
  })

  test(`a reset is passed on after an end, from either side${too}`, async (t) => {
    const one = await connection(faithds[steering])
    one.near.ends()
    await one.far.sees('end')
    one.far.resets()
    await one.near.sees('ECONNRESET')
    t.like(await one.record(), { reason: 'server-reset' })

    const other = await connection(faithds[steering])
    other.far.ends()
    await other.near.sees('end')
    other.near.resets()
    await other.far.sees('ECONNRESET')
    t.like(await other.record(), { reason: 'client-reset' })
  })

  test(`a refusal by the server reaches the client as a refusal${too}`, async (t) => {
    const faithd = faithds[steering]
    t.is(await client.dial(faithd.address(), 9).outcome(), 'ECONNREFUSED')
    t.like(await faithd.refusalTo(9), { reason: 'refused' })

    const curl = await lab.client.run('curl', ['-sSv', `http://[${faithd.address()}]:10/`])
    t.is(curl.code, 7)
    t.regex(curl.stderr, /port 10 failed: Connection refused/)
  })

  for (const [what, ipv4, code, reason] of [
    ['a network without a route', away.noRoute, 'ENETUNREACH', 'unreachable'],
    ['a host without an answer to ARP', away.silentHost, 'EHOSTUNREACH', 'unreachable'],
    ['a network that a router cannot reach', away.noRouteBeyond, 'ENETUNREACH', 'unreachable'],
    ['a host that a router cannot reach', away.noHostBeyond, 'EHOSTUNREACH', 'unreachable'],
    ['a destination that the routing table forbids', away.forbidden, 'EACCES', 'denied'],
    ['a destination that is not permitted', away.notPermitted, 'EACCES', 'denied'],
  ] as const) {
    test(`dialling ${what} fails with ${code}${too}`, async (t) => {
      const faithd = faithds[steering]
      t.is(await client.dial(faithd.address(ipv4), 80).outcome(), code)
      const record = await faithd.refusal((refusal) => refusal.server?.address === ipv4)
      t.is(record.reason, reason)
    })
  }

  test(`a silent server leaves its client unanswered, and leaves nothing behind${too}`, async (t) => {
    const faithd = faithds[steering]
    const near = client.dial(faithd.address(), silent)

    const { durationMs, reason } = await faithd.refusalTo(silent)

    t.is(reason, 'connect-timeout')
    t.true(durationMs >= connectTimeoutMs * 1000, `${durationMs} ms`)
    t.deepEqual(near.history, [])
    t.is(await packets(lab.client, 'inet heard', 'answers'), 0)
    near.resets()
    await waitFor('the attempts to be given up', async () => {
      const { stdout } = await lab.router.run('ss', ['-Htan', `dport = :${silent}`])
      return stdout === ''
    })
  })

  test(`the idle timeout ends an idle session, and no busy one${too}`, async (t) => {
    const place =
      steering === 'by itself'
        ? { name: 'idle0', prefix: '3fff:65::' }
        : { name: 'idle1', prefix: '3fff:66::' }
    const args = ['--permit', '198.51.100.0/24', '--idle-timeout', '3', '--drain', '0']
    const faithd = await startFaithd(lab, args, steering, place)
    const quiet = await connection(faithd)
    const busy = await connection(faithd)
    quiet.near.says('hello')
    await quiet.far.hears('hello')

    let said = ''
    while (!quiet.near.history.includes('ECONNRESET')) {
      busy.near.says('x')
      said += 'x'
      await busy.far.hears(said)
    }

    await quiet.far.sees('ECONNRESET')
    const record = await quiet.record()
    t.like(record, { bytesUp: 5, bytesDown: 0, reason: 'idle-timeout' })
    t.true(record.durationMs >= 3000, `${record.durationMs} ms`)
    busy.far.says('still here')
    await busy.near.hears('still here')
    await faithd.stop()
    t.like(await busy.record(), { reason: 'aborted' })
  })
}
