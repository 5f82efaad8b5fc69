/** Datagrams through the relay, as clients and servers see them. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { first, second, serveAt, serveDatagrams, takeSteps } from '../fixtures/datagrams.js'
import type { Answer, Step } from '../fixtures/datagrams.js'
import { type Faithd, permitted, startFaithd, steerings } from '../fixtures/faithd.js'
import { canonical } from '../fixtures/routers-on-the-way.js'

const dnsProgram = fileURLToPath(new URL('../programs/dns-server.py', import.meta.url))

const udp = permitted

let lab: Lab
let started = 0

test.before(async () => {
  lab = await createLab()
  await serveDatagrams(lab)
})

test.after.always(() => lab.close())

async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `udp${started}`, prefix: `3fff:${started}::` }
  return await startFaithd(lab, [...udp, ...args], 'by itself', place)
}

/** Has a client take these steps, one after the other. */
async function take(steps: readonly Step[], { on = lab, sockets = 1 } = {}): Promise<Answer[]> {
  return await takeSteps(on, steps, sockets)
}

test('a datagram and its answer pass, and the server sees the router', async (t) => {
  const faithd = await faithdWith('--udp-timeout', '3')
  const to = faithd.address()
  const [who, echo] = await take([
    { to: [to, first], send: 'who' },
    { to: [to, first], send: 'echo me' },
  ])
  t.regex(who?.data ?? '', /^198\.51\.100\.1 \d+$/)
  t.is(echo?.data, 'echo me')
  t.is(echo?.from?.[1], first)
  const session = await faithd.sessionTo(first)
  t.like(session, { protocol: 'udp', reason: 'idle-timeout', bytesUp: 'whoecho me'.length })
  t.like(session.server, { address: addresses.server, port: first })
})

for (const [steering, more] of steerings) {
  test(`a port of a client is one port to all servers${more}`, async (t) => {
    started += 1
    const place = { name: `many${started}`, prefix: `3fff:${started}::` }
    const faithd = await startFaithd(lab, udp, steering, place)
    const servers: [string, number][] = [
      [faithd.address(), first],
      [faithd.address(), second],
      [faithd.address(addresses.serverSecond), first],
    ]
    // Several sockets, so that the kernel spreads them over several workers.
    const sockets = 8
    const steps = Array.from({ length: sockets }, (_, socket) =>
      servers.map((to) => ({ socket, to, send: 'who' })),
    )
    const answers = await take(steps.flat(), { sockets })
    const seen = answers.map(({ data }) => data)
    for (let socket = 0; socket < sockets; socket += 1) {
      const [one, ...others] = seen.slice(3 * socket, 3 * socket + 3)
      t.regex(one ?? '', /^198\.51\.100\.1 \d+$/)
      t.deepEqual(others, [one, one])
    }
    t.is(new Set(seen).size, sockets)
  })
}

test('servers that were not asked do not reach a client, and may answer from another port', async (t) => {
  const faithd = await faithdWith()
  const [other, , echo] = await take([
    { to: [faithd.address(), first], send: 'other' },
    { to: [faithd.address(), first], send: 'elsewhere', wait: 0 },
    { to: [faithd.address(), first], send: 'echo last' },
  ])
  t.is(other?.data, 'other')
  t.is(other?.from?.[0], canonical(faithd.address()))
  t.not(other?.from?.[1], first)
  t.is(echo?.data, 'echo last', 'the datagram from elsewhere, which came before this, is gone')
  t.is((await faithd.counted()).relay.udp?.filtered, 1)
})

test('only ports that were asked reach the client of a relay that filters by them', async (t) => {
  const faithd = await faithdWith('--udp-filtering', 'address-and-port-dependent')
  const [, echo] = await take([
    { to: [faithd.address(), first], send: 'other', wait: 0 },
    { to: [faithd.address(), first], send: 'echo last' },
  ])
  t.is(echo?.data, 'echo last', 'the datagram from the other port, which came before this, is gone')
  t.is((await faithd.counted()).relay.udp?.filtered, 1)
})

test('any server reaches the client of a relay that does not filter', async (t) => {
  const faithd = await faithdWith('--udp-filtering', 'endpoint-independent')
  const [elsewhere] = await take([{ to: [faithd.address(), first], send: 'elsewhere' }])
  t.is(elsewhere?.data, 'elsewhere')
  t.deepEqual(elsewhere?.from, [canonical(faithd.address(addresses.serverSecond)), first])
})

test('datagrams of any length arrive whole, also those longer than the links', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(), first]
  const sizes = [1, 1232, 1233, 1452, 1453, 1472, 1473, 8192, 60_000]
  const answers = await take(sizes.map((size) => ({ to, send: `size ${size}` })))
  t.deepEqual(
    answers.map(({ length, sound }) => ({ length, sound })),
    sizes.map((length) => ({ length, sound: true })),
  )
  const up = [1232, 1233, 1400, 1452]
  const echoes = await take(up.map((fill) => ({ to, send: 'echo ', fill })))
  t.deepEqual(
    echoes.map(({ length }) => length),
    up,
  )
})

test('many datagrams that the client sends in one call arrive one by one', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(), first]
  const bursts: [octets: number, size: number][] = [
    [60_000, 1200],
    [30_000, 1400],
    [6000, 100],
  ]
  for (const [octets, size] of bursts) {
    const [, count] = await take([
      { to, send: `count ${octets}` },
      { to, send: 'x', fill: octets, segment: size },
    ])
    t.is(count?.data, String(Math.ceil(octets / size)))
  }
})

test('many datagrams that a server sends in one call arrive one by one', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(), first]
  const bursts: [octets: number, size: number][] = [
    [60_000, 1200],
    [30_000, 1452],
    // These are longer than the client's link.
    [30_000, 1472],
    [6000, 100],
  ]
  for (const [octets, size] of bursts) {
    const [burst] = await take([{ to, send: `burst ${octets} ${size}`, collect: octets }])
    t.like(burst, { length: octets, datagrams: Math.ceil(octets / size), sound: true })
  }
})

test('dig gets an answer that is longer than any packet of the links', async (t) => {
  const faithd = await faithdWith()
  const server = lab.server.spawn('python3', [dnsProgram, addresses.server])
  await server.line(/^ready/)
  const query = ['+notcp', '+bufsize=4096', '+short', `@${faithd.address()}`, 'example.net', 'TXT']
  const { stdout } = await lab.client.run('dig', query, { timeout: 60_000 })
  t.is(stdout.split('x'.repeat(250)).length - 1, 12, stdout)
  // The session ends after its answer.
  const { protocol, reason } = await faithd.sessionTo(53)
  t.deepEqual({ protocol, reason }, { protocol: 'udp', reason: 'closed' })
})

test('a closed port of the server refuses the client, whose port stays as it is to other servers', async (t) => {
  const faithd = await faithdWith()
  const [before, refused, again, after] = await take([
    { to: [faithd.address(), first], send: 'who' },
    { to: [faithd.address(), 7999], send: 'anybody?' },
    { to: [faithd.address(), 7999], send: 'really nobody?' },
    { to: [faithd.address(), first], send: 'who' },
  ])
  t.deepEqual([refused?.error, again?.error], ['ECONNREFUSED', 'ECONNREFUSED'])
  t.is(after?.data, before?.data)
})

test('a server learns that the port of a client is closed', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(addresses.serverSecond), first]
  await take([{ to, send: 'keep', wait: 0 }])
  const [woken, told] = await take([
    { to, send: 'wake' },
    { to, send: 'told' },
  ])
  t.is(woken?.data, 'woken')
  // Port unreachable.
  t.is(told?.data, '3/3=0')
  t.is((await faithd.counted()).relay.udp?.errorsUp, 1)
})

for (const [how, oversize] of [
  ['come in fragments', 'fragment'],
  ['are dropped if so set', 'drop'],
] as const) {
  test(`datagrams too long for a client ${how}, and the server learns the length that fits`, async (t) => {
    // The server's host remembers the length for all of its sockets, so this test has a host of its own.
    await using fresh = await createLab()
    await serveDatagrams(fresh)
    const faithd = await startFaithd(fresh, [...udp, '--udp-oversize', oversize])
    const to: [string, number] = [faithd.address(), first]
    const steps = [
      { to, send: 'size 1472', wait: oversize === 'drop' ? 0 : 20 },
      { to, send: 'told' },
      { to, send: 'size 1472' },
    ]
    const [before, told, after] = await take(steps, { on: fresh })
    t.deepEqual(before?.length, oversize === 'drop' ? undefined : 1472)
    // 1480 octets of IPv4 are 1500 of IPv6.
    t.is(told?.data, '3/4=1480')
    t.like(after, { length: 1472, sound: true }, 'in fragments of the server')
    const counts = (await faithd.counted()).relay.udp
    t.like(counts, { errorsUp: 1, oversize: oversize === 'drop' ? 1 : 0 })
  })
}

test('hop limit, DSCP and congestion marks pass both ways', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(), first]
  for (const tclass of [0x03, 0xb8, 0xff]) {
    const [marks] = await take([{ to, send: 'marks', hops: 20, tclass }])
    // Each router takes one: this one, for the client's datagram and for the answer.
    t.like(marks, { data: `19 ${tclass}`, hops: 32, tclass: 3 })
  }
})

test('datagrams with a wrong checksum or none do not reach a server', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(), first]
  const answers = await take([
    { to, send: 'forged without a sum', forge: 0 },
    { to, send: 'forged by chance', forge: 0x1234 },
    // It comes from the same port, so to the same worker after them.
    { to, send: 'heard' },
  ])
  t.is(answers[2]?.data, '0')
  const drops = (await faithd.counted()).interface.drops
  t.is(drops.checksum, 2)
})

test('datagrams of clients that come in fragments reach the server, and go back', async (t) => {
  const faithd = await faithdWith()
  const to: [string, number] = [faithd.address(), first]
  const sizes = [1453, 1472, 1473, 2000, 8192, 60_000]
  const echoes = await take(sizes.map((fill) => ({ to, send: 'echo ', fill })))
  t.deepEqual(
    echoes.map(({ length }) => length),
    sizes,
  )
})

test('a denied destination is told to the client and recorded', async (t) => {
  const faithd = await faithdWith('--deny', '192.0.2.0/24')
  const denied = async (ipv4: string, port: number) => {
    const [answer] = await take([{ to: [faithd.address(ipv4), port], send: 'who' }])
    t.is(answer?.error, 'EACCES', ipv4)
    return await faithd.refusalTo(port)
  }
  t.like(await denied('192.0.2.9', 7101), { protocol: 'udp', cause: 'denied-by-rule' })
  t.like(await denied('10.1.2.3', 7102), { protocol: 'udp', cause: 'special-purpose' })
  t.like(await denied('127.0.0.1', 7103), { protocol: 'udp', cause: 'loopback' })
  t.like(await denied(addresses.routerIPv4, 7104), { protocol: 'udp', cause: 'own-address' })
})

test('two clients reach each other by the ports that servers see', async (t) => {
  const faithd = await faithdWith()
  const [to, router] = [faithd.address(), faithd.address(addresses.routerIPv4)]
  const answers = await take(
    [
      { socket: 0, to: [to, first], send: 'who' },
      { socket: 1, to: [to, first], send: 'who' },
      // The filter of the other client stops this one, unless it comes late.
      { socket: 0, to: [router, '$1'], send: 'hello 1', wait: 0 },
      { socket: 1, to: [router, '$0'], send: 'hello 0', wait: 0 },
      { socket: 0, hear: true },
      { socket: 0, to: [router, '$1'], send: 'hello 1', wait: 0 },
      { socket: 1, hear: true },
    ],
    { sockets: 2 },
  )
  t.is(answers[4]?.data, 'hello 0')
  t.is(answers[6]?.data, 'hello 1')
  // Each sees the other as servers do (RFC 4787 REQ-9).
  for (const [asked, heard] of [
    [0, 6],
    [1, 4],
  ] as const) {
    const [address, port] = answers[heard]?.from ?? []
    t.is(address, canonical(router))
    t.is(answers[asked]?.data, `${addresses.routerIPv4} ${port}`)
  }
})

test('ports beyond the limit of a client are told so, and those before it go on', async (t) => {
  const faithd = await faithdWith('--max-mappings-per-client', '2')
  const to: [string, number] = [faithd.address(), first]
  const answers = await take(
    [0, 1, 2, 0].map((socket) => ({ socket, to, send: 'echo' })),
    { sockets: 3 },
  )
  t.deepEqual(
    answers.map(({ data, error }) => data ?? error),
    ['echo', 'echo', 'EHOSTUNREACH', 'echo'],
  )
  const refusal = await faithd.refusalTo(first)
  t.like(refusal, { protocol: 'udp', reason: 'limit', cause: 'max-mappings-per-client' })
})

test('destinations beyond the limit of a client are told so, and those before them go on', async (t) => {
  const faithd = await faithdWith('--max-mappings-per-client', '1')
  const to = (port: number): [string, number] => [faithd.address(), port]
  // The first destination of a port, and eight more, which give no answer.
  const ports = Array.from({ length: 8 }, (_, at) => 7200 + at)
  await serveAt(lab, ...ports.map((port): [string, number] => [addresses.server, port]))
  const silent = ports.map((port) => ({ to: to(port), send: 'keep', wait: 0 }))
  const answers = await take([
    { to: to(first), send: 'who' },
    ...silent,
    { to: to(second), send: 'who' },
    { to: to(first), send: 'who' },
  ])
  const [known, ...others] = answers
  t.deepEqual(
    others.slice(-2).map(({ data, error }) => data ?? error),
    ['EHOSTUNREACH', known?.data],
  )
  const refusal = await faithd.refusalTo(second)
  t.like(refusal, { protocol: 'udp', reason: 'limit', cause: 'max-destinations' })
})

test('a client asks more DNS queries from new ports than it may have ports', async (t) => {
  const faithd = await faithdWith('--max-mappings-per-client', '20')
  const address = addresses.serverSecond
  await lab.server.spawn('python3', [dnsProgram, address]).line(/^ready/)
  const code = `
import socket, sys
for number in range(300):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.settimeout(20)
        one.connect((sys.argv[1], 53))
        query = number.to_bytes(2) + bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + bytes(1) + bytes([0, 16, 0, 1])
        one.send(query)
        assert one.recv(65536)[:2] == query[:2]
`
  const asked = await lab.client.run('python3', ['-c', code, faithd.address(address)], {
    timeout: 60_000,
  })
  t.is(asked.stderr, '')
  const { sessions, refused } = (await faithd.counted()).relay
  // The kernel may draw the port of a session that rests, which goes on then.
  t.true(sessions.begun > 20 * 10, `${sessions.begun} sessions`)
  t.deepEqual(
    Object.values(refused).filter((count) => count > 0),
    [],
  )
})

for (const [what, args] of [
  ['relay of TCP alone', ['--protocols', 'tcp']],
  ['service', ['1-65535']],
] as const) {
  test(`datagrams are refused with a ${what}`, async (t) => {
    started += 1
    const place = { name: `tcp${started}`, prefix: `3fff:${started}::` }
    const faithd = await startFaithd(lab, [...permitted, ...args], 'by itself', place)
    const [answer] = await take([{ to: [faithd.address(), first], send: 'who' }])
    t.is(answer?.error, 'EACCES')
  })
}

test('a path to the client that is narrower than the router knows is learnt', async (t) => {
  await using narrow = await createLab({ clientMtu: 1300 })
  await serveDatagrams(narrow)
  const faithd = await startFaithd(narrow, udp)
  const to: [string, number] = [faithd.address(), first]
  // The first one is too long for the link behind the next router, and the sender is not told.
  const whole = await waitFor('a long datagram', async () => {
    const [answer] = await take([{ to, send: 'size 1400', wait: 1 }], { on: narrow })
    return answer?.length === undefined ? undefined : answer
  })
  t.like(whole, { length: 1400, sound: true })
})

test('a new flow is refused while faithd waits for the last connections, and those before go on', async (t) => {
  await lab.server.echo({ port: 7005 })
  const faithd = await faithdWith('--drain', '30')
  const connected = lab.client.spawn('python3', ['-c', connecting, faithd.address()])
  await connected.line(/^connected/)
  const asked = lab.client.spawn('python3', ['-c', askingLater, faithd.address(), `${first}`])
  await asked.line(/^first/)
  faithd.process.kill('SIGTERM')
  await waitFor('the drain', () => faithd.log.some(({ msg }) => /SIGTERM/.test(msg)))
  asked.stdin.write('\n')
  await asked.line(/^second/)
  await waitFor('a refused flow', async () => {
    const [answer] = await take([{ to: [faithd.address(), second], send: 'who', wait: 1 }])
    return answer?.error === 'EHOSTUNREACH'
  })
  t.like(await faithd.refusalTo(second), { reason: 'aborted', cause: 'relay-closed' })
  await connected.stop('SIGKILL')
})

/** Holds a connection until it is ended. */
const connecting = `
import socket, sys, time
made = socket.create_connection((sys.argv[1], 7005), 20)
print("connected", flush=True)
made.recv(1)
`

/** Asks twice from one port, the second time when it is told to. */
const askingLater = `
import socket, sys
made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
made.settimeout(20)
for word in ("first", "second"):
    made.sendto(b"who", (sys.argv[1], int(sys.argv[2])))
    made.recv(100)
    print(word, flush=True)
    if word == "first":
        sys.stdin.readline()
`

test('faithd ends at once although clients have sessions of datagrams', async (t) => {
  const faithd = await faithdWith('--drain', '3600')
  const [echo] = await take([{ to: [faithd.address(), first], send: 'echo' }])
  t.is(echo?.data, 'echo')
  await faithd.stop()
  t.like(await faithd.sessionTo(first), { reason: 'aborted', cause: 'relay-closed' })
})
