/** Packets that are not a valid TCP connection: their treatment, as the network sees it. */
import test from 'ava'
import {
  addresses,
  captured,
  createLab,
  garbage,
  nodeCommand,
  program,
  udp,
  waitFor,
} from '../../lab/index.js'
import type { FaithDropReason } from '../../index.js'
import { probeFrom, type ProbeOptions } from '../fixtures/probe.js'
import { Program, type Faith } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()

/** Number of packets dropped for that reason. */
const dropped = async (faith: Faith, reason: FaithDropReason) => (await faith.stats()).drops[reason]

/** Sends such packets from the client to a captured address. */
const probe = (kind: string, options: ProbeOptions = {}) =>
  probeFrom(lab.client, kind, { source: addresses.client, address: server, ...options })

/** Packets that faithd took from the host, and packets that it gave to the host. */
interface Passed {
  taken: number
  given: number
}

interface Link {
  ifname: string
  stats64: Record<'rx' | 'tx', { packets: number }>
}

/** The kernel's counters of the device, and of the shortcut's device if there is one. */
async function device(): Promise<Passed> {
  const { stdout } = await lab.router.run('ip', ['-j', '-s', 'link', 'show'])
  const links = JSON.parse(stdout) as Link[]
  const counts = links.filter(({ ifname }) => /^(?:faith0$|shortcut)/.test(ifname))
  const sum = (way: 'rx' | 'tx') =>
    counts.reduce((packets, { stats64 }) => packets + stats64[way].packets, 0)
  return { taken: sum('tx'), given: sum('rx') }
}

/** The same numbers from the interface's own counters. */
async function told(faith: Faith): Promise<Passed> {
  const { captured: on, returned, unreachableSent, hostMulticast, drops } = await faith.stats()
  // A SYN without a listener is captured, and dropped by the stack.
  const { outbound: fromStack = 0, 'no-listener': _, ...reasons } = drops
  const all = Object.values(reasons).reduce((sum, count) => sum + count, fromStack)
  const taken = on.packets + all - fromStack + hostMulticast
  return { taken, given: returned.packets + unreachableSent }
}

/** Waits until both agree: the kernel counts a packet a moment before faithd has judged it. */
async function balanced(faith: Faith): Promise<Passed> {
  return await waitFor('the counters to agree with the kernel’s', async () => {
    const [kernel, ours] = [await device(), await told(faith)]
    return kernel.taken === ours.taken && kernel.given === ours.given ? ours : undefined
  })
}

test.serial('a UDP client gets an ICMPv6 error at once', async (t) => {
  await using faith = await router.create()
  for (const port of [443, 53]) {
    const patient = { address: server, port, timeout: 20_000 }
    t.like(await udp(lab.client, patient), { code: 'EACCES' })
  }
  await balanced(faith)
  t.is((await faith.stats()).unreachableSent, 2)
  t.is(await dropped(faith, 'unsupported'), 2)
})

/** Sends a packet of a protocol of which the host knows nothing, and prints the error that comes back. */
const sendRaw = `
import errno, socket, sys
made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, int(sys.argv[2]))
made.settimeout(20)
IPV6_RECVERR = 25
made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
made.connect((sys.argv[1], 0))
made.send(bytes(16))
try:
    made.recv(100)
except OSError as error:
    print(errno.errorcode[error.errno])
`

test.serial('SCTP and DCCP are unsupported, and their client is told at once', async (t) => {
  await using faith = await router.create()
  const [dccp, sctp] = ['33', '132']
  for (const protocol of [dccp, sctp]) {
    const { stdout } = await lab.client.run('python3', ['-c', sendRaw, server, protocol], {
      timeout: 60_000,
    })
    t.is(stdout, 'EACCES\n', protocol)
  }
  t.is((await faith.stats()).unreachableSent, 2)
  t.is(await dropped(faith, 'unsupported'), 2)
})

test.serial('nc -u ends by itself on the ICMPv6 error', async (t) => {
  await using faith = await router.create()
  // Keeps nc's input open: without the error it would run on.
  const nc = lab.client.spawn('nc', ['-u', server, '443'])
  nc.stdin.write('hello\n')
  await waitFor('nc to end', () => !nc.running)
  await balanced(faith)
  t.is((await faith.stats()).unreachableSent, 1)
})

test.serial('with `unsupported: drop` a UDP client gets no answer', async (t) => {
  await using faith = await router.create({ unsupported: 'drop' })
  const [command, args] = nodeCommand(program('udp'), ['--address', server, '--timeout', '60000'])
  const asking = lab.client.spawn(command, args)
  await waitFor('the datagram to be dropped', async () => (await dropped(faith, 'unsupported')) > 0)
  t.like(await balanced(faith), { given: 0 })
  t.true(asking.running)
  t.is(asking.stdout, '')
  await asking.stop('SIGKILL')
})

test.serial('unreachable answers are limited, and every drop is still counted', async (t) => {
  await using faith = await router.create({ workers: 1 })
  const count = 20_000
  await probe('datagrams', { count, port: 443 })
  const { taken } = await balanced(faith)
  t.true(taken > count / 2, 'the network delivered more than half')
  const unsupported = await dropped(faith, 'unsupported')
  const { unreachableSent, unreachableLimited } = await faith.stats()
  t.true(unsupported > count / 2)
  t.true(unreachableSent > 0 && unreachableSent < unsupported / 2, `${unreachableSent}`)
  t.is(unreachableSent + unreachableLimited, unsupported)
})

/** ICMPv6 Destination Unreachable messages that the client's host has received. */
async function unreachables(): Promise<number> {
  const { stdout } = await lab.client.run('cat', ['/proc/net/snmp6'])
  return Number(/^Icmp6InDestUnreachs\s+(\d+)$/m.exec(stdout)?.[1])
}

test.serial('a ping gets an ICMPv6 error at once', async (t) => {
  await using faith = await router.create()
  const before = await unreachables()
  await probe('echo', { count: 3 })
  await waitFor('the answers', async () => (await unreachables()) >= before + 3)
  await balanced(faith)
  t.is(await unreachables(), before + 3)
  t.is(await dropped(faith, 'unsupported'), 3)
  t.is((await faith.stats()).unreachableSent, 3)
})

test.serial('with `unsupported: drop` a ping gets no answer', async (t) => {
  await using faith = await router.create({ unsupported: 'drop' })
  await probe('echo', { count: 3 })
  await waitFor('the echo requests', async () => (await dropped(faith, 'unsupported')) >= 3)
  t.like(await balanced(faith), { given: 0 })
})

test.serial('the host’s own multicast is counted separately, and is no drop', async (t) => {
  await using faith = await router.create()
  // Makes the kernel send multicast: it looks for duplicates of the address, and reports its group.
  await lab.router.run('ip', ['-6', 'addr', 'add', 'fe80::77/64', 'dev', 'faith0'])
  await waitFor('the report', async () => (await faith.stats()).hostMulticast > 0)
  await balanced(faith)
  const { drops, unreachableSent } = await faith.stats()
  t.true(
    Object.values(drops).every((count) => count === 0),
    JSON.stringify(drops),
  )
  t.is(unreachableSent, 0)
})

test.serial('a SYN in fragments is captured, and answered once it is complete', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 })
  await probe('fragments')
  await waitFor('the SYN-ACK', async () => (await faith.stats()).returned.packets > 0)
  t.true((await faith.stats()).captured.packets >= 2)
  t.is(await dropped(faith, 'fragment'), 0)
})

test.serial('a SYN behind extension headers is captured', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 })
  await probe('options')
  await waitFor('the SYN-ACK', async () => (await faith.stats()).returned.packets > 0)
  t.is(await dropped(faith, 'extension'), 0)
})

const many = 50

test.serial('a client inside a faith prefix gets no answer', async (t) => {
  await using faith = await router.create({ prefixes: ['2001:db8::/32'] })
  await faith.listen({ port: 80 }, 'here')
  await probe('syns', { address: '2001:db8:c000:221::', count: many })
  await waitFor('the SYNs', async () => (await dropped(faith, 'martian')) >= many)
  t.like(await balanced(faith), { given: 0 })
})

test.serial(
  'a packet routed to the interface from outside its prefixes gets no answer',
  async (t) => {
    await using faith = await router.create()
    await faith.listen({ port: 80 }, 'here')
    await lab.router.run('ip', ['-6', 'route', 'add', '2001:db8:ffff::/48', 'dev', 'faith0'])
    await probe('syns', { address: '2001:db8:ffff::1', count: many })
    await waitFor('the SYNs', async () => (await dropped(faith, 'martian')) >= many)
    t.like(await balanced(faith), { given: 0 })
  },
)

test.serial('IPv4 routed to the interface is malformed', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 }, 'here')
  await lab.router.run('ip', ['-4', 'route', 'add', '203.0.113.0/24', 'dev', 'faith0'])
  await using dialled = await router.begin('203.0.113.1', 80)
  await waitFor('two dropped SYNs', async () => (await dropped(faith, 'malformed')) >= 2)
  t.like(await dialled.look(), { connecting: true })
  t.like(await balanced(faith), { given: 0 })
})

test.serial(
  'garbage from the network is dropped and counted, and disturbs no connection',
  async (t) => {
    await using faith = await router.create()
    await using listener = await faith.listen({ ports: 'all' })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()

    await faith.watch('drop')
    const bytes = 16 * 2 ** 20
    const transfer = Promise.all([dialled.send('up', bytes), accepted.receive(bytes)])
    const { kinds } = await garbage(lab.client, { address: server, port: 79, count: 300 })
    await balanced(faith)
    const { drops } = await faith.stats()
    const sent = (kind: string) => kinds[`host_${kind}`] ?? 0
    t.true(sent('truncated_tcp') > 0 && (drops['malformed'] ?? 0) >= sent('truncated_tcp'))
    t.true((drops['extension'] ?? 0) > 0)
    t.true((drops['fragment'] ?? 0) >= sent('first_fragment_without_transport'))
    t.true((drops['icmp'] ?? 0) > 0)
    t.true((drops['unsupported'] ?? 0) > 0)

    const [sha256, arrived] = await transfer
    t.deepEqual(arrived, { bytes, sha256 })
    await waitFor('events with all drops, by the same reasons', async () => {
      const { drop: events } = await faith.told()
      const sum = (reason: FaithDropReason) =>
        events.reduce((packets, event) => packets + (event.packets[reason] ?? 0), 0)
      const reasons = ['malformed', 'extension', 'fragment', 'icmp', 'unsupported'] as const
      return reasons.every((reason) => sum(reason) >= drops[reason])
    })
    await using another = await client.dial(server, 81)
    t.truthy(another)
  },
)

test.serial(
  'garbage written to the device is dropped and counted, and disturbs no connection',
  async (t) => {
    await using faith = await router.create()
    await using listener = await faith.listen({ ports: 'all' })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()

    const target = { device: 'faith0', address: server, port: 79, count: 300, seed: 2 }
    const { kinds } = await garbage(lab.router, target)
    await balanced(faith)
    const { drops } = await faith.stats()
    const sent = (...names: string[]) =>
      names.reduce((sum, name) => sum + (kinds[`device_${name}`] ?? 0), 0)
    t.true(sent('truncated_header', 'not_ipv6') > 0)
    t.true((drops['malformed'] ?? 0) >= sent('truncated_header', 'not_ipv6'))
    t.true(sent('martian_source') > 0 && (drops['martian'] ?? 0) >= sent('martian_source'))

    await dialled.write('still here\n')
    t.is(await accepted.line(), 'still here')
    await using another = await client.dial(server, 81)
    t.truthy(another)
  },
)

test.serial('a repeated SYN is dropped while the first is held', async (t) => {
  // Takes a prefix of its own, because clients of earlier tests may still send their last segments again.
  await using faith = await router.create({ prefixes: ['3fff:80::/96'] })
  await using relay = await faith.route({ ports: 'all' }, { verdicts: {}, waits: [80] })
  const address = `3fff:80::${addresses.server}`
  await probe('syns', { address })
  await waitFor('the route to be asked', async () => (await router.ask('undecided', 80)) > 0)
  await probe('syns', { address })
  await waitFor('the SYN', async () => (await dropped(faith, 'hold')) > 0)
  t.is(await dropped(faith, 'hold'), 1)
  t.like(await faith.stats(), { synsHeld: 1, captured: { packets: 0 } })
  await relay.close()
})

for (const shortcut of [true, false]) {
  const how = shortcut ? 'with the shortcut if there is one' : 'without shortcut'
  test.serial(`segments from a deleted prefix are dropped, ${how}`, async (t) => {
    const prefixes = ['64:ff9b::/96', '64:ff9b:1::/48']
    await using faith = await router.create({ prefixes, shortcut })
    await using listener = await faith.listen({ port: 80 })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()
    t.is(await dropped(faith, 'outbound'), 0)
    await faith.deletePrefix('64:ff9b::/96')
    const { returned } = await faith.stats()
    await accepted.write('hello\n')
    await waitFor('the segment to be dropped', async () => (await dropped(faith, 'outbound')) > 0)
    t.deepEqual((await faith.stats()).returned, returned)
    t.like(await dialled.look(), { bytesRead: 0 })
  })
}

test.serial('the counters agree with the kernel’s after ordinary traffic', async (t) => {
  await using faith = await router.create()
  await faith.listen({ ports: '1-100' }, 'here')
  const ports = Array.from({ length: 200 }, (_, index) => 1 + index)
  await client.greetings(server, ports)
  const { taken, given } = await balanced(faith)
  t.true(taken > 500 && given > 400, `${taken} taken, ${given} given`)
  const { captured: on } = await faith.stats()
  t.true(on.bytes >= on.packets * 60, 'no TCP packet is shorter')
})

test.serial(
  'Packet Too Big from a router on the client’s side reaches the connection',
  async (t) => {
    await using narrow = await createLab({ clientMtu: 1300 })
    const [far, near] = await Promise.all([
      Program.start(narrow.client),
      Program.start(narrow.router),
    ])
    await near.keepfaith(true)
    const faith = await near.create()
    const listener = await faith.listen({ port: 80 })
    const dialled = await far.dial(server, 80)
    const accepted = await listener.accept()

    const bytes = 4 * 2 ** 20
    const [sent, arrived] = await Promise.all([
      accepted.send('down', bytes),
      dialled.receive(bytes),
    ])
    t.deepEqual(arrived, { bytes, sha256: sent })
  },
)
