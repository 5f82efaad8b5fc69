import { closeSync } from 'node:fs'
import { Socket, type SocketConstructorOpts } from 'node:net'
import type { DuplexOptions } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { FaithDestination } from './endpoint.js'
import { FaithError, INSIDE, requireInside } from './errors.js'
import {
  adoptsDescriptors,
  type Handle,
  type Lender,
  tlsAround,
  watchHandles,
} from './inside-node.js'
import type { NativeConnection, NativeInterface } from './native.js'
import { reading } from './reading.js'
import {
  type FaithSplice,
  type FaithSpliceOptions,
  type FaithSpliceServer,
  splice,
} from './splice.js'

/**
 * The destination of a captured connection, with its prefix and interface.
 *
 * @group Listener and sockets
 */
export interface FaithSocketDestination extends FaithDestination {
  /** The faith prefix that contains the address: `64:ff9b::/96`. */
  prefix: string
  /** The name of the faith interface: `faith0`. */
  interface: string
}

/**
 * Options for the sockets of a listener, as in `net.createServer`.
 *
 * @group Listener and sockets
 */
export interface FaithSocketOptions {
  /**
   * `true` keeps the socket writable after the client has ended its side. The program then calls `end()` when it is
   * done writing. Default `true`, so that a program that relays can pass on a half-close.
   */
  allowHalfOpen: boolean
  /** `true` reads nothing until `resume()`. Default `false`. */
  pauseOnConnect: boolean
}

/** @internal Settings of a new socket, from its listener or from the attached server. */
export interface SocketMaking extends FaithSocketOptions {
  /** In bytes, for each direction. Default: Node's. */
  highWaterMark?: number | undefined
}

/** The settings that the constructor of `Socket` takes. Node's types lack some of them. */
type SocketSettings = Pick<SocketConstructorOpts, 'fd' | 'readable' | 'writable'> &
  Pick<DuplexOptions, 'allowHalfOpen' | 'emitClose' | 'autoDestroy' | 'decodeStrings'> & {
    readableHighWaterMark: number | undefined
    writableHighWaterMark: number | undefined
    pauseOnCreate: boolean
    onread: Lender['onread'] | undefined
  }

/** The properties that Node's own sockets ask the kernel for. */
const ENDS = [
  'localAddress',
  'localPort',
  'localFamily',
  'remoteAddress',
  'remotePort',
  'remoteFamily',
] as const

/** `setTimeout` takes longer times as 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The open sockets of each interface. Node references open sockets too, so this keeps none alive. */
const open = new WeakMap<NativeInterface, Set<FaithSocket>>()

/** The callback of each socket for its end. */
const atEnd = new WeakMap<FaithSocket, () => void>()

/** The drains that go on. Each hears of every socket that its interface need not end any more. */
const drains = new Set<(socket: FaithSocket) => void>()

/**
 * @internal Calls `call` when a socket is destroyed. A handler of its `close` event would not do, because users of the
 * socket can remove it: smtp-server removes all handlers before STARTTLS.
 */
export function whenDestroyed(socket: FaithSocket, call: () => void): void {
  if (socket.destroyed) call()
  else atEnd.set(socket, call)
}

/**
 * A captured connection: a real `net.Socket`, already connected. Its local address is the address that the client
 * dialled.
 *
 * Listeners make these sockets, relays make them for a {@link FaithRouteSocket}, and {@link FaithInterface.connect} makes
 * them for connections to clients. They emit no `connect` event.
 * `localAddress`, `localPort`, `remoteAddress` and `remotePort` are set from the start and stay set after the close. As
 * for every `net.Socket`, an `error` without a handler, such as a reset by the client, is an uncaught exception.
 *
 * The socket closes when both sides have ended. It notices the client's end only while the program reads. So a program
 * that ignores the client's bytes calls `resume()`, and also `setTimeout()`, because a client may stay silent for ever.
 *
 * The socket lives no longer than its interface. When the interface is closed or deleted, the socket is destroyed with
 * a {@link FaithError} `ERR_FAITH_CLOSED`, and its client is reset. A socket that has ended writing first gets the time
 * of the drain ({@link FaithInterface.close}) to send its bytes and its end. Without an `error` handler
 * `ERR_FAITH_CLOSED` is not an uncaught exception, so closing an interface does not end the program.
 *
 * @example
 * ```ts
 * listener.on('connection', (socket) => {
 *   const { address, port, ipv4 } = socket.destination
 *   socket.on('error', () => socket.destroy()) // the client reset the connection
 *   socket.setTimeout(30_000, () => socket.destroy()) // the client stays silent
 *   socket.resume() // ignores the client's bytes, but notices its end
 *   socket.end(`you dialled ${address} port ${port}, which is ${ipv4}\n`)
 * })
 * ```
 *
 * @group Listener and sockets
 */
export class FaithSocket extends Socket {
  /** The destination that the client dialled: getsockname(2) of the captured connection. */
  readonly destination: FaithSocketDestination
  /** The IPv6 address that the client dialled, in RFC 5952 form. */
  override readonly localAddress: string
  /** The port that the client dialled. */
  override readonly localPort: number
  /** Always `IPv6`. */
  override readonly localFamily = 'IPv6'
  /** The client's IPv6 address, in RFC 5952 form. */
  override readonly remoteAddress: string
  /** The client's port. */
  override readonly remotePort: number
  /** Always `IPv6`. */
  override readonly remoteFamily = 'IPv6'
  /** The connected server, half-open too, if the program stands between client and server: {@link FaithRouteBetween}. */
  readonly upstream?: Socket

  static {
    watchHandles(FaithSocket.prototype, (socket, handle) => {
      // The constructor sets the first handle.
      if (#faith in socket) socket.#changeHandle(handle)
    })
  }

  readonly #faith: NativeInterface
  readonly #giver: object
  readonly #connection: NativeConnection
  #isCaptured = true
  #cutOffBy: FaithError | undefined

  /**
   * @internal Makes the socket of a connection. On an error it closes the descriptor. `giver` is the listener or the
   * relay that gives the socket to the program.
   */
  static adopt(
    connection: NativeConnection,
    faith: NativeInterface,
    giver: object,
    options: SocketMaking,
  ): FaithSocket {
    const fd = connection.socket.take()
    let socket: FaithSocket
    try {
      socket = new FaithSocket(INSIDE, fd, connection, faith, giver, options)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    const others = open.get(faith) ?? new Set()
    open.set(faith, others)
    if (!socket.destroyed) others.add(socket)
    return socket
  }

  /**
   * @internal Ends the open sockets of an interface that closes, each with an error of its own. `spare` tells if a
   * socket stays open. It gets the socket that the program writes to, which may be a TLS socket, and the captured
   * socket.
   */
  static cutOff(
    faith: NativeInterface,
    reason: () => FaithError,
    spare: (writer: Socket, socket: FaithSocket) => boolean = () => false,
  ): void {
    const cut = [...(open.get(faith) ?? [])].filter((socket) => !spare(socket.#writer, socket))
    if (cut.length > 0) faith.beforeResets()
    for (const socket of cut) socket.#cutOff(reason())
  }

  /**
   * @internal Waits until the sockets of `giver` are closed, for at most `withinMs`. It then ends the open ones, each
   * with an error of its own.
   */
  static async drain(
    faith: NativeInterface,
    giver: object,
    withinMs: number,
    reason: () => FaithError,
  ): Promise<void> {
    const left = new Set([...(open.get(faith) ?? [])].filter((socket) => socket.#giver === giver))
    if (left.size === 0) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        drains.delete(forget)
        resolve()
      }
      const forget = (socket: FaithSocket): void => {
        if (left.delete(socket) && left.size === 0) done()
      }
      const timer = setTimeout(done, Math.min(withinMs, LONGEST_TIMER_MS))
      drains.add(forget)
    })
    if (left.size > 0) FaithSocket.cutOff(faith, reason, (_writer, socket) => !left.has(socket))
  }

  /**
   * @internal Waits until the kernel has all bytes of the sockets that have ended writing, also through a TLS socket,
   * for at most `withinMs`.
   */
  static async handOver(faith: NativeInterface, withinMs: number): Promise<void> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), Math.min(withinMs, LONGEST_TIMER_MS))
    const handing = [...(open.get(faith) ?? [])]
      .map((socket) => socket.#writer)
      .filter((socket) => socket.writableEnded && !socket.writableFinished)
      .map((socket) => finished(socket, { readable: false, signal: late.signal }))
    await Promise.allSettled(handing)
    clearTimeout(timer)
  }

  // Private, not `@internal`: TypeScript strips internal declarations, and would then declare the constructor of
  // `Socket`.
  private constructor(
    key: typeof INSIDE,
    fd: number,
    connection: NativeConnection,
    faith: NativeInterface,
    giver: object,
    options: SocketMaking,
  ) {
    requireInside(key, 'FaithSocket', 'the `connection` event of a listener')
    const settings: SocketSettings = {
      fd,
      readable: true,
      writable: true,
      allowHalfOpen: options.allowHalfOpen,
      readableHighWaterMark: options.highWaterMark,
      writableHighWaterMark: options.highWaterMark,
      pauseOnCreate: options.pauseOnConnect,
      onread: reading?.onread,
      // Node sets these itself, to the same values. If its copy of this object lacks them, V8 makes a new object shape
      // for every socket, which defeats inline caches: a fifth of a short connection's time.
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
    }
    super(settings as SocketConstructorOpts)
    reading?.adopt(this)
    this.#faith = faith
    this.#giver = giver
    this.#connection = connection

    const { address, port, prefix, ipv4, ipv4Port, server } = connection
    if (server !== undefined && server !== null) this.upstream = adoptServer(server)
    this.destination = {
      address,
      port,
      ...(ipv4 === undefined ? {} : { ipv4 }),
      ...(ipv4Port === undefined ? {} : { ipv4Port }),
      prefix,
      interface: faith.name,
    }
    this.localAddress = address
    this.localPort = port
    this.remoteAddress = connection.remoteAddress
    this.remotePort = connection.remotePort
  }

  /* oxlint-disable eslint/no-underscore-dangle -- streams name it so */
  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // Node may destroy a socket inside its constructor.
    if (!(#faith in this)) return super._destroy(error, callback)
    this.#forget()
    super._destroy(this.#cutOffBy ?? error, callback)
  }
  /* oxlint-enable eslint/no-underscore-dangle */

  /** Removes the socket from those that the interface has to end. */
  #forget(): void {
    open.get(this.#faith)?.delete(this)
    if (drains.size > 0) for (const forget of drains) forget(this)
    atEnd.get(this)?.()
    atEnd.delete(this)
  }

  #changeHandle(handle: Handle | null): void {
    // Destroying a socket removes its handle too, but then the addresses stay.
    if (handle === null && this.destroyed) return
    this.#isCaptured = false
    this.#forget()
    if (handle === null) return
    for (const end of ENDS) Reflect.deleteProperty(this, end)
  }

  /** The socket that the program writes to: the TLS socket around this one, or this one. */
  get #writer(): Socket {
    return tlsAround(this) ?? this
  }

  #cutOff(reason: FaithError): void {
    const writer = this.#writer
    if (this.listenerCount('error') === 0) this.once('error', () => undefined)
    // A TLS socket sends its close_notify after the last byte.
    const hasSaidAll = writer === this ? writer.writableLength === 0 : writer.writableFinished
    if (writer.writableEnded && hasSaidAll) {
      this.destroy(reason)
    } else {
      // A reset shows the client that its stream was cut short.
      this.#cutOffBy = reason
      this.resetAndDestroy()
    }
  }

  /**
   * Connects the client with an IPv4 server and hands both connections to the kernel, which carries the remaining bytes
   * in both directions, with half-close and resets. Resolves when both directions have ended, for any reason. Until
   * then the returned {@link FaithSplice} tells when the server is connected, counts the bytes, and can abort the
   * splice.
   *
   * The server first gets the bytes that this socket has read and the program has not consumed. A program that has
   * looked at the first bytes puts them back with `unshift()`. The client first gets the bytes that the program has
   * written before. The program has to stop reading before the call: remove the `data` handlers and pause the socket.
   *
   * While the server is being connected, the socket does not read, but still belongs to the program. If the promise
   * rejects, the program can read, write, end, destroy or splice the socket again. It flows again if it flowed before,
   * unless bytes that were put back wait and no `data` handler would get them.
   *
   * When the splice begins, the socket leaves Node: it is destroyed and cannot be written, its `data` handlers are
   * removed, its addresses stay, and it emits `close` when the splice has ended. Until then the splice keeps the
   * process running. The close of the interface, `abort()` and the `signal` reset both sides, and the splice ends as
   * `aborted`.
   *
   * @param server - the server to connect to, with the options of the splice
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `ERR_FAITH_SOCKET` when one of the sockets is closed, not connected,
   * has ended writing, has an encoding, is not plain TCP or is spliced already; `ERR_FAITH_DENIED` when the server has a
   * special-purpose, own or loopback address and `allowAny` is not `true`; `ERR_FAITH_CLOSED`; `ECONNREFUSED`,
   * `ETIMEDOUT`, `EHOSTUNREACH`, `ENETUNREACH`, `EACCES`, `EADDRNOTAVAIL` (`localAddress`), `EMFILE` and others of connect(2);
   * `ENOTFOUND` and others of getaddrinfo(3)
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when the splice or its `signal` is aborted before it has begun
   *
   * @example
   * ```ts
   * listener.on('connection', (socket) => {
   *   socket.on('error', () => socket.destroy())
   *   socket.on('end', () => socket.destroy()) // the client ended without a byte
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.once('data', async (head) => {
   *     socket.pause()
   *     socket.unshift(head)
   *     const host = /^host: blue\.example/im.test(head.toString('latin1')) ? '10.0.0.7' : '10.0.0.8'
   *     // Both addresses are private, so `allowAny` is needed. Clients cannot choose another.
   *     try {
   *       const { bytesDown } = await socket.spliceTo({ host, port: 80, allowAny: true })
   *       console.log(`${host} answered with ${bytesDown} bytes`)
   *     } catch (error) {
   *       console.error(error)
   *       socket.destroy() // or answer in place of the server
   *     }
   *   })
   * })
   * ```
   */
  spliceTo(server: FaithSpliceServer): FaithSplice
  /**
   * Connects the client with the peer of another connected socket, like the overload for a server. The other socket
   * leaves Node too. Its unconsumed and unsent bytes go on in the same way.
   *
   * @param socket - the other socket
   * @throws {@link FaithError} as the overload for a server, without the errors of connecting
   *
   * @example
   * ```ts
   * import { connect } from 'node:net'
   *
   * const upstream = connect(80, '192.0.2.1')
   * upstream.on('error', () => socket.destroy())
   * upstream.on('connect', async () => {
   *   const splice = socket.spliceTo(upstream, { idleTimeoutMs: 60_000 })
   *   const limit = setTimeout(() => splice.abort(), 3_600_000) // an hour at most
   *   await splice.catch(() => socket.destroy())
   *   clearTimeout(limit)
   *   console.log(`${splice.bytesUp} bytes up, ${splice.bytesDown} down`)
   * })
   * ```
   */
  spliceTo(socket: Socket, options?: FaithSpliceOptions): FaithSplice
  spliceTo(to: FaithSpliceServer | Socket, options?: FaithSpliceOptions): FaithSplice {
    const [faith, connection, isCaptured] = [this.#faith, this.#connection, this.#isCaptured]
    return splice({ faith, connection, socket: this, isCaptured }, to, options)
  }
}

/** Makes the socket of a server that the relay has connected. */
function adoptServer(server: NonNullable<NativeConnection['server']>): Socket {
  const fd = server.take()
  try {
    return new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** @internal Throws if the runtime cannot make sockets from captured connections. */
export function requireSockets(call: string): void {
  isCapable ??= adoptsDescriptors()
  if (isCapable) return
  const message = `${call}: this runtime, like Bun, cannot make sockets from captured connections`
  throw new FaithError('ERR_FAITH_PLATFORM', message, {
    hint: 'let faith.relay() carry them, or run this program on Node',
  })
}

/** Caches if this runtime can make sockets from captured connections; `undefined` before the first check. */
let isCapable: boolean | undefined
