/**
 * Captured connections as Node sockets.
 *
 * Theory of operation: the addon accepts in Rust and hands over batches of descriptors. They wait here, as bare
 * descriptors, until somebody takes them: a `connection` handler, or a step of an async iteration. Only then do they
 * become sockets, so that no socket exists that nobody looks at. When {@link WAITING_LIMIT} of them wait, the addon is
 * told to stop accepting and the rest wait in the kernel's backlog; when they are taken, it goes on. What still waits
 * when the listener closes is closed with it.
 */
import { EventEmitter } from 'node:events'
import { isIPv6 } from 'node:net'
import { openUntil } from './abort.js'
import { type FaithAttachment, type FaithServer, type Taking, takingBy } from './attach.js'
import { publish, publishAccepted, tellShortages } from './diagnostics.js'
import { Early } from './early.js'
import { closedError, FaithError, INSIDE, requireInside } from './errors.js'
import type { FaithShortage } from './exhausted.js'
import { unwrap } from './failure.js'
import { DONE, iterate, type Source, type Taker } from './iteration.js'
import { MAPPING_OPTIONS, type MappingOptions, readMappings } from './mapping.js'
import type { NativeConnection, NativeInterface, NativeListener, NativeShortage } from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import { PORT_OPTIONS, type PortOptions, readPorts } from './ports.js'
import { FaithSocket, type FaithSocketOptions, requireSockets } from './socket.js'

/**
 * Where a listener listens, and how it makes its sockets: everything but its ports.
 *
 * @group Listener and sockets
 */
export interface FaithListenSettings extends MappingOptions, Partial<FaithSocketOptions> {
  /**
   * One address inside a prefix of the interface. Default: every address of every prefix. A listener on one address
   * goes before one on all of them.
   */
  address?: string
  /** How many connections may wait to be accepted, 1 to 65535, as in listen(2). Default 4096. */
  backlog?: number
  /** Closes the listener when it is aborted, as `close()` does. Default: only `close()` does. */
  signal?: AbortSignal
}

/**
 * Where a listener listens, on which ports, and how it makes its sockets.
 *
 * @group Listener and sockets
 */
export type FaithListenOptions = FaithListenSettings & PortOptions

const OPTIONS: OptionNames<FaithListenOptions> = {
  ...PORT_OPTIONS,
  ...MAPPING_OPTIONS,
  address: true,
  backlog: true,
  allowHalfOpen: true,
  pauseOnConnect: true,
  signal: true,
}

/**
 * How connections are iterated over.
 *
 * @group Listener and sockets
 */
export interface FaithIterationOptions {
  /** Ends the iteration with an `AbortError` when it is aborted. Default: it goes on until the listener closes. */
  signal?: AbortSignal
}

/**
 * How a listener is closed.
 *
 * @group Listener and sockets
 */
export interface FaithListenerCloseOptions {
  /**
   * How long the sockets that it gave may stay open, in milliseconds. Those that are open then are ended as by the close of
   * their interface. Default: they live on for as long as the interface does, and are not waited for.
   */
  drainMs?: number
}

const CLOSE: OptionNames<FaithListenerCloseOptions> = { drainMs: true }

/**
 * The events of a {@link FaithListener}.
 *
 * @group Listener and sockets
 */
export interface FaithListenerEvents {
  /** A connection was captured. */
  connection: [socket: FaithSocket]
  /** A captured connection could not be made a socket, and was closed; the listener goes on. */
  error: [error: Error]
  /**
   * The host lacks descriptors or memory to accept more. Connections wait in the kernel's queue, sockets go on, and all is
   * well again by itself when there is more. Told at most once a minute for each resource, and on the channel
   * `faithd:exhausted`.
   */
  exhausted: [shortage: FaithShortage]
  /** The listener is closed, by `close()` or with its interface. */
  close: []
}

const WAITING_LIMIT = 64

/**
 * A faith listener: it accepts the connections captured on its ports.
 *
 * Take them by a `connection` handler or by async iteration, not both: a handler goes first. Connections wait until
 * there is either. While it is open it keeps the process running, unless told otherwise by {@link FaithListener.unref}.
 *
 * Source: `IPV6_FAITH` of faith(4).
 *
 * @example
 * ```ts
 * const listener = await faith.listen({ ports: [22, '8000-8999'] })
 * for await (const socket of listener) {
 *   socket.on('error', () => socket.destroy()).resume()
 *   socket.setTimeout(30_000, () => socket.destroy())
 *   socket.end(`no ${socket.destination.port} here\n`)
 * }
 * ```
 *
 * @group Listener and sockets
 */
export class FaithListener extends EventEmitter<FaithListenerEvents> implements AsyncDisposable {
  readonly #interface: NativeInterface
  readonly #socketOptions: FaithSocketOptions
  readonly #released: (listener: FaithListener) => void
  readonly #waiting: NativeConnection[] = []
  readonly #takers: Taker[] = []
  #native: NativeListener | undefined
  #attached: Taking | undefined
  #turns = 0
  #held = false
  #throttled = false
  #closing: Promise<void> | undefined

  private constructor(
    key: typeof INSIDE,
    faith: NativeInterface,
    options: FaithSocketOptions,
    released: (listener: FaithListener) => void,
  ) {
    requireInside(key, 'FaithListener', 'faith.listen()')
    super()
    this.#interface = faith
    this.#socketOptions = options
    this.#released = released
    ;(this as EventEmitter).on('newListener', (event) => {
      // This event comes before the handler is added.
      if (event === 'connection') process.nextTick(() => this.#deliver())
    })
  }

  /** @internal */
  static async open(
    faith: NativeInterface,
    options: FaithListenOptions,
    released: (listener: FaithListener) => void,
  ): Promise<FaithListener> {
    const call = 'faith.listen'
    requireSockets(call)
    const read = new OptionReader(call, OPTIONS, options)
    const ports = readPorts(read)
    const address = readAddress(read)
    const backlog = read.integer('backlog', { min: 1, max: 65_535 }, 4096)
    const mappings = readMappings(call, read)
    const socketOptions = {
      allowHalfOpen: read.boolean('allowHalfOpen', true),
      pauseOnConnect: read.boolean('pauseOnConnect', false),
    }
    const signal = read.signal('signal')

    return await openUntil(signal, async () => {
      const listener = new FaithListener(INSIDE, faith, socketOptions, released)
      const shortages = new Early<NativeShortage>()
      listener.#native = unwrap(
        await faith.listen(
          { ports, backlog, ...address, ...mappings },
          (batch) => listener.#accept(batch),
          shortages.push,
        ),
      )
      listener.#regulate()
      setImmediate(() => {
        shortages.open((batch) => tellShortages(listener, faith.name, batch))
      })
      return listener
    })
  }

  /**
   * Stops taking connections; they wait in the kernel's backlog until {@link FaithListener.resume}, and when it is
   * full the client's SYNs are dropped. Sockets already taken are not touched.
   *
   * @example
   * ```ts
   * listener.on('connection', (socket) => {
   *   listener.pause() // one at a time
   *   socket.once('close', () => listener.resume())
   *   socket.on('error', () => socket.destroy()).resume()
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.end('it is your turn\n')
   * })
   * ```
   */
  pause(): this {
    this.#held = true
    this.#regulate()
    return this
  }

  /**
   * Takes connections again after {@link FaithListener.pause}.
   *
   * @example
   * ```ts
   * listener.pause()
   * setTimeout(() => listener.resume(), 1000)
   * ```
   */
  resume(): this {
    this.#held = false
    this.#deliver()
    return this
  }

  /**
   * Gives every connection to a server, as if it had listened on these ports itself.
   *
   * | server                                 | what to pass                                                          |
   * | -------------------------------------- | --------------------------------------------------------------------- |
   * | `net`, `tls`, `http`, `https`, `http2` | what `createServer()` returns                                         |
   * | ssh2                                   | its `Server`; or any other that has an `injectSocket()`               |
   * | smtp-server                            | its `SMTPServer`; or any other that has one of Node's as its `server` |
   *
   * The socket is a {@link FaithSocket}, made as the server makes its own: its `allowHalfOpen`, `highWaterMark`, `keepAlive`,
   * `keepAliveInitialDelay`, `noDelay` and `pauseOnConnect` apply, and `socket.server` is the server.
   * {@link destinationOf} tells what was dialled, behind TLS too. The sessions of ssh2 show neither socket nor addresses:
   * where they are to know, pass an object whose `injectSocket(socket)` makes a `Server` for each socket and has it take
   * that one.
   *
   * The server need not listen. It counts these connections among its own: `getConnections()`, `maxConnections` and its
   * `drop` event include them, `server.close()` waits for them, and an HTTP server's timeouts, `closeAllConnections()` and
   * `closeIdleConnections()` reach them.
   *
   * A listener has one server at a time. Neither closes the other: when the listener closes, the server gets no more
   * connections and keeps those it has; a server that closes is still given connections, unless it is detached before.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when it is no server or takes no connections, or another is attached;
   * `ERR_FAITH_CLOSED`
   *
   * @example
   * ```ts
   * import { createServer } from 'node:http'
   * import { destinationOf } from 'faithd'
   *
   * const server = createServer((request, response) => {
   *   response.end(`${destinationOf(request.socket)?.address} is not here\n`)
   * })
   * const attachment = listener.attach(server)
   * process.once('SIGUSR1', () => attachment.detach())
   * ```
   */
  attach(server: FaithServer): FaithAttachment {
    if (this.#closing !== undefined) throw closedError('the listener', 'open another one')
    const taking = takingBy(server)
    if (this.#attached !== undefined) {
      const message = 'listener.attach: another server is attached'
      throw new FaithError('ERR_FAITH_ARGUMENT', message, { hint: 'detach it first' })
    }
    const end = taking.begin()
    this.#attached = taking
    this.on('connection', taking.take)
    const detach = (): void => {
      if (this.#attached === taking) this.#attached = undefined
      this.off('connection', taking.take)
      end()
    }
    return { detach, [Symbol.dispose]: detach }
  }

  /**
   * Lets the open listener keep the process running; it does from the start.
   *
   * @example
   * ```ts
   * listener.unref().ref() // as it was
   * ```
   */
  ref(): this {
    if (this.#closing === undefined) this.#native?.ref()
    return this
  }

  /**
   * Lets the process end although the listener is open.
   *
   * @example
   * ```ts
   * listener.unref()
   * ```
   */
  unref(): this {
    if (this.#closing === undefined) this.#native?.unref()
    return this
  }

  /**
   * Stops capturing on these ports and closes the connections that wait to be taken; `close` is emitted after. Sockets that
   * were taken live on for as long as the interface does, or, with `drainMs`, for as long as that says: this waits until
   * none is open, and those that are open then are destroyed with `ERR_FAITH_CLOSED` and their clients reset, as
   * {@link FaithSocket} says of its interface. Sockets that were spliced are left alone. Closing again waits for the same
   * end.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `drainMs` is not a number of milliseconds
   *
   * @example
   * ```ts
   * process.once('SIGTERM', async () => {
   *   await listener.close({ drainMs: 5_000 })
   *   await faith.close()
   * })
   * ```
   */
  async close(options: FaithListenerCloseOptions = {}): Promise<void> {
    const read = new OptionReader('listener.close', CLOSE, options)
    const waits = read.unchecked('drainMs') !== undefined
    const drainMs = waits ? read.integer('drainMs', { min: 0, max: MOST }) : undefined
    this.#closing ??= this.#shut(drainMs)
    await this.#closing
  }

  /**
   * As {@link FaithListener.close} without `drainMs`.
   *
   * @example
   * ```ts
   * {
   *   await using listener = await faith.listen({ port: 80 })
   *   for await (const socket of listener) {
   *     socket.on('error', () => socket.destroy()).resume()
   *     socket.end('you are the only one\n')
   *     break
   *   }
   * } // and port 80 is refused again
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * The captured connections, one at a time: the next is taken when the loop asks for it. The iteration ends when the
   * listener closes; leaving the loop does not close the listener.
   *
   * @example
   * ```ts
   * for await (const socket of listener) {
   *   socket.on('error', () => socket.destroy()).resume()
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.end('one after the other\n')
   * }
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<FaithSocket, undefined> {
    return this.connections()
  }

  /**
   * The captured connections, as by iterating over the listener itself, until a signal is aborted. The loop then fails
   * with an `AbortError`, and the listener stays open.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `signal` is no signal
   * @throws an `AbortError` with the `code` `ABORT_ERR`, from the iteration, when `signal` is aborted
   *
   * @example
   * ```ts
   * try {
   *   for await (const socket of listener.connections({ signal: AbortSignal.timeout(60_000) })) {
   *     socket.on('error', () => socket.destroy()).resume()
   *     socket.setTimeout(30_000, () => socket.destroy())
   *     socket.end('you are in time\n')
   *   }
   * } catch (error) {
   *   if (!(error instanceof Error) || error.name !== 'AbortError') throw error
   * }
   * ```
   */
  connections(options: FaithIterationOptions = {}): AsyncIterableIterator<FaithSocket, undefined> {
    const read = new OptionReader('listener.connections', { signal: true }, options)
    const signal = read.signal('signal')
    const source: Source = {
      isClosed: () => this.#closing !== undefined,
      wait: (taker) => {
        this.#takers.push(taker)
        this.#deliver()
      },
      leave: (taker) => void this.#takers.splice(this.#takers.indexOf(taker), 1),
    }
    return iterate(source, signal)
  }

  /** @internal Closes the connections nobody has taken. */
  closeWaiting(): void {
    for (const { socket } of this.#waiting.splice(0)) socket.close()
  }

  #accept(batch: NativeConnection[]): void {
    if (this.#closing !== undefined) {
      for (const { socket } of batch) socket.close()
      return
    }
    this.#waiting.push(...batch)
    this.#deliver()
  }

  #wanted(): boolean {
    if (this.#held || this.#closing !== undefined) return false
    return this.#takers.length > 0 || this.listenerCount('connection') > 0
  }

  /**
   * Takers of an iteration run no code of the program when they get their socket. Handlers do, and what they leave to be
   * done at once, by promises or `process.nextTick`, is done before the next connection, as in Node. So each connection
   * has a turn of its own: the first one this turn, and the others an immediate each, between which Node does all that.
   */
  #deliver(): void {
    while (this.#takers.length > 0 && this.listenerCount('connection') === 0) {
      if (!this.#handNext()) break
    }
    const atOnce = this.#turns === 0 ? 1 : 0
    while (this.#turns + atOnce < this.#waiting.length && this.#wanted()) this.#takeTurn()
    try {
      if (atOnce > 0) this.#handNext()
    } finally {
      this.#regulate()
    }
  }

  #takeTurn(): void {
    this.#turns += 1
    setImmediate(() => {
      this.#turns -= 1
      try {
        this.#handNext()
      } finally {
        this.#regulate()
      }
    })
  }

  /** Hands over one connection, if there is one and it is wanted. */
  #handNext(): boolean {
    const connection = this.#wanted() ? this.#waiting.shift() : undefined
    if (connection !== undefined) this.#hand(connection)
    return connection !== undefined
  }

  #hand(connection: NativeConnection): void {
    const attached = this.#attached
    if (attached?.admits(connection) === false) return connection.socket.close()
    const options = attached?.making(this.#socketOptions) ?? this.#socketOptions
    let socket: FaithSocket
    try {
      socket = FaithSocket.adopt(connection, this.#interface, this, options)
    } catch (error) {
      this.emit('error', error instanceof Error ? error : new Error(String(error)))
      return
    }
    publish('faithd:connection', () => ({ interface: this.#interface.name, socket }))
    if (!this.emit('connection', socket)) this.#takers.shift()?.({ done: false, value: socket })
    publishAccepted(socket)
  }

  #regulate(): void {
    if (this.#native === undefined || this.#closing !== undefined) return
    // Those that are wanted have their turn before the addon gives more.
    const waiting = this.#wanted() ? 0 : this.#waiting.length
    const throttle = this.#held || waiting >= (this.#throttled ? 1 : WAITING_LIMIT)
    if (throttle === this.#throttled) return
    this.#throttled = throttle
    if (throttle) this.#native.pause()
    else this.#native.resume()
  }

  async #shut(drainMs: number | undefined): Promise<void> {
    for (const take of this.#takers.splice(0)) take(DONE)
    await this.#native?.close()
    this.closeWaiting()
    // From now on the interface need not wait for the drain: it ends the sockets when it is closed itself.
    this.#released(this)
    if (drainMs !== undefined) {
      await FaithSocket.drain(this.#interface, this, drainMs, () => closedError('the listener'))
    }
    process.nextTick(() => this.emit('close'))
  }
}

/** The `address` option, for the addon: absent, or an IPv6 address. */
export function readAddress(read: OptionReader<'address'>): { address?: string } {
  const address = read.unchecked('address')
  if (address === undefined) return {}
  if (typeof address !== 'string' || !isIPv6(address) || address.includes('%')) {
    throw read.refuse('address', 'an IPv6 address', address)
  }
  return { address }
}
