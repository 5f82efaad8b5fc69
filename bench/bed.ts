/**
 * The place of one sitting: a lab of its own with the server's programs, the subject on the router, and accounts of
 * CPU time. Each sitting gets a new one, so that no connection in TIME_WAIT, no grown pool and no warm cache passes
 * from one subject to the next.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { basename } from 'node:path'

import { addresses, captured, createLab, faithPrefix, waitFor } from '../lab/index.js'
import type { Host, Lab, LabOptions, LabProcess } from '../lab/index.js'
import { difference } from './accounts.js'
import type { Accounts, CpuTime, Party } from './accounts.js'
import type { Programs } from './compile.js'
import type { Machine } from './machine.js'

/** Ports of the server and of every relay: for iperf3, for transfers of a given size, and for small exchanges. */
export const iperfPort = 5201
export const transferPort = 5202
/** UDP ports of the server: for queries, that of DNS, and for bulk. */
export const queryPort = 53
export const datagramPort = 5204
export const quicPort = 5205
export const httpPorts = [8000, 8001, 8002, 8003] as const
export const relayedPorts = [iperfPort, transferPort, ...httpPorts] as const
/** The same ports in the form of a program's option. */
const httpPortRange = `${httpPorts[0]}-${httpPorts.at(-1)}`
/** Addresses of the server; each gives a client another 60,000 ports. */
export const serverAddresses = [addresses.server, addresses.serverSecond] as const
/** The address whose port 53 is a name server's, where a work item starts one. The other one answers our own queries. */
export const nameServerAddress = serverAddresses[1]

/** The part of a subject that a bed uses. */
export interface Occupant {
  /** The kind of the subject; with `node` the subject itself is the server that the client dials. */
  kind: string
  /** The lab it needs, if not the usual one. */
  lab?: LabOptions
  /** Maximum number of sessions it can hold, for example because each costs a process. */
  sessionsAtMost?: number
  /**
   * Gives the address that the client dials to reach an IPv4 address; default: the address inside the well-known
   * prefix.
   */
  dial?(ipv4: string): string
  /** Sets the subject up on the router. */
  start(bed: Bed): void | Promise<void>
  /** Waits until the subject answers; by default the bed finds out by itself. */
  answers?(bed: Bed): Promise<void>
}

/** A part of a work item for which CPU time was counted. */
export interface Phase {
  name: string
  seconds: number
  /** CPUs used on average. */
  cpus: CpuTime
  /** Our own programs that used at least 95 % of the CPUs they can use: the figure is then theirs. */
  saturated: Party[]
}

/** Threads of the load's and the server's program in a phase. */
export interface Threads {
  load: number
  server: number
}

const saturation = 0.95
const complaint = /alert|emerg|error|cannot|fatal| E /i

export class Bed implements AsyncDisposable {
  readonly lab: Lab
  readonly subject: Occupant
  readonly machine: Machine
  readonly programs: Programs
  readonly accounts: Accounts
  readonly phases: Phase[] = []
  readonly #watch: Tools['watch']

  /** Processes that must not end before they are told to, with their program's name. */
  readonly #running: [program: string, process: LabProcess][] = []

  private constructor(lab: Lab, subject: Occupant, tools: Tools) {
    this.lab = lab
    this.subject = subject
    this.machine = tools.machine
    this.programs = tools.programs
    this.accounts = tools.accounts
    this.#watch = tools.watch
  }

  /** Makes a lab, passes it to `made` at once, and starts server and subject. */
  static async make(
    { subject, work }: { subject: Occupant; work: { lab?: LabOptions } },
    tools: Tools,
    made: (bed: Bed) => void,
  ): Promise<Bed> {
    const lab = await createLab({ ...subject.lab, ...work.lab })
    const bed = new Bed(lab, subject, tools)
    made(bed)
    try {
      await bed.#setCongestionControl(tools.congestion)
      // Resolvers have a name server of their own, at the port of its datagrams.
      if (subject.kind !== 'node' && subject.kind !== 'resolvers') await bed.#startServer()
      await subject.start(bed)
      await (subject.answers?.(bed) ?? bed.#answers())
      return bed
    } catch (error) {
      await bed.close()
      throw error
    }
  }

  /** Addresses that the client dials for small exchanges, each as `[address]:port`. */
  get targets(): string[] {
    return serverAddresses.flatMap((address) =>
      httpPorts.map((port) => `[${this.dial(address)}]:${port}`),
    )
  }

  /** Threads of our own programs: enough to outrun a relay, few enough to leave it its cores. */
  get threads(): Threads {
    const some = Math.min(4, Math.max(1, Math.floor(this.machine.cores / 4)))
    return { load: some, server: some }
  }

  dial(ipv4: string): string {
    return this.subject.dial?.(ipv4) ?? captured(ipv4)
  }

  /** Starts a program of the relay on the router. */
  relay(command: string, args: readonly string[] = []): LabProcess {
    return this.#start('relay', this.lab.router, command, args)
  }

  /** Starts a program of the server. */
  serve(command: string, args: readonly string[] = []): LabProcess {
    return this.#start('server', this.lab.server, command, args)
  }

  /** Starts a program of the load on the client. */
  load(command: string, args: readonly string[] = []): LabProcess {
    return this.#start('load', this.lab.client, command, args)
  }

  /** Runs a set-up command on a host; throws when it fails. */
  async configure(host: Host, command: string, args: readonly string[]): Promise<void> {
    const { code, stderr } = await host.run(command, args)
    if (code !== 0) throw new Error(`${[command, ...args].join(' ')}: ${stderr.trim()}`)
  }

  /** Makes all addresses that clients dial local on the router, so that programs can listen on them. */
  async localRoute(prefix: string = faithPrefix): Promise<void> {
    const command = `-6 route add local ${prefix} dev lo`
    await this.configure(this.lab.router, 'ip', command.split(' '))
    await this.setSysctl(this.lab.router, 'net/ipv6/ip_nonlocal_bind', 1)
  }

  /** Sets one value below /proc/sys/net for one host. */
  async setSysctl(host: Host, path: string, value: number | string): Promise<void> {
    await this.configure(host, 'sh', ['-c', `echo ${value} >/proc/sys/${path}`])
  }

  /** Counts the CPU time of all parties during `work`. */
  async phase<T>(name: string, threads: Threads, work: () => Promise<T>): Promise<[T, CpuTime]> {
    const watched = await this.#watch?.(name)
    try {
      return await this.#counted(name, threads, work)
    } finally {
      await watched?.()
    }
  }

  async #counted<T>(name: string, threads: Threads, work: () => Promise<T>): Promise<[T, CpuTime]> {
    const before = this.accounts.usage()
    const start = performance.now()
    const result = await work()
    const seconds = (performance.now() - start) / 1000
    const used = difference(before, this.accounts.usage())
    const cpus = Object.fromEntries(
      Object.entries(used).map(([party, time]) => [party, time / seconds]),
    ) as CpuTime
    const saturated = (['load', 'server'] as const).filter(
      (party) => (cpus[party] ?? 0) >= saturation * threads[party],
    )
    this.phases.push({ name, seconds, cpus, saturated })
    return [result, used]
  }

  /** Memory and descriptors of the relay; zeros without a process. */
  footprint(): Footprint {
    const pids = this.accounts.pids('relay')
    // Counts pages shared by several processes once.
    const field = pids.length === 1 ? /^Rss:\s+(\d+) kB$/m : /^Pss:\s+(\d+) kB$/m
    const footprint = { processes: pids.length, bytes: 0, descriptors: 0 }
    for (const pid of pids) {
      try {
        const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
        footprint.bytes += Number(field.exec(rollup)?.[1] ?? 0) * 1024
        footprint.descriptors += readdirSync(`/proc/${pid}/fd`).length
      } catch {
        // The process has ended together with its connection.
      }
    }
    return footprint
  }

  /** Throws when a program that should run has ended. */
  check(): void {
    for (const [program, process] of this.#running) {
      if (!process.running) throw new Error(`${program} has ended${this.#said(process)}`)
    }
  }

  async close(): Promise<void> {
    this.accounts.killAll()
    await this.lab.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #setCongestionControl(name: string): Promise<void> {
    const { client, router, server } = this.lab
    for (const host of [client, router, server]) {
      await this.setSysctl(host, 'net/ipv4/tcp_congestion_control', name)
    }
  }

  async #startServer(): Promise<void> {
    const args = ['--ports', httpPortRange, '--threads', String(this.threads.server)]
    const { server } = this.lab
    const http = this.#start('server', server, this.programs.httpServer, args)
    this.#start('server', server, 'iperf3', ['-s', '-p', String(iperfPort)])
    const datagrams = [
      '--serve',
      queryPort,
      '--bulk',
      datagramPort,
      '--address',
      serverAddresses[0],
    ]
    const udp = this.#start('server', server, this.programs.udpLoad, datagrams.map(String))
    const transfer = ['--serve', String(transferPort)]
    await this.#start('server', server, this.programs.transfer, transfer).line(/^listening$/)
    await http.line(/^listening$/)
    await udp.line(/^listening$/)
    await waitFor('iperf3 to listen', () => server.listening(iperfPort))
  }

  /** Waits until every target answers through the subject. */
  async #answers(): Promise<void> {
    const { kind } = this.subject
    const size = kind === 'node' ? ['--http', '0', '--reply', '100'] : []
    const target = ['--target', this.dial(serverAddresses[0]), '--query', String(queryPort)]
    const [program, targets] =
      kind === 'datagrams'
        ? [this.programs.udpLoad, target]
        : [this.programs.tcpLoad, ['--targets', this.targets.join(' '), ...size]]
    const waiting = this.load(program, ['--mode', 'wait', '--seconds', '10', ...targets])
    await Promise.race([waiting.exited, ...this.#running.map(([, process]) => process.exited)])
    this.check()
    if ((await waiting.exited).code === 0) return
    const said = this.#running.map(([, process]) => this.#said(process))
    throw new Error(`${waiting.stderr.trim()}${said.join('')}`)
  }

  /** The first complaint of a program, or its last line. Paths are removed, because it goes into the report. */
  #said({ lines }: LabProcess): string {
    const said = lines.find((line) => complaint.test(line)) ?? lines.at(-1)
    return said === undefined ? '' : `: ${said.replaceAll(`${this.lab.directory}/`, '').trim()}`
  }

  #start(party: Party, host: Host, command: string, args: readonly string[]): LabProcess {
    const started = host.spawn(...this.accounts.command(party, command, args))
    this.accounts.started(party, started.pid)
    if (party !== 'load') this.#running.push([basename(command), started])
    return started
  }
}

/** The inputs for making a bed. */
export interface Tools {
  machine: Machine
  congestion: string
  programs: Programs
  accounts: Accounts
  /** Called when a phase begins; it returns the function to call when the phase ends. */
  watch?: (phase: string) => Promise<() => Promise<void>>
}

export interface Footprint {
  processes: number
  bytes: number
  descriptors: number
}
