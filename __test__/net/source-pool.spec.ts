/** Several source addresses: the choice for a client, and the fallback when one fails. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, waitFor, type LabProcess } from '../../lab/index.js'
import type { FaithRelaySettings } from '../../index.js'
import { Program, type Relay } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const others = ['198.51.100.11', '198.51.100.12', '198.51.100.13'] as const
const [one, two] = others

/** Ports that the kernel may take towards a server, fewer than its usual range. */
const FEW = { first: 40_000, last: 40_007 }
const FEW_PORTS = FEW.last - FEW.first + 1

const mirror = fileURLToPath(new URL('../programs/mirror.py', import.meta.url))

const { lab } = await stage()

test.before(async () => {
  for (const address of others) await addressOfRouter('add', address)
  // Gives the client every network used below.
  await run(lab.client, 'ip', '-6', 'route', 'add', 'local', '2001:db8:f000::/36', 'dev', 'lo')
  const way = ['via', '2001:db8:1::2', 'dev', 'lan0']
  await run(lab.router, 'ip', '-6', 'route', 'add', '2001:db8:f000::/36', ...way)
})

async function run(host: typeof lab.client, command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

async function addressOfRouter(what: 'add' | 'del', address: string): Promise<void> {
  await run(lab.router, 'ip', 'addr', what, `${address}/24`, 'dev', 'wan0')
}

async function localPorts(range: string): Promise<string> {
  const before = await run(lab.router, 'sysctl', '-n', 'net.ipv4.ip_local_port_range')
  await run(lab.router, 'sysctl', '-qw', `net.ipv4.ip_local_port_range=${range}`)
  return before.trim()
}

/** An address of the nth client, in its own network of length 64. */
function client(number: number, host = 1): string {
  return `2001:db8:f000:${number.toString(16)}::${host.toString(16)}`
}

interface Seen {
  from: string
  seen?: string
  port?: number
  error?: string
}

let port = 7800

/** A relay, a server behind it that reports its peers' addresses, and clients at many addresses. */
class Pool implements AsyncDisposable {
  readonly relay: Relay
  readonly #router: Program
  readonly #server: LabProcess
  readonly #clients: LabProcess
  #told = 0

  private constructor(relay: Relay, router: Program, server: LabProcess, clients: LabProcess) {
    this.relay = relay
    this.#router = router
    this.#server = server
    this.#clients = clients
  }

  static async open(options: FaithRelaySettings): Promise<Pool> {
    port += 1
    const server = lab.server.spawn('python3', [mirror, 'serve', String(port)])
    await server.line(/^serving/)
    const router = await Program.start(lab.router)
    await router.keepfaith(true)
    const prefix = `3fff:${port}::`
    const faith = await router.create({ name: `faith${port}`, prefixes: [`${prefix}/96`] })
    const accessList = '::/0 permit 198.51.100.0/24\n'
    const relay = await faith.relay({ ports: [port], accessList, ...options })
    const clients = lab.client.spawn('python3', [
      mirror,
      'dial',
      prefix + addresses.server,
      String(port),
    ])
    return new Pool(relay, router, server, clients)
  }

  /** Connects that many times from an address; returns the source that the server saw each time, or the error. */
  async dial(from: string, count = 1, how = ''): Promise<Seen[]> {
    this.#clients.stdin.write(`${from} ${count} ${how}\n`)
    const begin = this.#told
    const end = begin + count
    this.#told = end
    const lines = await waitFor(`${count} connections from ${from}`, () => {
      const told = this.#clients.lines.slice(begin, end)
      return told.length === count ? told : undefined
    })
    return lines.map((line) => JSON.parse(line) as Seen)
  }

  /** The source of a client's connection. */
  async source(from: string): Promise<string | undefined> {
    const [seen] = await this.dial(from)
    return seen?.seen
  }

  /** The first client with this source. */
  async clientOf(source: string): Promise<string> {
    for (let number = 0; number < 100; number += 1) {
      if ((await this.source(client(number))) === source) return client(number)
    }
    throw new Error(`no client has ${source}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#clients.stop('SIGKILL'), this.#server.stop('SIGKILL')])
    await this.#router[Symbol.asyncDispose]()
  }
}

/** Counts sources and errors. */
function tally(all: readonly Seen[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { seen, error } of all) {
    const what = seen ?? error ?? ''
    counts[what] = (counts[what] ?? 0) + 1
  }
  return counts
}

test.serial('a client keeps one source, and clients together use all', async (t) => {
  await using pool = await Pool.open({ localAddresses: others })
  const chosen: string[] = []
  for (let number = 0; number < 30; number += 1) {
    const sources = Object.keys(tally(await pool.dial(client(number), 5)))
    t.is(sources.length, 1, `${client(number)} comes from ${sources.join(', ')}`)
    chosen.push(...sources)
  }
  t.deepEqual([...new Set(chosen)].toSorted(), [...others])

  // Opens another relay with the sources in another order: each client gets the same source.
  await using again = await Pool.open({ localAddresses: others.toReversed() })
  for (const [number, source] of chosen.entries()) {
    t.is(await again.source(client(number)), source, client(number))
  }
  t.is((await pool.relay.stats()).localAddressFallbacks, 0)
})

test.serial('addresses of one network of clientPrefixLength share a source', async (t) => {
  await using pool = await Pool.open({ localAddresses: others })
  const seen = await Promise.all(
    Array.from({ length: 20 }, (_, host) => pool.dial(client(3, host + 1))),
  )
  t.is(Object.keys(tally(seen.flat())).length, 1)

  await using single = await Pool.open({ localAddresses: others, clientPrefixLength: 128 })
  const each = await Promise.all(
    Array.from({ length: 20 }, (_, host) => single.dial(client(3, host + 1))),
  )
  t.is(Object.keys(tally(each.flat())).length, others.length)
})

test.serial(
  'a source without free ports falls back to the next, so each adds its ports',
  async (t) => {
    await using pool = await Pool.open({ localAddresses: [one, two] })
    const before = await localPorts(`${FEW.first} ${FEW.last}`)
    try {
      const seen = await pool.dial(client(1), 2 * FEW_PORTS + 1)
      const [first] = seen
      const own = first?.seen ?? ''
      t.deepEqual(tally(seen), { [one]: FEW_PORTS, [two]: FEW_PORTS, ECONNREFUSED: 1 })
      t.deepEqual(tally(seen.slice(0, FEW_PORTS)), { [own]: FEW_PORTS })
      const stats = await pool.relay.stats()
      t.like(stats, { localAddressFallbacks: FEW_PORTS })
      t.is(stats.refused.byReason.exhausted, 1)
      for (const { port: from = 0 } of seen.slice(0, -1)) {
        t.true(from >= FEW.first && from <= FEW.last, String(from))
      }
    } finally {
      await localPorts(before)
    }
  },
)

test.serial('a source that the router loses is replaced until it returns', async (t) => {
  await using pool = await Pool.open({ localAddresses: [one, two] })
  const own = await pool.clientOf(one)
  await addressOfRouter('del', one)
  try {
    t.is(await pool.source(own), two)
    t.like(await pool.relay.stats(), { localAddressFallbacks: 1 })
  } finally {
    await addressOfRouter('add', one)
  }
  t.is(await pool.source(own), one)
})

test.serial('a source named by a rule is not replaced', async (t) => {
  const accessList = `::/0 permit 198.51.100.0/24 ${one}\n`
  await using pool = await Pool.open({ localAddresses: [two], accessList })
  t.is(await pool.source(client(1)), one)
  await addressOfRouter('del', one)
  try {
    t.deepEqual(tally(await pool.dial(client(1))), { ECONNREFUSED: 1 })
  } finally {
    await addressOfRouter('add', one)
  }
})

/** Number of ports that rresvport(3) uses. */
const PRIVILEGED = 424

test.serial('each source has 424 privileged ports towards a server, and no more', async (t) => {
  await using pool = await Pool.open({ localAddresses: [one, two], privilegedLocalPort: true })
  const seen = await pool.dial(client(1), 2 * PRIVILEGED + 1)
  t.deepEqual(tally(seen), { [one]: PRIVILEGED, [two]: PRIVILEGED, ECONNREFUSED: 1 })
  t.is((await pool.relay.stats()).refused.byReason.exhausted, 1)
  for (const source of [one, two]) {
    const ports = seen.filter(({ seen: from }) => from === source).map(({ port: from = 0 }) => from)
    t.deepEqual(
      ports.toSorted((a, b) => a - b),
      Array.from({ length: PRIVILEGED }, (_, place) => 600 + place),
    )
  }
})

test.serial('a privileged port in use is skipped, in every round', async (t) => {
  await using pool = await Pool.open({ localAddresses: [one], privilegedLocalPort: true })
  const kept = await pool.dial(client(1), 3)
  // Enough connections that the turn comes to each of these ports again.
  const passing = await pool.dial(client(2), PRIVILEGED + 10, 'close')
  t.deepEqual(tally(passing), { [one]: PRIVILEGED + 10 })
  const inUse = new Set(kept.map(({ port: from }) => from))
  t.false(passing.some(({ port: from }) => inUse.has(from)))
})

test.serial('one privileged port serves connections to different servers', async (t) => {
  await using first = await Pool.open({ localAddresses: [one], privilegedLocalPort: true })
  const before = await first.dial(client(1), PRIVILEGED)
  t.deepEqual(tally(before), { [one]: PRIVILEGED })
  await using second = await Pool.open({ localAddresses: [one], privilegedLocalPort: true })
  t.deepEqual(tally(await second.dial(client(1), 10)), { [one]: 10 })
})

test.serial('a privileged port with a local listener is skipped', async (t) => {
  const listener = lab.router.spawn('python3', ['-c', listenOn(1020)])
  await listener.line(/^listening/)
  try {
    await using pool = await Pool.open({ localAddresses: [one], privilegedLocalPort: true })
    const seen = await pool.dial(client(1), PRIVILEGED)
    t.deepEqual(tally(seen), { [one]: PRIVILEGED - 1, ECONNREFUSED: 1 })
    t.false(seen.some(({ port: from }) => from === 1020))
  } finally {
    await listener.stop('SIGKILL')
  }
})

function listenOn(local: number): string {
  return `
import socket, time
listening = socket.create_server(("", ${local}))
print("listening", flush=True)
time.sleep(1e6)
`
}
