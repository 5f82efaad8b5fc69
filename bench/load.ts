/** The loads: our own programs for connections, small exchanges and transfers of a given size; iperf3 for bulk. */
import type { LabProcess } from '../lab/index.js'
import { datagramPort, iperfPort, queryPort, serverAddresses, transferPort } from './bed.js'
import type { Bed } from './bed.js'
import type { CpuTime } from './accounts.js'

/** Durations of many events, in microseconds. */
export interface Times {
  count: number
  p50: number
  p90: number
  p99: number
  max: number
}

/** The output of tcp-load. */
export interface ExchangeResult {
  connections: number
  seconds: number
  exchanges: number
  errors: number
  /** Failures by reason, as errno's name. */
  reasons: Record<string, number>
  connect: Times | null
  exchange: Times | null
  /** From connect() to the reply, if each connection has one exchange. */
  whole: Times | null
  cpu: CpuTime
}

export interface ExchangeOptions {
  /** `close`: one connection for each exchange. `keep`: many exchanges on the same connections. */
  mode: 'close' | 'keep'
  connections: number
  seconds: number
  /** With `close`: the side that closes; default: the server. */
  closes?: 'client'
  /** Seconds before counting starts; default 0.2. */
  warmup?: number
  /** Bytes of each message to an echo; without it, the load talks to the HTTP server. */
  echo?: number
}

/** Maximum share of failures. Above one in a thousand, the figure measures something else. */
const tolerated = 1e-3

/** Runs small exchanges at the highest rate. */
export async function exchanges(
  bed: Bed,
  phase: string,
  options: ExchangeOptions,
): Promise<ExchangeResult> {
  const { mode, connections, seconds, closes = 'server', warmup = 0.2, echo } = options
  const sizes = echo === undefined ? [] : ['--http', 0, '--request', echo, '--reply', echo]
  const limits = ['--connections', connections, '--seconds', seconds, '--warmup', warmup]
  const common = ['--mode', mode, '--targets', bed.targets.join(' '), '--closes', closes]
  const args = [...common, ...limits, '--threads', bed.threads.load, ...sizes].map(String)
  const [output, cpu] = await bed.phase(phase, bed.threads, async () => {
    return await finished(bed.load(bed.programs.tcpLoad, args), seconds + 60)
  })
  const result = { ...(JSON.parse(output) as Omit<ExchangeResult, 'cpu'>), cpu }
  bed.check()
  if (result.exchanges === 0 || result.errors > tolerated * result.exchanges) {
    const reasons = Object.entries(result.reasons).map(([reason, count]) => `${count} ${reason}`)
    throw new Error(
      `${phase}: ${result.errors} of ${result.exchanges + result.errors} exchanges failed: ${reasons.join(', ')}`,
    )
  }
  return result
}

/** Exchanges per second. */
export function rate({ exchanges: count, seconds }: ExchangeResult): number {
  return count / seconds
}

/** Returns the times; throws if nothing was timed. */
export function times(of: Times | null): Times {
  if (of === null) throw new Error('nothing was timed')
  return of
}

export type Direction = 'up' | 'down' | 'both'

export interface BulkResult {
  /** Received bits, all directions together. */
  gigabits: number
  gigabytes: number
  cpu: CpuTime
}

interface IperfSum {
  bytes: number
  bits_per_second: number
}

interface IperfReport {
  error?: string
  end: { sum_received: IperfSum; sum_received_bidir_reverse?: IperfSum }
}

const directionOption = { up: [], down: ['-R'], both: ['--bidir'] } as const

/** Moves as many bytes as possible over some flows. */
export async function bulk(
  bed: Bed,
  flows: number,
  direction: Direction,
  seconds: number,
): Promise<BulkResult> {
  const whole = bulkSeconds(seconds)
  const args = ['-c', bed.dial(serverAddresses[0]), '-p', iperfPort, '-t', whole, '-P', flows, '-J']
  const all = [...args, ...directionOption[direction]].map(String)
  const name = `${flows} ${flows === 1 ? 'flow' : 'flows'} ${direction}`
  // Debian's iperf3 has one thread, independent of the number of flows.
  const [output, cpu] = await bed.phase(name, { load: 1, server: 1 }, async () => {
    return await finished(bed.load('iperf3', all), whole + 30)
  })
  bed.check()
  const { end, error } = JSON.parse(output) as IperfReport
  if (error !== undefined) throw new Error(`${name}: iperf3: ${error}`)
  const { sum_received: one, sum_received_bidir_reverse: other } = end
  return {
    gigabits: (one.bits_per_second + (other?.bits_per_second ?? 0)) / 1e9,
    gigabytes: (one.bytes + (other?.bytes ?? 0)) / 1e9,
    cpu,
  }
}

export type Way = Exclude<Direction, 'both'>

/** Times in milliseconds until all bytes have arrived, each over a new connection. */
export async function transfers(
  bed: Bed,
  way: Way,
  bytes: number,
  count: number,
): Promise<number[]> {
  const where = ['--target', bed.dial(serverAddresses[0]), '--port', transferPort]
  const args = [...where, '--way', way, '--bytes', bytes, '--times', count].map(String)
  const name = `${bytes / 1e6} MB ${way}`
  const [output] = await bed.phase(name, { load: 1, server: 1 }, async () => {
    return await finished(bed.load(bed.programs.transfer, args), 60)
  })
  bed.check()
  return (JSON.parse(output) as { times: number[] }).times
}

/** The output of udp-load for queries. */
export interface QueryResult {
  seconds: number
  answers: number
  /** Queries without an answer for a second. */
  lost: number
  query: Times | null
}

/** Asks small questions at the highest rate, 64 at a time. With `fresh`, each comes from a port of its own. */
export async function queries(
  bed: Bed,
  mode: 'keep' | 'fresh',
  seconds: number,
): Promise<QueryResult> {
  const name = mode === 'keep' ? 'queries' : 'queries, each from a port of its own'
  const [output] = await datagrams(bed, name, ['--query', queryPort, '--mode', mode], seconds)
  const result = JSON.parse(output) as QueryResult
  if (result.answers === 0 || result.lost > tolerated * result.answers) {
    throw new Error(`${name}: ${result.lost} lost, ${result.answers} answered`)
  }
  return result
}

export interface DatagramResult {
  gigabits: number
  gigabytes: number
  cpu: CpuTime
}

/** Moves as many datagrams of 1,400 bytes as possible; `packed` ones pass the kernel 46 at a time. */
export async function datagramBulk(
  bed: Bed,
  way: Way,
  packed: boolean,
  seconds: number,
): Promise<DatagramResult> {
  const name = `${packed ? 'packed' : 'single'} datagrams ${way}`
  const what = ['--bulk', datagramPort, '--mode', way, '--segment', packed ? 1 : 0]
  const [output, cpu] = await datagrams(bed, name, what, seconds)
  const { bytes, seconds: took } = JSON.parse(output) as { bytes: number; seconds: number }
  if (bytes === 0) throw new Error(`${name}: none arrived`)
  return { gigabits: (bytes * 8) / took / 1e9, gigabytes: bytes / 1e9, cpu }
}

async function datagrams(
  bed: Bed,
  name: string,
  what: readonly (string | number)[],
  seconds: number,
): Promise<[string, CpuTime]> {
  const args = ['--target', bed.dial(serverAddresses[0]), '--seconds', seconds, ...what].map(String)
  const result = await bed.phase(name, { load: 1, server: 1 }, async () => {
    return await finished(bed.load(bed.programs.udpLoad, args), seconds + 30)
  })
  bed.check()
  return result
}

/** Rounds to whole seconds, as iperf3 needs. */
export function bulkSeconds(seconds: number): number {
  return Math.max(1, Math.round(seconds))
}

/** Open sessions that do nothing. */
export class HeldSessions {
  readonly count: number
  readonly #process: LabProcess

  private constructor(count: number, process: LabProcess) {
    this.count = count
    this.#process = process
  }

  /** Opens the sessions, with one exchange on each. */
  static async open(bed: Bed, count: number): Promise<HeldSessions> {
    const what = ['--mode', 'hold', '--connections', String(count)]
    const process = bed.load(bed.programs.tcpLoad, [...what, '--targets', bed.targets.join(' ')])
    const line = await process.line(/^held \d+$/, { timeout: 60_000 })
    const held = Number(line.split(' ')[1])
    if (held !== count) {
      process.stdin.end()
      await process.exited
      throw new Error(`only ${held} of ${count} sessions could be opened: ${process.stdout}`)
    }
    bed.check()
    return new HeldSessions(count, process)
  }

  /** Uses each session once more and closes it; throws if one was lost. */
  async release(): Promise<void> {
    const { alive } = JSON.parse(await finished(this.#process, 60, /^\{/)) as { alive: number }
    if (alive !== this.count) {
      throw new Error(`${this.count - alive} of ${this.count} idle sessions were lost`)
    }
  }
}

/** Ends a program's input and waits for its end. Returns its output, or the line that matches. */
export async function finished(
  process: LabProcess,
  seconds: number,
  line?: RegExp,
): Promise<string> {
  process.stdin.end()
  const timer = setTimeout(() => void process.stop('SIGKILL'), seconds * 1000)
  const { code, signal } = await process.exited
  clearTimeout(timer)
  if (code !== 0 && !process.stdout.startsWith('{')) {
    const why = signal === 'SIGKILL' ? `still running after ${seconds} s` : (signal ?? code)
    throw new Error(`${process.command}: ended with ${why}: ${process.stderr.trim()}`)
  }
  if (line === undefined) return process.stdout
  return process.lines.find((text) => line.test(text)) ?? ''
}
