/** UDP sockets of a program, as clients see them. */
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { embed } from '../../../index.js'
import type {
  FaithBindUdpOptions,
  FaithUdpRemoteInfo,
  FaithUdpSocketStats,
} from '../../../index.js'
import { addresses, createLab, nodeCommand, waitFor } from '../../../lab/index.js'
import type { LabProcess } from '../../../lab/index.js'
import { serveAt, type Step, takeSteps } from '../../fixtures/datagrams.js'

const program = fileURLToPath(new URL('../../programs/udp-socket.ts', import.meta.url))
const lifetime = fileURLToPath(new URL('../../programs/udp-lifetime.ts', import.meta.url))
/** An address that the socket has, as its program sees it. */
const captured = (ipv4: string = addresses.server): string => embed(ipv4, '64:ff9b::/96')

const lab = await createLab()
test.after.always(() => lab.close())

/** Runs a program with a socket, for one test. */
async function bound(
  t: ExecutionContext,
  options: FaithBindUdpOptions,
  ...more: string[]
): Promise<LabProcess> {
  const [command, args] = nodeCommand(program, [JSON.stringify(options), ...more])
  const running = lab.router.spawn(command, args)
  t.teardown(() => running.stop())
  await running.line(/^\{/)
  return running
}

/** The step that asks for the origin of a datagram. */
const who = (address: string, port: number): Step => ({ to: [address, port], send: 'who' })

test.serial('each message says what was dialled, and its answer comes from there', async (t) => {
  await bound(t, { ports: '7-9' })
  const dialled = [
    [captured(), 7],
    [captured(), 9],
    ['2001:db8:64::c000:201', 8],
  ] as const
  const answers = await takeSteps(
    lab,
    dialled.flatMap(([address, port]) => [
      { to: [address, port], send: 'from 8' },
      { to: [address, port], send: 'marks' },
    ]),
  )
  for (const [index, [address, port]] of dialled.entries()) {
    const [from, marks] = answers.slice(2 * index, 2 * index + 2)
    t.deepEqual(marks?.from, [address, port])
    t.deepEqual(from?.from, [address, 8])
  }
})

test.serial('a message has the origin and the header fields of its datagram', async (t) => {
  const running = await bound(t, { port: 7, recvBufferSize: 100_000 })
  t.deepEqual(JSON.parse(running.lines[0] ?? ''), { address: '::', family: 'IPv6', port: 7 })
  const { stdout } = await lab.client.run('python3', ['-c', asking, captured(), '7'])
  const { text, from, port, hopLimit, trafficClass } = JSON.parse(stdout) as Asked
  t.deepEqual(JSON.parse(text), {
    address: addresses.client,
    family: 'IPv6',
    port,
    size: 3,
    destination: { address: captured(), port: 7, ipv4: addresses.server, ipv4Port: 7 },
    // The router takes one of those that the datagram had, and of those that the answer has.
    hopLimit: 41,
    trafficClass: 0x2e << 2,
  })
  t.deepEqual([from, hopLimit, trafficClass], [captured(), 8, 0xb8])
})

interface Asked {
  text: string
  from: string
  port: number
  hopLimit: number
  trafficClass: number
}

/** Sends `who` with hop limit 42 and a traffic class, then `marks`, and tells what came back. */
const asking = `
import json, socket, sys
made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
made.settimeout(20)
v6 = socket.IPPROTO_IPV6
made.setsockopt(v6, socket.IPV6_UNICAST_HOPS, 42)
made.setsockopt(v6, socket.IPV6_TCLASS, 0x2e << 2)
made.setsockopt(v6, socket.IPV6_RECVHOPLIMIT, 1)
made.setsockopt(v6, socket.IPV6_RECVTCLASS, 1)
to = (sys.argv[1], int(sys.argv[2]))
made.sendto(b"who", to)
text = made.recv(1 << 16).decode()
made.sendto(b"marks", to)
_, fields, _, sender = made.recvmsg(100, 200)
fields = {kind: int.from_bytes(data[:4], sys.byteorder) for _, kind, data in fields}
hop_limit, traffic_class = fields[socket.IPV6_HOPLIMIT], fields[socket.IPV6_TCLASS]
print(json.dumps({"text": text, "from": sender[0], "port": made.getsockname()[1],
                  "hopLimit": hop_limit, "trafficClass": traffic_class}))
`

test.serial(
  'long answers arrive whole, and datagrams that came together are told apart',
  async (t) => {
    await bound(t, { port: 7 })
    const to: [string, number] = [captured(), 7]
    const [long, longest, first] = await takeSteps(lab, [
      { to, send: 'size 1400' },
      { to, send: 'size 60000' },
      // One call of the kernel, and three datagrams.
      { to, send: 'size 201', fill: 24, segment: 8, wait: 20 },
    ])
    t.like(long, { length: 1400, sound: true })
    t.like(longest, { length: 60_000, sound: true })
    t.like(first, { length: 201, sound: true })
    await waitFor('the counters', async () => {
      const [answer] = await takeSteps(lab, [{ to, send: 'stats' }])
      const { received, sent, dropped, lost } = JSON.parse(
        answer?.data ?? '',
      ) as FaithUdpSocketStats
      // Two datagrams got no answer, and this one has none yet.
      return received === sent + 3 && dropped === 0 && lost === 0
    })
  },
)

test.serial(
  'datagrams beyond the buffer are dropped and counted, and the socket goes on',
  async (t) => {
    await bound(t, { port: 7, recvBufferSize: 2000 })
    const to: [string, number] = [captured(), 7]
    // Too many for the buffer, even if JavaScript has taken a full one together with the order to block.
    const noise = Array.from({ length: 50 }, () => ({ to, send: 'noise', fill: 500, wait: 0 }))
    const answers = await takeSteps(lab, [
      { to, send: 'block', wait: 0 },
      ...noise,
      { hear: true },
      { to, send: 'stats' },
    ])
    const [free, stats] = answers.slice(-2)
    t.is(free?.data, 'free')
    t.true((JSON.parse(stats?.data ?? '') as FaithUdpSocketStats).dropped > 0)
  },
)

test.serial(
  'a closed socket has sent its last answer, and its port is unsupported again',
  async (t) => {
    await bound(t, { port: 7 })
    const to: [string, number] = [captured(), 7]
    const [closing] = await takeSteps(lab, [{ to, send: 'close' }])
    t.is(closing?.data, 'closing')
    await waitFor('the port to be unsupported', async () => {
      const [after] = await takeSteps(lab, [{ ...who(...to), wait: 1 }])
      return after?.error === 'EACCES'
    })
  },
)

test.serial('a socket at one address goes before a relay of all', async (t) => {
  await serveAt(lab, [addresses.server, 7])
  const address = captured('203.0.113.7')
  await bound(t, { port: 7, address }, '--relay')
  const [own, relayed] = await takeSteps(lab, [who(address, 7), who(captured(), 7)])
  t.like(JSON.parse(own?.data ?? '') as FaithUdpRemoteInfo, { destination: { address, port: 7 } })
  t.regex(relayed?.data ?? '', /^198\.51\.100\.1 \d+$/)
})

test.serial('a port of a relay of datagrams is taken', async (t) => {
  const [command, args] = nodeCommand(program, ['{"port":7}', '--relay'])
  const { code, stderr } = await lab.router.run(command, args)
  t.not(code, 0)
  t.regex(stderr, /EADDRINUSE/)
})

test.serial(
  'a socket closes at the end of its block, and keeps its process running unless it is unref’d',
  async (t) => {
    const [command, args] = nodeCommand(lifetime, [])
    const running = lab.router.spawn(command, args)
    await running.line(/^bound/)
    t.deepEqual(running.lines, ['closed', 'bound'])
    const says = async (send: string) => {
      const [answer] = await takeSteps(lab, [{ to: [captured(), 7], send }])
      return answer?.data
    }
    t.is(await says('both'), 'both')
    t.is(await says('hello'), 'hello')
    t.true(running.running, 'from the start, and after ref()')
    t.is(await says('unref'), 'unref')
    t.deepEqual(await running.exited, { code: 0, signal: null })
  },
)
