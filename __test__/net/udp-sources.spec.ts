/** The addresses and ports that servers see as the sources of datagrams. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { first, serveDatagrams } from '../fixtures/datagrams.js'
import type { Answer } from '../fixtures/datagrams.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'

const clientProgram = fileURLToPath(new URL('../programs/udp-client.py', import.meta.url))

async function run(host: Host, command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run(command, args, { timeout: 60_000 })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

/** The ports that the server sees for these ports of the client. */
async function portsFor(lab: Lab, to: string, ports: readonly number[]): Promise<number[]> {
  const steps = ports.map((_, socket) => ({ socket, to: [to, first], send: 'who' }))
  const plan = JSON.stringify({ ports, steps })
  const answers = JSON.parse(await run(lab.client, 'python3', clientProgram, plan)) as Answer[]
  return answers.map(({ data = '' }) => Number(data.split(' ')[1]))
}

for (const [which, ports] of [
  ['from 1024 on', [1024, 1025, 4500, 40_001, 65_534, 65_535]],
  ['below 1024', [123, 500, 1022, 1023]],
] as const) {
  test(`the server sees the range and the parity of a client’s port ${which}`, async (t) => {
    await using lab = await createLab()
    await serveDatagrams(lab)
    const faithd = await startFaithd(lab, permitted)
    const seen = await portsFor(lab, faithd.address(), ports)
    for (const [index, port] of ports.entries()) {
      const own = seen[index] ?? 0
      t.true(own > 0)
      t.is(own % 2, port % 2, `${port}: ${own}`)
      t.is(own < 1024, port < 1024, `${port}: ${own}`)
    }
    t.is(new Set(seen).size, ports.length)
  })
}

test('no client gets a port that the host reserves', async (t) => {
  await using lab = await createLab()
  await run(lab.router, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=40000 40039')
  await run(lab.router, 'sysctl', '-qw', 'net.ipv4.ip_local_reserved_ports=40000-40029')
  await serveDatagrams(lab)
  const faithd = await startFaithd(lab, permitted)
  const seen = await portsFor(lab, faithd.address(), [41_000, 41_001, 41_002, 41_003])
  for (const port of seen) t.true(port >= 40_030 && port <= 40_039, `${port}`)
  t.is(new Set(seen).size, seen.length)
})

/** Answers connections with the address that they come from. */
const tellPeers = `
import socket, sys
served = socket.create_server((sys.argv[1], 7003))
print("ready", flush=True)
while True:
    made, peer = served.accept()
    made.sendall(peer[0].encode())
    made.close()
`

/** Connects and sends a datagram, both from one address, and prints the sources that the server saw. */
const askFrom = `
import socket, sys
own, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
with socket.create_connection((to, 7003), 20, (own, 0)) as made:
    print(made.recv(100).decode())
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as made:
    made.settimeout(20)
    made.bind((own, 0))
    made.sendto(b"who", (to, port))
    print(made.recv(100).decode().split()[0])
`

test('a client has one source for connections, datagrams and pings', async (t) => {
  await using lab = await createLab()
  const sources = ['198.51.100.11', '198.51.100.12', '198.51.100.13']
  for (const source of sources) {
    await run(lab.router, 'ip', 'address', 'add', `${source}/24`, 'dev', 'wan0')
  }
  const way = ['via', addresses.client, 'dev', 'lan0']
  await run(lab.router, 'ip', '-6', 'route', 'add', '2001:db8:f000::/36', ...way)
  await serveDatagrams(lab)
  await lab.server.spawn('python3', ['-c', tellPeers, addresses.server]).line(/^ready/)
  await nft(
    lab.server,
    `table inet seen {
      set pings { type ipv4_addr; flags dynamic; }
      chain input {
        type filter hook input priority filter
        icmp type echo-request add @pings { ip saddr }
      }
    }`,
  )
  const options = sources.flatMap((source) => ['--source', source])
  const faithd = await startFaithd(lab, [...permitted, ...options])
  const to = faithd.address()
  const used = new Set<string>()
  for (let number = 0; number < 12; number += 1) {
    const client = `2001:db8:f000:${number}::1`
    await run(lab.client, 'ip', 'address', 'add', `${client}/128`, 'dev', 'lo', 'nodad')
    const told = await run(lab.client, 'python3', '-c', askFrom, client, to, `${first}`)
    await nft(lab.server, 'flush set inet seen pings')
    await run(lab.client, 'ping', '-6', '-n', '-c', '1', '-W', '20', '-I', client, to)
    const pings = await run(lab.server, '/usr/sbin/nft', 'list', 'set', 'inet', 'seen', 'pings')
    const [tcp = '', udp] = told.split('\n')
    t.true(sources.includes(tcp), told)
    t.is(udp, tcp, client)
    t.is(/elements = \{ ([\d.]+) \}/.exec(pings)?.[1], tcp, pings)
    used.add(tcp)
  }
  t.true(used.size > 1, 'clients together use several')
})
