/** The library's calls, as the driver offers them. */
import { EventEmitter, on } from 'node:events'
import { Socket } from 'node:net'
import {
  createFaithInterface,
  FaithInterface,
  FaithListener,
  FaithRelay,
  type FaithSocket,
  getKeepfaith,
  setKeepfaith,
  type FaithConnectOptions,
  type FaithInterfaceOptions,
  type FaithListenOptions,
  type FaithSocketDestination,
} from '../../index.js'
import { happened, keep, recall } from './kept.js'
import { until } from './splice-verbs.js'

const faith = (id: number): FaithInterface => recall(id, FaithInterface)
const listener = (id: number): FaithListener => recall(id, FaithListener)

/** Looks up an object that keeps the process running while it is open. */
function lasting(id: number): FaithListener | FaithRelay {
  const opened = recall(id, EventEmitter)
  if (opened instanceof FaithListener || opened instanceof FaithRelay) return opened
  throw new Error(`${id} is neither a listener nor a relay`)
}

/** A connection that a listener gave. */
export interface Accepted {
  id: number
  destination: FaithSocketDestination
  local: string
  remote: string
  isNodeSocket: boolean
}

/** The greeting that a listener sends its clients. */
export interface Greeting {
  from: string
  /** getsockname(), as Node gets it from the kernel. */
  dialled: string
  ipv4?: string
}

const ends = (address: unknown, port: unknown): string => `[${String(address)}]:${String(port)}`

function accept(socket: FaithSocket): Accepted {
  return {
    id: keep(socket),
    destination: socket.destination,
    local: ends(socket.localAddress, socket.localPort),
    remote: ends(socket.remoteAddress, socket.remotePort),
    isNodeSocket: socket instanceof Socket,
  }
}

export function greet(socket: FaithSocket, from: string): void {
  const { ipv4 } = socket.destination
  const { address, port } = socket.address() as { address: string; port: number }
  const greeting: Greeting = { from, dialled: ends(address, port), ...(ipv4 && { ipv4 }) }
  socket.on('error', () => undefined)
  socket.resume().end(`${JSON.stringify(greeting)}\n`)
}

const ignored: FaithSocket[] = []

type Queue = AsyncIterator<[FaithSocket], undefined>
const queues = new Map<number, Queue>()

function queueOf(id: number): Queue {
  const known = queues.get(id)
  if (known) return known
  const opened = recall(id, EventEmitter)
  // Keeps a connection that fails while it waits here from ending the program.
  opened.on('connection', (socket: FaithSocket) => socket.on('error', () => undefined))
  const queue = on(opened, 'connection') as unknown as Queue
  queues.set(id, queue)
  return queue
}

export const faithVerbs = {
  /** Sets keepfaith if a value is given, and returns its state. */
  keepfaith(value?: boolean): boolean {
    if (value !== undefined) setKeepfaith(value)
    return getKeepfaith()
  },

  async create(options: FaithInterfaceOptions): Promise<number> {
    return keep(await createFaithInterface(options))
  },

  stats: (id: number) => faith(id).stats(),
  prefixes: (id: number): string[] => [...faith(id).prefixes],
  addPrefix: (id: number, prefix: string): Promise<void> => faith(id).prefixes.add(prefix),
  deletePrefix: (id: number, prefix: string): Promise<void> => faith(id).prefixes.delete(prefix),

  /** Listens. With a greeting, every connection gets it and is ended; without one, connections wait for `accept`. */
  async listen(id: number, options: FaithListenOptions, greeting?: string): Promise<number> {
    const opened = await faith(id).listen(options)
    if (greeting !== undefined) opened.on('connection', (socket) => greet(socket, greeting))
    return keep(opened)
  },

  /** Connects to a client, until the signal of that name is aborted. */
  async connectFrom(id: number, options: FaithConnectOptions, signal?: string): Promise<Accepted> {
    return accept(await faith(id).connect({ ...options, ...until(signal) }))
  },

  /** Adds a handler for the `connection` event of a listener or a relay. */
  take: (id: number): void => void queueOf(id),

  /** The next connection of the `connection` event; the first call adds the handler. */
  async accept(id: number): Promise<Accepted> {
    const step = await queueOf(id).next()
    if (step.done) throw new Error('there are no more')
    return accept(step.value[0])
  },

  /** Takes connections by async iteration until it has `count`, or the iteration ends. */
  async iterate(id: number, count: number): Promise<Accepted[]> {
    const taken: Accepted[] = []
    for await (const socket of listener(id)) {
      taken.push(accept(socket))
      if (taken.length === count) break
    }
    return taken
  },

  /** Takes the connections of a listener from now on, without handlers for their events. */
  ignore: (id: number): void =>
    void listener(id).on('connection', (socket) => ignored.push(socket)),

  /** The state of those connections: closed or not, and the error. */
  ignored: () =>
    ignored.map(({ closed, errored }) => ({
      closed,
      code: (errored as NodeJS.ErrnoException | null)?.code,
    })),

  pause: (id: number): void => void listener(id).pause(),
  resume: (id: number): void => void listener(id).resume(),
  unref: (id: number): void => void lasting(id).unref(),
  ref: (id: number): void => void lasting(id).ref(),

  /** Closes an interface, a listener or a relay. */
  close: (id: number, options?: { drainMs: number }): Promise<void> =>
    (recall(id, EventEmitter) as FaithInterface | FaithListener | FaithRelay).close(options),

  happened,
}
