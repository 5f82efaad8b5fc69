/** Blocks of source ports for clients, as a server sees the ports. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab, LabProcess } from '../../lab/index.js'
import * as schemas from '../../cli/control/schemas.js'
import { Control } from '../fixtures/control.js'
import { sumOf } from '../fixtures/exposition.js'
import { permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { floodEnded, returnForged, startFlood } from '../fixtures/flood.js'

const faithctl = fileURLToPath(new URL('../../dist/cli/faithctl.js', import.meta.url))
const mirror = fileURLToPath(new URL('../programs/mirror.py', import.meta.url))

/** The source addresses, each of one test. */
const source = (number: number): string => `198.51.100.${20 + number}`

let lab: Lab

test.before(async () => {
  lab = await createLab()
  for (let number = 1; number < 10; number += 1) {
    await run(lab.router, 'ip', 'addr', 'add', `${source(number)}/24`, 'dev', 'wan0')
  }
  // Gives the client every network used below.
  await run(lab.client, 'ip', '-6', 'route', 'add', 'local', '2001:db8:e000::/36', 'dev', 'lo')
  const way = ['via', addresses.client]
  await run(lab.router, 'ip', '-6', 'route', 'add', '2001:db8:e000::/36', ...way)
  await returnForged(lab)
})

test.after.always(() => lab.close())

async function run(host: Host, command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** An address of the nth client, in its own network of length 64. */
function client(number: number): string {
  return `2001:db8:e000:${number.toString(16)}::1`
}

interface Seen {
  from: string
  seen?: string
  port?: number
  error?: string
}

/** A faithd with blocks of ports, a server behind it that reports its peers, and clients at many addresses. */
class Stage implements AsyncDisposable {
  readonly faithd: Faithd
  readonly #metrics: number
  readonly #server: LabProcess
  readonly #dial: string[]
  readonly #clients: LabProcess
  #told = 0

  private constructor(faithd: Faithd, metrics: number, server: LabProcess, dial: string[]) {
    this.faithd = faithd
    this.#metrics = metrics
    this.#server = server
    this.#dial = dial
    this.#clients = this.dialler()
  }

  static async open(number: number, ...args: string[]): Promise<Stage> {
    const port = 7900 + number
    const metrics = 9600 + number
    const server = lab.server.spawn('python3', [mirror, 'serve', String(port)])
    await server.line(/^serving/)
    const options = ['--source', source(number), '--metrics', `127.0.0.1:${metrics}`, ...args]
    const place = { name: `blocks${number}`, prefix: `3fff:${number}::` }
    const faithd = await startFaithd(lab, [...permitted, ...options], 'by itself', place)
    const dial = [mirror, 'dial', faithd.address(), String(port)]
    return new Stage(faithd, metrics, server, dial)
  }

  /** Starts a further process of clients, which keeps its connections until it ends. */
  dialler(): LabProcess {
    return lab.client.spawn('python3', this.#dial)
  }

  /** Connects that many times from an address, and gives what the server saw each time, or the error. */
  async dial(from: string, count = 1, how = ''): Promise<Seen[]> {
    this.#clients.stdin.write(`${from} ${count} ${how}\n`)
    const begin = this.#told
    this.#told += count
    const lines = await waitFor(`${count} connections from ${from}`, () => {
      const told = this.#clients.lines.slice(begin, begin + count)
      return told.length === count ? told : undefined
    })
    return lines.map((line) => JSON.parse(line) as Seen)
  }

  /** Sums up a metric. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const text = await run(lab.router, 'curl', '-sS', `http://127.0.0.1:${this.#metrics}/metrics`)
    return sumOf(text, name, labels)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.faithd.process.kill('SIGKILL')
    await Promise.all([
      this.#clients.stop('SIGKILL'),
      this.#server.stop('SIGKILL'),
      this.faithd.process.exited,
    ])
  }
}

/** The ports that the server saw. */
function portsOf(seen: readonly Seen[]): number[] {
  return seen.flatMap(({ port }) => (port === undefined ? [] : [port]))
}

/** The first and the last port that the router connects from. */
async function localPorts(): Promise<[first: number, last: number]> {
  const range = await run(lab.router, 'sysctl', '-n', 'net.ipv4.ip_local_port_range')
  return range.trim().split(/\s+/).map(Number) as [number, number]
}

/** The numbers of the blocks that ports are in. */
async function blocksOf(ports: readonly number[], size: number): Promise<Set<number>> {
  const [first] = await localPorts()
  return new Set(ports.map((port) => Math.floor((port - first) / size)))
}

test('1000 connections of five clients come from blocks of their own', async (t) => {
  await using stage = await Stage.open(1, '--port-block', '64', '--port-blocks-per-client', '4')
  const owners = new Map<number, string>()
  for (let number = 1; number <= 5; number += 1) {
    const seen = await stage.dial(client(number), 200)
    t.true(seen.every((one) => one.seen === source(1)))
    const ports = portsOf(seen)
    t.is(new Set(ports).size, 200)
    const blocks = await blocksOf(ports, 64)
    t.is(blocks.size, 4, `${client(number)}: ${[...blocks].join(' ')}`)
    for (const block of blocks) {
      t.is(owners.get(block), undefined)
      owners.set(block, client(number))
    }
  }
  t.is(await stage.metric('faithd_sessions'), 1000)
  const labels = { source: source(1) }
  t.is(await stage.metric('faithd_ports_used', labels), 1000)
  const [lowest, highest] = await localPorts()
  const all = highest - lowest + 1
  t.is(await stage.metric('faithd_ports_limit', labels), all)
  t.is(await stage.metric('faithd_port_blocks', labels), 20)
  t.is(await stage.metric('faithd_port_blocks_limit', labels), Math.floor(all / 64))
  t.is(await stage.metric('faithd_refusals_total'), 0)
})

test('a client whose blocks have no port left is refused, and others are not', async (t) => {
  await using stage = await Stage.open(2, '--port-block', '8', '--port-blocks-per-client', '2')
  const seen = await stage.dial(client(1), 20)
  t.deepEqual(seen.map(({ error }) => error).filter(Boolean), Array(4).fill('ECONNREFUSED'))
  t.is(portsOf(seen).length, 16)
  t.is(portsOf(await stage.dial(client(2), 16)).length, 16)
  t.like(await stage.faithd.refusal(() => true), {
    reason: 'limit',
    cause: 'max-ports-per-client',
  })
  t.is(await stage.metric('faithd_refusals_total', { reason: 'max-ports-per-client' }), 4)
  t.is(await stage.metric('faithd_refusals_total'), 4)
})

test('the control socket and faithctl tell the blocks of each client', async (t) => {
  const control = new Control(lab.router, join(lab.directory, 'blocks.sock'))
  await using stage = await Stage.open(8, '--port-block', '8', '--control', control.path)
  t.is(portsOf(await stage.dial(client(1), 20)).length, 20)
  t.is(portsOf(await stage.dial(client(2))).length, 1)
  const blocks = async (query = '') => {
    const { clients } = schemas.clients.parse((await control.get(`/v1/clients${query}`)).json)
    return clients.map(({ network, sessions, portBlocks }) => [network, sessions, portBlocks])
  }
  const networkOf = (number: number) => `${client(number).replace(/1$/, '')}/64`
  t.deepEqual(await blocks(), [
    [networkOf(1), 20, 3],
    [networkOf(2), 1, 1],
  ])
  t.deepEqual(await blocks('?prefixLength=36'), [['2001:db8:e000::/36', 21, 4]])
  t.deepEqual(await blocks('?prefixLength=128'), [
    [`${client(1)}/128`, 20, 3],
    [`${client(2)}/128`, 1, 1],
  ])
  const asked = [faithctl, '--control', control.path, 'clients']
  t.regex(await run(lab.router, process.execPath, ...asked), /^CLIENT .* BLOCKS/)
  t.is(await stage.metric('faithd_port_blocks'), 4)
})

test('short connections of a client come from one block, again and again', async (t) => {
  await using stage = await Stage.open(3, '--port-block', '128')
  const ports = portsOf(await stage.dial(client(1), 100, 'close'))
  t.is(ports.length, 100)
  t.is((await blocksOf(ports, 128)).size, 1)
})

// The tests below change this setting of the whole router, so they run alone.
async function setLocalPorts(first: number, last: number): Promise<void> {
  await run(lab.router, 'sysctl', '-qw', `net.ipv4.ip_local_port_range=${first} ${last}`)
}

test.serial('a new client is refused while every block is another’s', async (t) => {
  await using stage = await Stage.open(4, '--port-block', '512', '--port-block-rest', '1')
  const before = await localPorts()
  await setLocalPorts(40_000, 41_199)
  try {
    const leaving = stage.dialler()
    leaving.stdin.write(`${client(1)} 1\n`)
    const first = JSON.parse(await leaving.line(/^\{/)) as Seen
    const [second] = await stage.dial(client(2))
    const taken = portsOf([first, ...(second === undefined ? [] : [second])])
    t.deepEqual([...(await blocksOf(taken, 512))].toSorted(), [0, 1])
    // The client was accepted first, so that a forged SYN takes no block.
    const third = async () => (await stage.dial(client(3)))[0]
    t.is((await third())?.error, 'ECONNRESET')
    t.like(await stage.faithd.refusal(() => true), {
      reason: 'exhausted',
      cause: 'no-port-block',
    })
    // A client that has a block gets further ports of it.
    t.is(portsOf(await stage.dial(client(2), 10)).length, 10)
    await leaving.stop('SIGKILL')
    const seen = await waitFor('a block to be released', async () => {
      const one = await third()
      return one?.port
    })
    t.deepEqual(await blocksOf([seen], 512), await blocksOf(portsOf([first]), 512))
  } finally {
    await setLocalPorts(...before)
  }
})

test.serial('connections stay in their block when the host’s range leaves it', async (t) => {
  await using stage = await Stage.open(5, '--port-block', '64')
  const before = await localPorts()
  try {
    await setLocalPorts(40_000, 50_000)
    const first = portsOf(await stage.dial(client(1), 3))
    await setLocalPorts(20_000, 30_000)
    const ports = portsOf(await stage.dial(client(1), 50))
    t.is(ports.length, 50)
    t.true(Math.max(...first, ...ports) - Math.min(...first, ...ports) < 64)
    t.true(Math.min(...ports) >= 40_000)
  } finally {
    await setLocalPorts(...before)
  }
})

test('forged SYNs take no blocks', async (t) => {
  await using stage = await Stage.open(6, '--port-block', '1024', '--port-blocks-per-client', '1')
  const address = stage.faithd.address()
  await floodEnded(startFlood(lab.client, { address, port: 7906, networks: 150, count: 3000 }))
  t.is(await stage.metric('faithd_port_blocks'), 0)
  t.is(portsOf(await stage.dial(client(1), 10)).length, 10)
  t.is(await stage.metric('faithd_port_blocks'), 1)
})

/** Runs a faithd that does not start. */
const start = async (...args: string[]) =>
  await runFaithd(lab, ['-k', '-i', 'noblocks', '-P', '3fff:f::/96', ...args])

test('blocks without a source, or with privileged ports, keep faithd from starting', async (t) => {
  const without = await start('--port-block', '512')
  t.is(without.code, 64)
  t.regex(without.stderr, /port-block needs source/)
  const both = await start('--port-block', '512', '--source', source(7), '-p')
  t.is(both.code, 64)
  t.regex(both.stderr, /port-block does not go with privileged-source/)
  const large = await start('--port-block', '65535', '--source', source(7))
  t.regex(
    large.stderr,
    /cannot give clients blocks of 65535 ports: net\.ipv4\.ip_local_port_range has \d+ ports/,
  )
  t.not(large.code, 0)
})
