/**
 * Captured connections as Node sockets.
 *
 * Theory of operation: the addon accepts in Rust and hands over batches of descriptors. They wait here, as bare
 * descriptors, until a `connection` handler or a step of an async iteration takes them. Only then do they become
 * sockets, so no socket exists without a user. When {@link WAITING_LIMIT} of them wait, the listener tells the addon to
 * stop accepting, and further connections wait in the kernel's backlog. The addon goes on when the waiting ones are
 * taken. When the listener closes, it closes the descriptors that still wait.
 */
import { EventEmitter } from 'node:events'
import { openUntil } from './abort.js'
import { type FaithAttachment, type FaithServer, type Taking, takingBy } from './attach.js'
import { ClientErrors } from './client-errors.js'
import { publish, publishAccepted, tellShortages } from './diagnostics.js'
import { Early } from './early.js'
import { closedError, FaithError, INSIDE, requireInside } from './errors.js'
import type { FaithShortage } from './exhausted.js'
import { unwrap } from './failure.js'
import { Takers } from './iteration.js'
import {
  type FaithIterationOptions,
  type FaithListenerCloseOptions,
  type FaithListenOptions,
  readIteration,
  readListenerClose,
  readListenOptions,
} from './listener-options.js'
import type { NativeConnection, NativeInterface, NativeListener, NativeShortage } from './native.js'
import { FaithSocket, type FaithSocketOptions, requireSockets } from './socket.js'

/**
 * The events of a {@link FaithListener}.
 *
 * @group Listener and sockets
 */
export interface FaithListenerEvents {
  /** A connection was captured. */
  connection: [socket: FaithSocket]
  /**
   * A captured connection could not become a socket and was closed. The listener goes on. Unlike other `error` events,
   * this one is not an exception without a handler, because one client must not end the process. The first one is then
   * a process warning.
   */
  error: [error: Error]
  /**
   * The host lacks descriptors or memory to accept more. New connections wait in the kernel's backlog, and open sockets
   * go on. Accepting goes on by itself when the shortage ends. Emitted at most once a minute for each resource, and
   * published on the channel `faithd:exhausted`.
   */
  exhausted: [shortage: FaithShortage]
  /** The listener is closed, by `close()` or with its interface. */
  close: []
}

const WAITING_LIMIT = 64

/**
 * A faith listener. It accepts the connections captured on its ports.
 *
 * Take them by a `connection` handler or by async iteration, not both: a handler goes first. Connections wait until the
 * program has either. An open listener keeps the process running, unless {@link FaithListener.unref} is called.
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
  readonly #clientErrors = new ClientErrors(this, 'listener')
  readonly #waiting: NativeConnection[] = []
  readonly #takers = new Takers<FaithSocket>({
    isClosed: () => this.#closing !== undefined,
    wanted: () => this.#deliver(),
  })
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
    requireSockets('faith.listen')
    const { settings, socketOptions, signal } = readListenOptions(options)
    return await openUntil(signal, async () => {
      const listener = new FaithListener(INSIDE, faith, socketOptions, released)
      const shortages = new Early<NativeShortage>()
      listener.#native = unwrap(
        await faith.listen(settings, (batch) => listener.#accept(batch), shortages.push),
      )
      listener.#regulate()
      setImmediate(() => {
        shortages.open((batch) => tellShortages(listener, faith.name, batch))
      })
      return listener
    })
  }

  /**
   * Stops taking connections. They wait in the kernel's backlog until {@link FaithListener.resume}. When the backlog is
   * full, the kernel drops SYNs. Sockets already taken go on.
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
   * Gives every connection to a server, as if the server listened on these ports itself.
   *
   * | server                                 | argument                                                              |
   * | -------------------------------------- | --------------------------------------------------------------------- |
   * | `net`, `tls`, `http`, `https`, `http2` | the result of `createServer()`                                        |
   * | ssh2                                   | its `Server`; or any other object with an `injectSocket()`            |
   * | smtp-server                            | its `SMTPServer`; or any other object with a Node server as `server`  |
   *
   * The socket is a {@link FaithSocket} with the server's settings: `allowHalfOpen`, `highWaterMark`, `keepAlive`,
   * `keepAliveInitialDelay`, `noDelay` and `pauseOnConnect` apply, and `socket.server` is the server.
   * {@link destinationOf} gives the dialled destination, also behind TLS. The sessions of ssh2 show neither socket nor
   * addresses. If a session needs the destination, pass an object whose `injectSocket(socket)` makes an ssh2 `Server`
   * for each socket and injects the socket there.
   *
   * The server need not listen. It counts these connections as its own: `getConnections()`, `maxConnections` and its
   * `drop` event include them, `server.close()` waits for them, and an HTTP server's timeouts, `closeAllConnections()`
   * and `closeIdleConnections()` reach them.
   *
   * A listener has one server at a time. Neither closes the other: when the listener closes, the server gets no more
   * connections and keeps those it has. A closed server still gets connections until it is detached.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `server` is not a server or takes no connections, or when
   * another server is attached; `ERR_FAITH_CLOSED` when the listener is closed
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
   * Makes the open listener keep the process running. This is the default.
   *
   * @example
   * ```ts
   * listener.unref().ref() // as before
   * ```
   */
  ref(): this {
    if (this.#closing === undefined) this.#native?.ref()
    return this
  }

  /**
   * Lets the process end while the listener is open.
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
   * Stops capturing on these ports, closes the connections that wait to be taken, and emits `close`. Sockets already
   * taken live on as long as the interface. With `drainMs`, the call waits for them that long. It then destroys the
   * open ones with `ERR_FAITH_CLOSED`, and their clients are reset, as at the close of the interface
   * ({@link FaithSocket}). Spliced sockets go on. A second call waits for the same close.
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
    const drainMs = readListenerClose(options)
    this.#closing ??= this.#shut(drainMs)
    await this.#closing
  }

  /**
   * Closes the listener, like {@link FaithListener.close} without `drainMs`.
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
   * } // here port 80 is refused again
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * Iterates over the captured connections, one at a time: the loop takes the next when it asks for it. The iteration
   * ends when the listener closes. Leaving the loop does not close the listener.
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
   * Iterates over the captured connections until a signal is aborted, otherwise like iterating over the listener
   * itself. On the abort the loop fails with an `AbortError`, and the listener stays open.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `signal` is not an `AbortSignal`
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
    const signal = readIteration(options)
    return this.#takers.iterate(signal)
  }

  /** @internal Closes the connections that wait to be taken. */
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
    return this.#takers.areWaiting || this.listenerCount('connection') > 0
  }

  /**
   * Delivers waiting connections. A taker of an iteration runs no code of the program when it gets its socket, so
   * takers get theirs at once. A handler may leave work to promises or `process.nextTick`, which Node runs before the
   * next connection. So each connection for a handler has a turn of its own: the first one this turn, the others one
   * immediate each.
   */
  #deliver(): void {
    while (this.#takers.areWaiting && this.listenerCount('connection') === 0) {
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

  /** Hands over one connection, if one waits and is wanted. Tells if it did. */
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
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      const text = `a captured connection could not become a socket: ${error.message}`
      return this.#clientErrors.report(error, text)
    }
    publish('faithd:connection', () => ({ interface: this.#interface.name, socket }))
    if (!this.emit('connection', socket)) this.#takers.give(socket)
    publishAccepted(socket)
  }

  #regulate(): void {
    if (this.#native === undefined || this.#closing !== undefined) return
    // Wanted connections get their turn before the addon gives more.
    const waiting = this.#wanted() ? 0 : this.#waiting.length
    const throttle = this.#held || waiting >= (this.#throttled ? 1 : WAITING_LIMIT)
    if (throttle === this.#throttled) return
    this.#throttled = throttle
    if (throttle) this.#native.pause()
    else this.#native.resume()
  }

  async #shut(drainMs: number | undefined): Promise<void> {
    this.#takers.end()
    await this.#native?.close()
    this.closeWaiting()
    // From here the interface does not wait for the drain: its own close ends the sockets.
    this.#released(this)
    if (drainMs !== undefined) {
      await FaithSocket.drain(this.#interface, this, drainMs, () => closedError('the listener'))
    }
    process.nextTick(() => this.emit('close'))
  }
}
