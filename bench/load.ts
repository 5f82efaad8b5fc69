/** The loads: our own programs for connections, small exchanges and so many bytes, iperf3 for bulk. */
import type { LabProcess } from '../lab/index.js'
import { iperfPort, serverAddresses, transferPort } from './bed.js'
import type { Bed } from './bed.js'
import type { CpuTime } from './accounts.js'

/** How long each of many took, in microseconds. */
export interface Times {
  count: number
  p50: number
  p90: number
  p99: number
  max: number
}

/** What tcp-load prints. */
export interface ExchangeResult {
  connections: number
  seconds: number
  exchanges: number
  errors: number
  /** How many failed for which reason, by errno's name. */
  reasons: Record<string, number>
  connect: Times | null
  exchange: Times | null
  /** From connect() to the reply, where each connection has one exchange. */
  whole: Times | null
  cpu: CpuTime
}

export interface ExchangeOptions {
  /** `close`: a connection for each exchange. `keep`: exchange after exchange on the same ones. */
  mode: 'close' | 'keep'
  connections: number
  seconds: number
  /** With `close`, who does; the server unless told otherwise. */
  closes?: 'client'
  /** Seconds before anything is counted; 0.2. */
  warmup?: number
  /** Against an echo instead of the HTTP server: bytes of each message. */
  echo?: number
}

/** More failures than one in a thousand, and the figure is of something else. */
const tolerated = 1e-3

/** Small exchanges, as fast as they go. */
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

/** Exchanges in a second. */
export function rate({ exchanges: count, seconds }: ExchangeResult): number {
  return count / seconds
}

/** Times of something that must have happened. */
export function times(of: Times | null): Times {
  if (of === null) throw new Error('nothing was timed')
  return of
}

export type Direction = 'up' | 'down' | 'both'

export interface BulkResult {
  /** Received, in all directions together. */
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

/** As many bytes as fit, over some flows. */
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
  // iperf3 of Debian has one thread, whatever the number of flows.
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

/** How long it takes until so many bytes have come, over a new connection each time; milliseconds. */
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

/** iperf3 counts whole seconds. */
export function bulkSeconds(seconds: number): number {
  return Math.max(1, Math.round(seconds))
}

/** Sessions that are open and do nothing. */
export class HeldSessions {
  readonly count: number
  readonly #process: LabProcess

  private constructor(count: number, process: LabProcess) {
    this.count = count
    this.#process = process
  }

  /** Opens them, with one exchange on each. */
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

  /** Tries each once more, and closes it; an error when one of them had been lost. */
  async release(): Promise<void> {
    const { alive } = JSON.parse(await finished(this.#process, 60, /^\{/)) as { alive: number }
    if (alive !== this.count) {
      throw new Error(`${this.count - alive} of ${this.count} idle sessions were lost`)
    }
  }
}

/** Ends the input of a program and waits for its end; what it printed, or the line that matches. */
async function finished(process: LabProcess, seconds: number, line?: RegExp): Promise<string> {
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
