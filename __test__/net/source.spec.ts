/** The router's address, port and traffic class as the server sees them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, waitFor } from '../../lab/index.js'
import { permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

/** Addresses of the router besides the one that its routing table chooses. */
const others = ['198.51.100.11', '198.51.100.12', '198.51.100.13'] as const
const [one, two, three] = others

const { lab, client, server } = await socketsLab()

test.before(async () => {
  for (const address of others) {
    const { code, stderr } = await lab.router.run('ip', [
      'addr',
      'add',
      `${address}/24`,
      'dev',
      'wan0',
    ])
    if (code !== 0) throw new Error(stderr)
  }
})

let started = 0

async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `source${started}`, prefix: `3fff:${started}::` }
  return await startFaithd(lab, args, 'by itself', place)
}

let ports = 7300

/** Connects that many times to a new port, and returns the sources as `ss` prints them. */
async function sources(faithd: Faithd, count: number, port = freshPort()) {
  const listening = await server.listen(port)
  for (let made = 0; made < count; made += 1) {
    await client.connect(faithd.address(), port)
    await listening.accept()
  }
  const { stdout } = await lab.server.run('ss', [
    '-Htn',
    'state',
    'established',
    `sport = :${port}`,
  ])
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [address = '', from] = (line.trim().split(/\s+/)[3] ?? '').split(':')
      return { address, port: Number(from) }
    })
}

function freshPort(): number {
  ports += 1
  return ports
}

/** Counts each address. */
function tally(seen: readonly { address: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { address } of seen) counts[address] = (counts[address] ?? 0) + 1
  return counts
}

test('by default the routing table chooses the source address', async (t) => {
  const seen = await sources(await faithdWith(...permitted), 3)
  t.deepEqual(tally(seen), { [addresses.routerIPv4]: 3 })
  t.true(
    seen.every(({ port }) => port >= 1024),
    JSON.stringify(seen),
  )
})

test('every connection comes from --source', async (t) => {
  const seen = await sources(await faithdWith(...permitted, '--source', one), 3)
  t.deepEqual(tally(seen), { [one]: 3 })
})

test('the outgoing address of a rule wins over --source', async (t) => {
  const [ruled, unruled] = [freshPort(), freshPort()]
  const list = join(lab.directory, 'outgoing.conf')
  writeFileSync(
    list,
    `::/0 permit 198.51.100.0/24 port ${ruled} ${two}\n::/0 permit 198.51.100.0/24\n`,
  )
  const faithd = await faithdWith('-f', list, '--source', one)
  t.deepEqual(tally(await sources(faithd, 3, ruled)), { [two]: 3 })
  t.deepEqual(tally(await sources(faithd, 3, unruled)), { [one]: 3 })
})

test('a privileged source is a port below 1024, another one for each connection', async (t) => {
  const seen = await sources(await faithdWith(...permitted, '-p'), 8)
  t.is(seen.length, 8)
  t.true(
    seen.every(({ port }) => port > 0 && port < 1024),
    JSON.stringify(seen),
  )
  t.is(new Set(seen.map(({ port }) => port)).size, 8)
  t.deepEqual(tally(seen), { [addresses.routerIPv4]: 8 })
})

test('a privileged source uses the requested address', async (t) => {
  const seen = await sources(await faithdWith(...permitted, '-p', '--source', three), 3)
  t.deepEqual(tally(seen), { [three]: 3 })
  t.true(
    seen.every(({ port }) => port > 0 && port < 1024),
    JSON.stringify(seen),
  )
})

test('a source that the router does not have keeps faithd from starting, and the error names it', async (t) => {
  for (const more of [[], ['-p'], ['--source', one]]) {
    const args = ['-k', '-i', 'foreign', '-P', '3fff:ffff::/96', '--source', '198.51.100.200']
    const { code, stderr } = await runFaithd(lab, [...args, ...more])
    t.is(code, 78)
    t.regex(
      stderr,
      /FATAL: cannot connect from 198\.51\.100\.200: .*; this host does not have that/,
    )
    t.is(stderr.split('\n').length, 2, 'one line')
  }
})

const nonlocal = (on: 0 | 1) => lab.router.run('sysctl', ['-qw', `net.ipv4.ip_nonlocal_bind=${on}`])

// Runs alone, because the setting affects the whole router.
test.serial('faithd starts if the kernel allows addresses that do not exist yet', async (t) => {
  await nonlocal(1)
  try {
    await t.notThrowsAsync(faithdWith(...permitted, '--source', '198.51.100.200'))
  } finally {
    await nonlocal(0)
  }
})

test('without the capability for privileged sources faithd does not start, and the error names it', async (t) => {
  const capability = 'net_bind_service'
  const without = ['setpriv', `--inh-caps=-${capability}`, `--bounding-set=-${capability}`]
  const args = ['-k', '-i', 'unprivileged', '-P', '3fff:fffe::/96', '-p']
  const { code, stderr } = await runFaithd(lab, args, without)
  t.is(code, 77)
  t.regex(stderr, /FATAL: cannot connect from a privileged port: .*CAP_NET_BIND_SERVICE/)
})

test('a removed source is named in a warning, and in the attempts that needed it', async (t) => {
  const leaving = '198.51.100.14'
  const address = (does: 'add' | 'del') =>
    lab.router.run('ip', ['addr', does, `${leaving}/24`, 'dev', 'wan0'])
  await address('add')
  const faithd = await faithdWith(...permitted, '--source', leaving)
  t.deepEqual(tally(await sources(faithd, 2)), { [leaving]: 2 })
  await address('del')
  const port = freshPort()
  const listening = await server.listen(port)
  for (let dialled = 0; dialled < 3; dialled += 1) {
    t.is(await client.dial(faithd.address(), port).outcome(), 'ECONNREFUSED')
  }
  t.is(listening.accepted, 0)
  const attempt = await faithd.refusalTo(port)
  t.like(attempt, { reason: 'error', cause: 'no-source', code: 'EADDRNOTAVAIL' })
  const warnings = (): string[] =>
    faithd.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
  const warning = await waitFor('the warning', () =>
    warnings().find((msg) => msg.includes(leaving)),
  )
  t.regex(
    warning,
    /^cannot connect from 198\.51\.100\.14, an address that this host does not have: /,
  )
  t.false(faithd.log.some((line) => 'resource' in line && line.resource === 'ports'))

  await address('add')
  t.is(await client.dial(faithd.address(), port).outcome(), 'connected')
})

const sniff = fileURLToPath(new URL('../programs/sniff.py', import.meta.url))

/** Connects with a traffic class, and sends a word. */
const marked = `
import socket, sys
address, port, traffic_class = sys.argv[1], int(sys.argv[2]), int(sys.argv[3], 0)
client = socket.socket(socket.AF_INET6)
client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, traffic_class)
client.connect((address, port))
client.sendall(b"hello")
client.recv(1)
`

/** Types of service of all packets to the server, from the SYN to the first data. */
async function typesOfService(faithd: Faithd, trafficClass: number): Promise<string[]> {
  const port = freshPort()
  const listening = await server.listen(port)
  const sniffer = lab.server.spawn('python3', [sniff, 'eth0', String(port)])
  await sniffer.line(/^sniffing/)
  const args = [faithd.address(), String(port), String(trafficClass)]
  const python = lab.client.spawn('python3', ['-c', marked, ...args])
  const far = await listening.accept()
  await far.hears('hello')
  // The packet with the word is the last one.
  await sniffer.line(/length 5$/)
  await Promise.all([sniffer.stop('SIGKILL'), python.stop('SIGKILL')])
  const types = sniffer.lines.flatMap((line) => /^tos (0x[0-9a-f]+)/.exec(line)?.[1] ?? [])
  // The word comes with the last packet of the handshake, or after it.
  if (types.length < 2) throw new Error(`no SYN and data in:\n${sniffer.output}`)
  return [...new Set(types)]
}

test('the DSCP of the client’s SYN is on all packets to the server', async (t) => {
  const faithd = await faithdWith(...permitted, '--copy-dscp')
  t.deepEqual(await typesOfService(faithd, 0xb8), ['0xb8'])
  t.deepEqual(await typesOfService(faithd, 0x28), ['0x28'])
  t.deepEqual(await typesOfService(faithd, 0), ['0x0'])
})

test('by default faithd copies no DSCP', async (t) => {
  t.deepEqual(await typesOfService(await faithdWith(...permitted), 0xb8), ['0x0'])
})

test('the DSCP is copied with accept-first, too', async (t) => {
  const faithd = await faithdWith(...permitted, '--copy-dscp', '--no-connect-first')
  t.deepEqual(await typesOfService(faithd, 0xb8), ['0xb8'])
})
