/**
 * The spec's side of the driver: each object here stands for an object of the library, or for a socket, in a process
 * inside a host of the lab.
 */
import {
  FaithError,
  type FaithInterfaceEvents,
  type FaithAccessQuestion,
  type FaithConnectOptions,
  type FaithInterfaceOptions,
  type FaithInterfaceStats,
  type FaithListenerEvents,
  type FaithListenOptions,
  type FaithClient,
  type FaithClientsOptions,
  type FaithLiveSession,
  type FaithSessionDetail,
  type FaithRelayEvents,
  type FaithPermission,
  type FaithRelayOptions,
  type FaithRelayStats,
  type FaithRelayUpdate,
  type FaithSpliceEnd,
  type FaithSpliceServer,
} from '../../index.js'
import { fileURLToPath } from 'node:url'
import { nodeCommand, waitFor, type Exit, type Host, type LabProcess } from '../../lab/index.js'
import type { Arrived } from '../../lab/programs/stream.js'
import type { Identity, Kind } from './attach-verbs.js'
import type { SentError, Verbs } from './driver.js'
import type { Accepted, Greeting } from './faith-verbs.js'
import type { Route } from './route-verbs.js'

export type { Accepted, Greeting }

const driver = fileURLToPath(new URL('driver.ts', import.meta.url))
const driverInThread = fileURLToPath(new URL('driver-in-thread.ts', import.meta.url))

/** Rebuilds an error that the other process threw. */
function revive({ name, message, code, ...details }: SentError): Error {
  if (name === 'FaithError') return new FaithError(code, message, details)
  return Object.assign(new Error(message), { code })
}

/** A process with the library in it. */
export class Program implements AsyncDisposable {
  readonly process: LabProcess
  #asked = 0

  private constructor(process: LabProcess) {
    this.process = process
  }

  /** Starts a process; `before` is a command that runs it, such as setpriv with its options. */
  static async start(host: Host, before: readonly string[] = []): Promise<Program> {
    const [node, args] = nodeCommand(driver, [])
    const [command = node, ...rest] = [...before, node, ...args]
    return await Program.#ready(host.spawn(command, rest))
  }

  /** Starts the driver in a worker thread; driver-in-thread.ts describes the main thread. */
  static async startInThread(host: Host): Promise<Program> {
    return await Program.#ready(host.node(driverInThread))
  }

  static async #ready(process: LabProcess): Promise<Program> {
    await process.line(/^\{"ready":true\}$/)
    return new Program(process)
  }

  async ask<Verb extends keyof Verbs>(
    verb: Verb,
    ...args: Parameters<Verbs[Verb]>
  ): Promise<Awaited<ReturnType<Verbs[Verb]>>> {
    this.#asked += 1
    const id = this.#asked
    this.process.stdin.write(`${JSON.stringify({ id, verb, args })}\n`)
    const line = await this.process.line(new RegExp(`^\\{"id":${id}[,}]`)).catch(() => {
      // Quotes standard error only: the output holds all answers so far, which are too long to help.
      const { running, stderr } = this.process
      const why = running ? 'is not answered' : 'ended the program'
      throw new Error(`${verb}(${JSON.stringify(args).slice(1, -1)}) ${why}: ${stderr}`)
    })
    const { value, error } = JSON.parse(line) as { value: never; error?: SentError }
    if (error) throw revive(error)
    return value
  }

  async makeServer(kind: Kind, identity: Identity): Promise<AttachableServer> {
    return new AttachableServer(this, await this.ask('makeServer', kind, identity))
  }

  keepfaith(value?: boolean): Promise<boolean> {
    return value === undefined ? this.ask('keepfaith') : this.ask('keepfaith', value)
  }

  async create(options: FaithInterfaceOptions = {}): Promise<Faith> {
    return new Faith(this, await this.ask('create', options))
  }

  /** A connection that may still connect or fail. */
  async begin(address: string, port: number, ...from: [localPort?: number]): Promise<Connection> {
    return new Connection(this, await this.ask('dial', address, port, ...from))
  }

  /** A connection that is established; rejects with the system's code if it fails. */
  async dial(address: string, port: number, ...from: [localPort?: number]): Promise<Connection> {
    const connection = await this.begin(address, port, ...from)
    await connection.connected()
    return connection
  }

  /** A connection that is not plain TCP. Its other end is in the same program and echoes everything. */
  async dialItself(kind: 'tls' | 'unix'): Promise<Connection> {
    return new Connection(this, await this.ask('dialItself', kind))
  }

  greeting(address: string, port: number): Promise<Greeting> {
    return this.ask('greeting', address, port)
  }

  greetings(address: string, ports: number[]): Promise<(Greeting | string)[]> {
    return this.ask('greetings', address, ports)
  }

  /** Waits for the process to end, and returns its exit. */
  async ended(): Promise<Exit> {
    await waitFor(`${this.process.command} to end`, () => !this.process.running)
    return await this.process.exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stop('SIGKILL')
  }
}

/** The first argument of each event, by event name. */
type Told<Events> = {
  [Name in keyof Events]: Events[Name] extends [infer What] ? What[] : never[]
}

/** An object that stays in the program, by its number. */
export class Remote<Events = object> implements AsyncDisposable {
  protected readonly program: Program
  readonly id: number

  constructor(program: Program, id: number) {
    this.program = program
    this.id = id
  }

  /** Its events so far: `error CODE` and `close`. */
  happened(): Promise<string[]> {
    return this.program.ask('happened', this.id)
  }

  /** Records the arguments of these events from now on. */
  watch(...names: (keyof Events & string)[]): Promise<void> {
    return this.program.ask('watch', this.id, ...names)
  }

  /** Recorded arguments of its watched events so far. */
  async told(): Promise<Told<Events>> {
    return (await this.program.ask('told', this.id)) as Told<Events>
  }

  close(...options: [{ drainMs: number }?]): Promise<void> {
    return this.program.ask('close', this.id, ...options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.program.process.running) await this.close()
  }
}

/** A faith interface. */
export class Faith extends Remote<FaithInterfaceEvents> {
  async listen(options: FaithListenOptions, greeting?: string): Promise<Listener> {
    const rest: [string?] = greeting === undefined ? [] : [greeting]
    return new Listener(this.program, await this.program.ask('listen', this.id, options, ...rest))
  }

  async relay(options: FaithRelayOptions): Promise<Relay> {
    return new Relay(this.program, await this.program.ask('relay', this.id, options))
  }

  /** A relay with such a route; for the ports in `waits` the route answers when told to. */
  async route(options: FaithRelayOptions, route: Route): Promise<Relay> {
    return new Relay(this.program, await this.program.ask('routingRelay', this.id, options, route))
  }

  /** Connects to a client, until the signal of that name is aborted. */
  async connect(
    options: FaithConnectOptions,
    ...signal: [name?: string]
  ): Promise<AcceptedConnection> {
    const made = await this.program.ask('connectFrom', this.id, options, ...signal)
    return new AcceptedConnection(this.program, made)
  }

  stats(): Promise<FaithInterfaceStats> {
    return this.program.ask('stats', this.id)
  }

  prefixes(): Promise<string[]> {
    return this.program.ask('prefixes', this.id)
  }

  addPrefix(prefix: string): Promise<void> {
    return this.program.ask('addPrefix', this.id, prefix)
  }

  deletePrefix(prefix: string): Promise<void> {
    return this.program.ask('deletePrefix', this.id, prefix)
  }
}

/** An object that keeps its program running while it is open. */
class Lasting<Events> extends Remote<Events> {
  ref(): Promise<void> {
    return this.program.ask('ref', this.id)
  }

  unref(): Promise<void> {
    return this.program.ask('unref', this.id)
  }
}

/** A relay. Its `session`, `refused` and `exhausted` events are recorded from the start. */
export class Relay extends Lasting<FaithRelayEvents> {
  /** The current sessions. */
  sessions(): Promise<FaithLiveSession[]> {
    return this.program.ask('sessions', this.id)
  }

  /** A current session in detail. */
  session(id: number): Promise<FaithSessionDetail | undefined> {
    return this.program.ask('session', this.id, id)
  }

  /** The clients that have sessions. */
  clients(options: FaithClientsOptions = {}): Promise<FaithClient[]> {
    return this.program.ask('clients', this.id, options)
  }

  /** The relay's decision about a connection. */
  permits(question: FaithAccessQuestion): Promise<FaithPermission> {
    return this.program.ask('permits', this.id, question)
  }

  /** Changes its settings. */
  update(settings: FaithRelayUpdate): Promise<void> {
    return this.program.ask('updateRelay', this.id, settings)
  }

  /** Makes it take no more connections. */
  stop(): Promise<void> {
    return this.program.ask('stopRelay', this.id)
  }

  /** Aborts a session. */
  abortSession(session: number): Promise<boolean> {
    return this.program.ask('abortSession', this.id, session)
  }

  stats(): Promise<FaithRelayStats> {
    return this.program.ask('relayStats', this.id)
  }

  /** Listens to its connections from now on. */
  take(): Promise<void> {
    return this.program.ask('take', this.id)
  }

  async accept(): Promise<AcceptedConnection> {
    return new AcceptedConnection(this.program, await this.program.ask('accept', this.id))
  }
}

/** A server of Node's own, or one with the same interface. */
class AttachableServer extends Remote {
  listen(port: number, ...address: [string?]): Promise<void> {
    return this.program.ask('listenItself', this.id, port, ...address)
  }

  override close(): Promise<void> {
    return this.program.ask('closeServer', this.id)
  }
}

/** A faith listener. */
export class Listener extends Lasting<FaithListenerEvents> {
  attach(server: AttachableServer): Promise<void> {
    return this.program.ask('attach', this.id, server.id)
  }

  detach(): Promise<void> {
    return this.program.ask('detach', this.id)
  }

  /** Splices that many connections after the first bytes of their clients; counts how they ended. */
  spliceEach(
    server: FaithSpliceServer,
    count: number,
    ...signal: [name?: string]
  ): Promise<Record<string, number>> {
    return this.program.ask('spliceEach', this.id, server, count, ...signal)
  }

  async accept(): Promise<AcceptedConnection> {
    return new AcceptedConnection(this.program, await this.program.ask('accept', this.id))
  }

  async iterate(count: number): Promise<AcceptedConnection[]> {
    const taken = await this.program.ask('iterate', this.id, count)
    return taken.map((accepted) => new AcceptedConnection(this.program, accepted))
  }

  pause(): Promise<void> {
    return this.program.ask('pause', this.id)
  }

  resume(): Promise<void> {
    return this.program.ask('resume', this.id)
  }
}

/** A TCP socket. */
export class Connection extends Remote {
  connected(): Promise<void> {
    return this.program.ask('connected', this.id)
  }

  look() {
    return this.program.ask('look', this.id)
  }

  write(text: string): Promise<void> {
    return this.program.ask('write', this.id, text)
  }

  line(): Promise<string | undefined> {
    return this.program.ask('line', this.id)
  }

  send(name: string, bytes: number): Promise<string> {
    return this.program.ask('send', this.id, name, bytes)
  }

  receive(bytes?: number): Promise<Arrived> {
    const rest: [number?] = bytes === undefined ? [] : [bytes]
    return this.program.ask('receive', this.id, ...rest)
  }

  end(): Promise<void> {
    return this.program.ask('end', this.id)
  }

  reset(): Promise<void> {
    return this.program.ask('reset', this.id)
  }

  override close(): Promise<void> {
    return this.program.ask('drop', this.id)
  }
}

/** A FaithSocket from a listener or a relay, with its description. */
export class AcceptedConnection extends Connection {
  readonly facts: Omit<Accepted, 'id'>

  constructor(program: Program, { id, ...facts }: Accepted) {
    super(program, id)
    this.facts = facts
  }

  /** The server, if the program stands between. */
  async upstream(): Promise<Connection> {
    return new Connection(this.program, await this.program.ask('upstream', this.id))
  }

  /** Reads the first bytes, and puts them back. */
  peek(): Promise<string> {
    return this.program.ask('peek', this.id)
  }

  /** Splices to a server or a socket, until the signal of that name is aborted. */
  spliceTo(
    target: FaithSpliceServer | Connection,
    ...signal: [name?: string]
  ): Promise<FaithSpliceEnd> {
    return target instanceof Connection
      ? this.program.ask('spliceToSocket', this.id, target.id, {}, ...signal)
      : this.program.ask('spliceTo', this.id, target, ...signal)
  }
}
