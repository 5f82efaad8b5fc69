import { closeSync } from 'node:fs'
import { Socket, type SocketConstructorOpts } from 'node:net'
import type { DuplexOptions } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { FaithSessionDestination } from './endpoint.js'
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
 * The destination of a captured connection, and what captured it.
 *
 * @group Listener and sockets
 */
export interface FaithSocketDestination extends FaithSessionDestination {
  /** The faith prefix the address is inside of: `64:ff9b::/96`. */
  prefix: string
  /** The name of the faith interface: `faith0`. */
  interface: string
}

/**
 * How a listener makes its sockets; both as in `net.createServer`.
 *
 * @group Listener and sockets
 */
export interface FaithSocketOptions {
  /**
   * Whether the socket stays writable after the client has ended its side. Default `true`: half-close is passed on
   * by a relay of one's own, and the program calls `end()` when it is done writing.
   */
  allowHalfOpen: boolean
  /** Whether nothing is read until `resume()`. Default `false`. */
  pauseOnConnect: boolean
}

/** @internal How a socket is made: as its listener says, or the server that it is for. */
export interface SocketMaking extends FaithSocketOptions {
  /** In bytes, of either direction; Node's default where it is left out. */
  highWaterMark?: number | undefined
}

/** What the constructor of `Socket` takes; not all of it is in its types. */
type SocketSettings = Pick<SocketConstructorOpts, 'fd' | 'readable' | 'writable'> &
  Pick<DuplexOptions, 'allowHalfOpen' | 'emitClose' | 'autoDestroy' | 'decodeStrings'> & {
    readableHighWaterMark: number | undefined
    writableHighWaterMark: number | undefined
    pauseOnCreate: boolean
    onread: Lender['onread'] | undefined
  }

/** What Node's own sockets find out by themselves. */
const ENDS = [
  'localAddress',
  'localPort',
  'localFamily',
  'remoteAddress',
  'remotePort',
  'remoteFamily',
] as const

/** More is 1 ms to `setTimeout`. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The open sockets of each interface. Node holds them too, as long as they are open. */
const open = new WeakMap<NativeInterface, Set<FaithSocket>>()

/** What is to be done when a socket is destroyed. */
const atEnd = new WeakMap<FaithSocket, () => void>()

/** The drains that go on. Each is told of every socket that an interface does not have to end any more. */
const drains = new Set<(socket: FaithSocket) => void>()

/**
 * @internal Does something when a socket is destroyed. Unlike a handler of its `close` event, no user of the socket can
 * take that away: smtp-server removes all handlers before STARTTLS.
 */
export function whenDestroyed(socket: FaithSocket, call: () => void): void {
  if (socket.destroyed) call()
  else atEnd.set(socket, call)
}

/**
 * A captured connection: a real `net.Socket`, already connected, whose local address is the one the client dialled.
 *
 * Listeners make it, and relays for a {@link FaithRouteSocket}; there is no `connect` event. `localAddress`,
 * `localPort`, `remoteAddress` and `remotePort` are known from the start and stay known after the socket is closed. As
 * with any `net.Socket`, an `error` without a handler, such as the client's reset, is an exception. It is closed when
 * both sides have ended, and learns of the client's end only while it is read: a program that does not want what the
 * client says calls `resume()`, and `setTimeout()` where a client may say nothing for ever.
 *
 * It lives no longer than its interface: when that is closed or deleted, the socket is destroyed with a
 * {@link FaithError} `ERR_FAITH_CLOSED`. Its client is reset, unless it was told the end before: a socket that has ended
 * writing has until the end of the drain to tell it ({@link FaithInterface.close}). Without a handler of its `error`
 * event this is no exception, so that closing an interface does not end the program.
 *
 * @example
 * ```ts
 * listener.on('connection', (socket) => {
 *   const { address, port, ipv4 } = socket.destination
 *   socket.on('error', () => socket.destroy()) // the client has reset it
 *   socket.setTimeout(30_000, () => socket.destroy()) // or stays and says nothing
 *   socket.resume() // what it says does not matter, but its end does
 *   socket.end(`you dialled ${address} port ${port}, which is ${ipv4}\n`)
 * })
 * ```
 *
 * @group Listener and sockets
 */
export class FaithSocket extends Socket {
  /** What the client wanted to reach: getsockname(2) of the captured connection. */
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
   * @internal The socket of a connection, which it takes over, or closes where there can be none. `giver` is the listener
   * or the relay that gives it to the program.
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
   * @internal Ends the open sockets of an interface that is about to be gone, each for a reason of its own. `spare` gets
   * the socket that the program writes to, which may be a TLS socket around the captured one, and says whether to leave
   * it open.
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
   * @internal Resolves when none of the sockets that `giver` gave is open; those that are after `withinMs` it ends, each
   * for a reason of its own.
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
   * @internal Resolves when the open sockets of an interface that have ended writing, by a TLS socket around them too, have
   * handed everything to the kernel, or are closed; after `withinMs` at the latest.
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

  // Private rather than internal: what is internal is not declared at all, and then the constructor of `Socket` is.
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
      // Node sets these itself, to just that. Where its copy of this object does not have them yet, V8 makes a new shape
      // of object for every socket, and what looks at it later knows none of them: a fifth of a short connection's time.
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
    }
    super(settings as SocketConstructorOpts)
    reading?.adopt(this)
    this.#faith = faith
    this.#giver = giver
    this.#connection = connection

    const { address, port, prefix, ipv4, ipv4Port } = connection
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

  /* oxlint-disable eslint/no-underscore-dangle -- that is what streams call it */
  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // Node may give up a socket while it makes it.
    if (!(#faith in this)) return super._destroy(error, callback)
    this.#forget()
    super._destroy(this.#cutOffBy ?? error, callback)
  }
  /* oxlint-enable eslint/no-underscore-dangle */

  /** Removes the socket from those that the interface ends. */
  #forget(): void {
    open.get(this.#faith)?.delete(this)
    if (drains.size > 0) for (const forget of drains) forget(this)
    atEnd.get(this)?.()
    atEnd.delete(this)
  }

  #changeHandle(handle: Handle | null): void {
    // A socket that is destroyed has lost its handle, and keeps its addresses.
    if (handle === null && this.destroyed) return
    this.#isCaptured = false
    this.#forget()
    if (handle === null) return
    for (const end of ENDS) Reflect.deleteProperty(this, end)
  }

  /** The socket that the program writes to: the TLS socket around this one, if there is one, or this one. */
  get #writer(): Socket {
    return tlsAround(this) ?? this
  }

  #cutOff(reason: FaithError): void {
    const writer = this.#writer
    if (this.listenerCount('error') === 0) this.once('error', () => undefined)
    // A TLS socket has something to say after its last byte.
    const hasSaidAll = writer === this ? writer.writableLength === 0 : writer.writableFinished
    if (writer.writableEnded && hasSaidAll) {
      this.destroy(reason)
    } else {
      // A stream that is cut short must not look complete.
      this.#cutOffBy = reason
      this.resetAndDestroy()
    }
  }

  /**
   * Gives the connection back: it is connected with an IPv4 server, or with the peer of another socket, and the kernel
   * carries the rest, both ways, half-close and resets included. Resolves when that has ended, however it did. Before, the
   * returned promise tells when it is connected and how many bytes it has carried, and can abort it: {@link FaithSplice}.
   *
   * The server gets first what this socket has read and nobody has consumed, so whoever has looked at the beginning
   * puts it back with `unshift()`; and the client gets first what was written before. The bytes of another socket are
   * treated likewise. Whoever reads has to stop before, as a `data` listener does that removes itself and pauses.
   *
   * While the server is being connected nothing is read, and the socket remains what it is: when the promise rejects, it
   * can be read, written, ended, destroyed or spliced elsewhere. It flows again only if it has `data` listeners.
   *
   * Then Node is done with it. It is destroyed, so that nothing can be written; its `data` listeners are removed; its
   * addresses stay; and `close` is emitted when the splice has ended. Until that the splice keeps the process running.
   * It ends with the interface, or when it or its `signal` is aborted; each resets both sides (`aborted`).
   *
   * @param server - a server that is to be connected to, with the options of the splice
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `ERR_FAITH_SOCKET` when one of the sockets is closed, not connected,
   * has ended writing, has an encoding, is not plain TCP or is spliced already; `ERR_FAITH_DENIED` when the server has a
   * special-purpose, own or loopback address and `allowAny` is not `true`; `ERR_FAITH_CLOSED`; `ECONNREFUSED`,
   * `ETIMEDOUT`, `EHOSTUNREACH`, `ENETUNREACH`, `EACCES`, `EADDRNOTAVAIL` (`localAddress`), `EMFILE` and others of connect(2);
   * `ENOTFOUND` and others of getaddrinfo(3)
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when it or its `signal` is aborted before it has begun
   *
   * @example
   * ```ts
   * listener.on('connection', (socket) => {
   *   socket.on('error', () => socket.destroy())
   *   socket.on('end', () => socket.destroy()) // before it has said anything
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.once('data', async (head) => {
   *     socket.pause()
   *     socket.unshift(head)
   *     const host = /^host: blue\.example/im.test(head.toString('latin1')) ? '10.0.0.7' : '10.0.0.8'
   *     // Both addresses are private, and no client can name another.
   *     try {
   *       const { bytesDown } = await socket.spliceTo({ host, port: 80, allowAny: true })
   *       console.log(`${host} answered with ${bytesDown} bytes`)
   *     } catch (error) {
   *       console.error(error)
   *       socket.destroy() // or answer in its place
   *     }
   *   })
   * })
   * ```
   */
  spliceTo(server: FaithSpliceServer): FaithSplice
  /**
   * Connects the client with the peer of another socket, which is connected already, as the overload for a server does with
   * that server. The other socket leaves Node too, and its bytes are treated likewise.
   *
   * @param socket - the other socket
   * @throws {@link FaithError} as the overload for a server, but for what connecting fails by
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

/** @internal Refuses a call that needs captured connections to become sockets, where the runtime has none for them. */
export function requireSockets(call: string): void {
  isCapable ??= adoptsDescriptors()
  if (isCapable) return
  const message = `${call}: this runtime, as Bun, cannot make sockets of captured connections`
  throw new FaithError('ERR_FAITH_PLATFORM', message, {
    hint: 'let faith.relay() carry them, or run this program on Node',
  })
}

/** Whether this runtime has sockets for captured connections; found out when it is first asked. */
let isCapable: boolean | undefined
