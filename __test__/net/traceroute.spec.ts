/** A client that looks for the IPv4 routers on the way by TCP: SYNs with few hops left. */
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { type Faithd, startFaithd } from '../fixtures/faithd.js'
import { nft, packets } from '../fixtures/nft.js'
import { canonical, mtr, traceroute, tracedPlace } from '../fixtures/routers-on-the-way.js'
import { Sockets } from '../fixtures/sockets.js'

const { farServer, gateway, hops } = addresses
const all = [gateway, ...hops, farServer]
/** Traceroute by TCP to port 80, which the server serves. */
const toServer = ['-T', '-p', '80']
const one = ['-q', '1', '-N', '1']
/** Ports that a firewall in the middle refuses. */
const refused = { prohibited: 7301, port: 7302 }

let lab: Lab
let client: Sockets
let servers: Sockets

test.before(async () => {
  lab = await createLab({ hops: true })
  client = Sockets.of(lab.client)
  servers = Sockets.of(lab.server)
  await servers.listen(80, { greet: 'hello', leave: 'end' })
  await nft(
    middle(),
    `table inet wall {
      chain forward {
        type filter hook forward priority filter
        tcp dport ${refused.prohibited} reject with icmp type admin-prohibited
        tcp dport ${refused.port} reject with icmp type port-unreachable
      }
    }`,
  )
})

test.after.always(() => lab.close())

/** The second of the three routers. */
function middle(): Host {
  const [, second] = lab.hops
  if (second === undefined) throw new Error('the lab has no routers')
  return second
}

async function run(host: Host, command: string): Promise<void> {
  const { code, stderr } = await host.run('ip', command.split(' '))
  if (code !== 0) throw new Error(stderr)
}

async function start(...args: string[]): Promise<Faithd> {
  return await startFaithd(lab, ['--permit', '203.0.113.0/24', ...args], 'by itself', tracedPlace)
}

for (const [how, args] of [
  ['', []],
  [
    ', with PROXY headers, privileged ports and without the shortcut',
    ['--proxy-protocol', '2', '--privileged-source', '--no-shortcut'],
  ],
] as const) {
  test.serial(`traceroute and mtr see each router on the way by TCP${how}`, async (t) => {
    const faithd = await start(...args)
    const target = faithd.address(farServer)
    // Many SYNs at a time, three for each router; then one after the other, to a port that is closed too.
    for (const options of [toServer, [...one, ...toServer], [...one, '-T', '-p', '81']]) {
      const seen = await traceroute(lab.client, ...options, target)
      t.deepEqual(seen.hops, all, seen.stdout)
      t.notRegex(seen.stdout, /!/)
    }
    const seen = await mtr(lab.client, '--tcp', '-P', '80', target)
    t.deepEqual(seen.hops, all, seen.stdout)
    t.regex(seen.stdout, new RegExp(`${hops.length + 2}\\.\\|-- \\S+ +0\\.0%`))

    const totals = await faithd.counted()
    const { byReason } = totals.relay.refused
    t.true(byReason['hop-limit'] >= hops.length * (3 + 1 + 1 + 2), JSON.stringify(byReason))
    t.is(byReason.unreachable + byReason.error + byReason['connect-timeout'], 0)
    t.is(totals.relay.attempts, 0, 'none goes on')
    t.true(totals.interface.unreachableSent >= byReason['hop-limit'])
    const record = await faithd.refusal(({ reason }) => reason === 'hop-limit')
    t.like(record, {
      protocol: 'tcp',
      server: { address: farServer },
      code: undefined,
      cause: undefined,
    })
  })
}

test.serial('a silent router hides no other from a trace that keeps its ports', async (t) => {
  await using faithd = await start()
  await nft(
    middle(),
    `table inet mute {
      chain output {
        type filter hook output priority filter
        icmp type time-exceeded drop
      }
    }`,
  )
  // Each SYN waits for its server for longer than traceroute waits for an answer.
  const args = ['-w', '1', '--sport=40001', '-q', '2', '-T', '-p', '80']
  const seen = await traceroute(lab.client, ...args, faithd.address(farServer))
  await nft(middle(), 'delete table inet mute')
  t.deepEqual(seen.hops, [gateway, hops[0], '*', hops[2], farServer], seen.stdout)
  await waitFor('the replaced SYNs to be given up', () =>
    faithd.refusals.some(({ cause }) => cause === 'client-gave-up'),
  )
})

test.serial(
  'a router with a private address has that of this router under 64:ff9b::/96',
  async (t) => {
    const back = ['198.51.100.0/24', 'via', '198.18.1.1']
    await run(middle(), 'addr add 10.9.9.9/32 dev lo')
    await run(middle(), `route change ${back.join(' ')} src 10.9.9.9`)
    const wellKnown = { name: 'faith1', prefix: '64:ff9b::' }
    const args = ['--permit', '203.0.113.0/24']
    await using other = await startFaithd(lab, args, 'by itself', wellKnown)
    await using faithd = await start()
    for (const method of [toServer, ['-U'], ['-I']]) {
      const hidden = await traceroute(lab.client, ...one, ...method, other.address(farServer))
      const shown = await traceroute(lab.client, ...one, ...method, faithd.address(farServer))
      t.is(hidden.hops[2], gateway, hidden.stdout)
      t.is(shown.hops[2], '10.9.9.9', shown.stdout)
    }
    await run(middle(), `route change ${back.join(' ')}`)
  },
)

test.serial('without connect-first a trace by TCP ends at the router', async (t) => {
  await using faithd = await start('--no-connect-first')
  const seen = await traceroute(lab.client, ...one, ...toServer, faithd.address(farServer))
  t.deepEqual(seen.hops, [gateway, farServer], seen.stdout)
})

test.serial(
  'a connection whose SYN just reaches the server has the usual time to live',
  async (t) => {
    await using faithd = await start()
    await nft(
      lab.server,
      `table inet seen {
      counter syns {}
      counter later {}
      counter short {}
      chain input {
        type filter hook input priority filter
        tcp dport 80 tcp flags & (syn | ack) == syn ip ttl 1 counter name syns accept
        tcp dport 80 ip ttl 61 counter name later accept
        tcp dport 80 counter name short
      }
    }`,
    )
    // This router takes a hop, and three others do. Their last packet has one left.
    const program = `
import socket, sys
client = socket.socket(socket.AF_INET6)
client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 5)
client.settimeout(20)
client.connect((sys.argv[1], 80))
client.sendall(b'question')
print(client.recv(100).decode(), flush=True)
client.shutdown(socket.SHUT_WR)
`
    const { stdout, stderr } = await lab.client.run('python3', [
      '-c',
      program,
      faithd.address(farServer),
    ])
    t.is(stdout, 'hello\n', stderr)
    t.is(await packets(lab.server, 'inet seen', 'syns'), 1)
    t.true((await packets(lab.server, 'inet seen', 'later')) >= 2)
    t.is(await packets(lab.server, 'inet seen', 'short'), 0)
    await nft(lab.server, 'delete table inet seen')
  },
)

test.serial('a refusal in the middle comes from there', async (t) => {
  await using faithd = await start()
  const [, second = ''] = hops
  await nft(
    lab.client,
    `table inet heard {
      counter prohibited {}
      counter port {}
      counter resets {}
      chain input {
        type filter hook input priority filter
        icmpv6 type destination-unreachable icmpv6 code admin-prohibited ip6 saddr ${canonical(faithd.address(second))} counter name prohibited
        icmpv6 type destination-unreachable icmpv6 code port-unreachable ip6 saddr ${canonical(faithd.address(second))} counter name port
        tcp flags rst ip6 saddr ${canonical(faithd.address(farServer))} counter name resets
      }
    }`,
  )
  const heard = (counter: string) => packets(lab.client, 'inet heard', counter)
  const dial = (port: number) => client.dial(faithd.address(farServer), port).outcome()
  t.is(await dial(refused.prohibited), 'EACCES')
  t.like(await faithd.refusalTo(refused.prohibited), {
    reason: 'unreachable',
    code: 'EHOSTUNREACH',
  })
  t.is(await heard('prohibited'), 1)
  // Any client understands a reset.
  t.is(await dial(refused.port), 'ECONNREFUSED')
  t.deepEqual([await heard('port'), await heard('resets')], [0, 1])

  for (const port of [refused.prohibited, refused.port]) {
    const args = [...one, '-T', '-p', `${port}`, faithd.address(farServer)]
    const seen = await traceroute(lab.client, ...args)
    // The firewall forwards no SYN. One without a hop left does not come so far.
    t.deepEqual(seen.hops, [gateway, hops[0], second, second], seen.stdout)
  }
  t.deepEqual([await heard('prohibited'), await heard('port')], [2, 1])
  await nft(lab.client, 'delete table inet heard')
})

test.serial('a router that drops its routes is told as it tells it', async (t) => {
  await using faithd = await start()
  const { stdout } = await middle().run('ip', ['route', 'show', 'default'])
  for (const [kind, outcome, mark] of [
    ['unreachable', 'EHOSTUNREACH', '!H'],
    ['prohibit', 'EACCES', '!X'],
  ] as const) {
    await run(middle(), `route replace ${kind} 203.0.113.0/24`)
    t.is(await client.dial(faithd.address(farServer), 80).outcome(), outcome)
    const seen = await traceroute(lab.client, ...one, ...toServer, faithd.address(farServer))
    t.deepEqual(seen.hops, [gateway, hops[0], hops[1]], seen.stdout)
    t.true(seen.stdout.includes(mark), seen.stdout)
    await run(middle(), `route del ${kind} 203.0.113.0/24`)
  }
  t.regex(stdout, /^default via/)
})
