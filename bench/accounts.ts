/**
 * Counts the CPU time of each party. The load, the server and the relay each run in a cgroup of their own, whose
 * `usage_usec` counts every thread and child to the microsecond, ended ones included. Where no cgroup can be made, the
 * run times of living threads (schedstat) are summed. These miss everything that has ended, above all the load. Clock
 * ticks, as in /proc/stat, are too coarse: at these rates a thread sleeps and wakes between two of them.
 *
 * The kernel often handles packets on the time of another thread that happens to run. So the relay's own time misses
 * part of the cost of its packets; the sum of everything, with ksoftirqd's threads, includes it.
 */
import { mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

export const parties = ['load', 'server', 'relay'] as const
export type Party = (typeof parties)[number]

/** CPU time in seconds; unknown parties are left out. */
export type CpuTime = Partial<Record<Party | 'kernel', number>>

const prefix = 'faithd-bench-'
/** Writes its own pid into the file named by its first argument, then executes the rest. */
const enter = 'echo $$ >"$0" && exec "$@"'

export class Accounts {
  /** The cgroup of this run; `undefined` if none could be made. */
  readonly #folder: string | undefined
  readonly #softirqThreads = kernelThreads('ksoftirqd/')
  /** Process ids of the started programs, for use without cgroups. */
  readonly #started = new Map<Party, number[]>(parties.map((party) => [party, []]))

  constructor() {
    this.#folder = makeFolder()
  }

  /** The method of counting CPU time, for the report. */
  get method(): string {
    return this.#folder === undefined ? 'schedstat' : 'cgroup v2 usage_usec'
  }

  /** Gives the command that runs a program on a party's account. */
  command(
    party: Party,
    command: string,
    args: readonly string[],
  ): [command: string, args: string[]] {
    if (this.#folder === undefined) return [command, [...args]]
    return ['sh', ['-c', enter, join(this.#folder, party, 'cgroup.procs'), command, ...args]]
  }

  /** Records a process started for a party. */
  started(party: Party, pid: number): void {
    this.#started.get(party)?.push(pid)
  }

  /** CPU time used so far. */
  usage(): CpuTime {
    const kernel = sum(this.#softirqThreads.map(threadTime))
    if (this.#folder === undefined) {
      const time = (party: Party) => sum(this.pids(party).map(processTime))
      return { server: time('server'), relay: time('relay'), kernel }
    }
    const [load, server, relay] = parties.map((party) => this.#groupTime(party))
    return { load: load ?? 0, server: server ?? 0, relay: relay ?? 0, kernel }
  }

  /** The processes of a party, children included. */
  pids(party: Party): number[] {
    if (this.#folder === undefined) return (this.#started.get(party) ?? []).flatMap(withChildren)
    return numbers(readFileSync(join(this.#folder, party, 'cgroup.procs'), 'utf8'))
  }

  /** Kills every process of every party at once. */
  killAll(): void {
    for (const party of parties) {
      for (const pid of this.pids(party)) kill(pid)
      this.#started.set(party, [])
    }
  }

  /** Removes the cgroups, and ends the processes still in them. */
  close(): void {
    if (this.#folder !== undefined) removeFolder(this.#folder)
  }

  #groupTime(party: Party): number {
    const text = readFileSync(join(this.#folder ?? '', party, 'cpu.stat'), 'utf8')
    return Number(/^usage_usec (\d+)$/m.exec(text)?.[1] ?? 0) / 1e6
  }
}

/** CPU time used between two readings. */
export function difference(before: CpuTime, after: CpuTime): CpuTime {
  const entries = Object.entries(after).map(([party, time]) => {
    return [party, time - (before[party as Party] ?? 0)]
  })
  return Object.fromEntries(entries) as CpuTime
}

/**
 * CPU time for one unit of work: `key` is that of the relay, if it has a process, and `key_all` that of the whole path.
 */
export function costs(key: string, cpu: CpuTime, units: number): Record<string, number> {
  const values: Record<string, number> = {}
  if (cpu.relay !== undefined && cpu.relay > 0) values[key] = cpu.relay / units
  const all = [cpu.load, cpu.server, cpu.relay, cpu.kernel]
  const known = all.filter((time) => time !== undefined)
  // Omits the sum if a party's time is unknown: the sum would look like a saving.
  if (known.length === all.length) values[`${key}_all`] = sum(known) / units
  return values
}

function makeFolder(): string | undefined {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const [, mount] = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(mounts) ?? []
  if (mount === undefined) return undefined
  for (const name of readdirSync(mount)) {
    if (name.startsWith(prefix) && !alive(Number(name.slice(prefix.length)))) {
      removeFolder(join(mount, name))
    }
  }
  const folder = join(mount, `${prefix}${process.pid}`)
  try {
    for (const party of parties) mkdirSync(join(folder, party), { recursive: true })
    return folder
  } catch {
    return undefined
  }
}

/** Waits for the killed processes to go: only an empty cgroup can be removed. */
function removeFolder(folder: string): void {
  const groups = [...parties.map((party) => join(folder, party)), folder]
  const deadline = performance.now() + 3_000
  for (const group of groups) {
    while (!removed(group) && performance.now() < deadline) {
      for (const pid of numbers(readOr(join(group, 'cgroup.procs'), ''))) kill(pid)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

function removed(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The process has ended by itself.
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Kernel threads with this name prefix; none outside the first pid namespace. */
function kernelThreads(name: string): number[] {
  return numbers(readdirSync('/proc').join(' ')).filter((pid) =>
    readOr(`/proc/${pid}/comm`, '').startsWith(name),
  )
}

function withChildren(pid: number): number[] {
  const threads = list(`/proc/${pid}/task`)
  const children = threads.flatMap((thread) =>
    numbers(readOr(`/proc/${pid}/task/${thread}/children`, '')),
  )
  return [pid, ...children.flatMap(withChildren)]
}

function processTime(pid: number): number {
  return sum(list(`/proc/${pid}/task`).map(Number).map(threadTime))
}

/** The first number of schedstat: nanoseconds on a CPU. */
function threadTime(thread: number): number {
  const [nanoseconds = '0'] = readOr(`/proc/${thread}/schedstat`, '0').split(' ')
  return Number(nanoseconds) / 1e9
}

function readOr(file: string, fallback: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return fallback
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const numbers = (text: string) => (text.match(/\b\d+\b/g) ?? []).map(Number)
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
