/**
 * A faith interface: the capturing device, its prefixes, its listeners and its relays.
 */
import { EventEmitter } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { openUntil } from './abort.js'
import { onExit } from './at-exit.js'
import { FaithUdpSocket } from './bind-udp.js'
import type { FaithBindUdpOptions } from './bind-udp-options.js'
import { connect, type FaithConnectOptions } from './connect.js'
import { publish } from './diagnostics.js'
import { FaithDns64 } from './dns64.js'
import type { FaithDns64Options } from './dns64-options.js'
import { DropWatch, type FaithDrops, toDrops } from './drops.js'
import { closedError, type FaithError, INSIDE, requireInside } from './errors.js'
import { toFaithError, unwrap } from './failure.js'
import {
  type FaithInterfaceCloseOptions,
  type FaithInterfaceOptions,
  readInterfaceClose,
  readInterfaceOptions,
} from './interface-options.js'
import { type FaithInterfaceStats, toInterfaceStats } from './interface-stats.js'
import { onKeepfaith, requireKeepfaith } from './keepfaith.js'
import { FaithListener } from './listener.js'
import type { FaithListenOptions } from './listener-options.js'
import {
  type NativeFailure,
  type NativeInterface,
  type NativeInterfaceOptions,
  type NativeRelay,
  type NativeWarning,
  native,
} from './native.js'
import { type FaithPrefixChange, FaithPrefixes } from './prefixes.js'
import { FaithRelay } from './relay.js'
import type { FaithRelayOptions } from './relay-options.js'
import { FaithSocket } from './socket.js'
import type { FaithWarning } from './warning.js'

/** A listener, a relay, a UDP socket or a DNS server of an interface. */
interface Dependent {
  close(): Promise<void>
  closeWaiting?(): void
  /** Learns that the prefixes or the relays of the interface have changed. */
  follow?(): void
}

/**
 * The events of a {@link FaithInterface}.
 *
 * @group Interface
 */
export interface FaithInterfaceEvents {
  /** The interface is lost: another program deleted it, or it cannot go on. It closes itself, and `close` follows. */
  error: [error: FaithError]
  /** This thread switched keepfaith. `on` is `true` if the interface captures from now on. */
  keepfaith: [on: boolean]
  /** A prefix was added to the interface, or deleted. */
  prefix: [change: FaithPrefixChange]
  /**
   * Packets were dropped. The event comes about once a second, with sums, unless no packet was dropped. Counting begins
   * when the first handler is added.
   */
  drop: [drops: FaithDrops]
  /**
   * The interface goes on with a restriction: the shortcut was lost, a route was restored, a worker is stuck. Warnings
   * from the creation come in the first turn of the event loop after it. Warnings about the close come before `close`.
   */
  warning: [warning: FaithWarning]
  /** The interface is closed, with its listeners and relays. */
  close: []
}

/**
 * A faith interface. It captures the IPv6 TCP connections to its prefixes that the host routes to it, and gives each to
 * the listener or the relay that has the port. It refuses connections to other ports.
 *
 * The interface exists until it is closed or the process ends, for any reason. If Node emits `exit` (when nothing is
 * left to do, after `process.exit()` or an uncaught exception), the interface closes first, and the process waits for
 * it: clients of ended connections get their last bytes, within five seconds if the exit code is 0 and within 200 ms
 * otherwise. All other clients are reset. Bytes that Node has not handed to the kernel by then are lost, and their
 * clients are reset too. If a signal ends the process, clients may get no reset and wait. When a worker thread is
 * terminated, Node closes its sockets as if they had been ended, and clients have 200 ms. The interface does not keep
 * the process running; its listeners and relays do.
 *
 * Source: faith(4).
 *
 * @example
 * ```ts
 * faith.on('error', (error) => console.error(`${faith.name} is lost: ${error.message}`))
 * for (const prefix of faith.prefixes) console.log(`${faith.name} captures ${prefix}`)
 * ```
 *
 * @group Interface
 */
export class FaithInterface extends EventEmitter<FaithInterfaceEvents> implements AsyncDisposable {
  /** The interface's name: `faith0`. */
  readonly name: string
  /** The captured prefixes. They can be added and deleted at run time. */
  readonly prefixes: FaithPrefixes
  readonly #native: NativeInterface
  readonly #dependents = new Set<Dependent>()
  readonly #forget: () => void
  readonly #gone: () => void
  readonly #drops: DropWatch
  #closing: Promise<void> | undefined
  #isClosed = false

  private constructor(key: typeof INSIDE, nativeInterface: NativeInterface) {
    requireInside(key, 'FaithInterface', 'createFaithInterface()')
    super()
    this.#native = nativeInterface
    this.name = nativeInterface.name
    this.prefixes = FaithPrefixes.of(
      nativeInterface,
      () => this.#requireOpen(),
      (change) => this.#changed(change),
    )
    this.#drops = new DropWatch(
      () => toDrops(nativeInterface.stats().drops),
      (drops) => this.#dropped(drops),
    )
    ;(this as EventEmitter).on('newListener', (event) => {
      if (event === 'drop' && this.#closing === undefined) this.#drops.start()
    })
    // In a tick of its own, so that an error thrown by a handler does not reach the caller of setKeepfaith().
    this.#forget = onKeepfaith((on) => process.nextTick(() => this.emit('keepfaith', on)))
    this.#gone = onExit((drainMs) => this.#shutSync(drainMs))
  }

  /** @internal */
  static async create(options: FaithInterfaceOptions): Promise<FaithInterface> {
    const { settings, signal } = readInterfaceOptions(options)
    return await openUntil(signal, () => FaithInterface.#make(settings))
  }

  static async #make(settings: NativeInterfaceOptions): Promise<FaithInterface> {
    let lostEarly: NativeFailure | undefined
    let lose = (failure: NativeFailure): void => void (lostEarly = failure)
    let warn = (warnings: NativeWarning[]): void => void early.push(...warnings)
    const early: NativeWarning[] = []
    const unready = native.unready()
    if (unready) throw toFaithError(unready)
    const created = await native.createInterface(
      settings,
      (failure) => lose(failure),
      (warnings) => warn(warnings),
    )
    const faith = new FaithInterface(INSIDE, unwrap(created))
    // By then the caller, who awaits the interface, has added its handlers.
    setImmediate(() => {
      warn = (warnings) => faith.#warn(warnings)
      warn(early)
    })
    lose = (failure) => faith.#lose(failure)
    if (lostEarly !== undefined) {
      await faith.close()
      throw toFaithError(lostEarly)
    }
    return faith
  }

  /**
   * Opens a faith listener. Captured connections to its ports become sockets of this process.
   *
   * @throws {@link FaithError} `ERR_FAITH_KEEPFAITH` before `setKeepfaith(true)`; `ERR_FAITH_PORT`;
   * `ERR_FAITH_ARGUMENT`; `EADDRINUSE` when another faith listener or relay has a port; `EADDRNOTAVAIL` when `address`
   * is inside no prefix; `ENOSPC` when no more listeners fit; `ERR_FAITH_CLOSED` when the interface is closed;
   * `ERR_FAITH_PLATFORM` on a runtime whose sockets cannot take over a connection, like Bun
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the listener is open
   *
   * @example
   * ```ts
   * const listener = await faith.listen({ port: 80 })
   * listener.on('connection', (socket) => {
   *   socket.on('error', () => socket.destroy()).resume()
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.end(`${socket.destination.ipv4} is not here\n`)
   * })
   * ```
   */
  listen(options: FaithListenOptions): Promise<FaithListener> {
    return this.#open('listen', (released) => FaithListener.open(this.#native, options, released))
  }

  /**
   * Opens a relay, which carries captured connections to IPv4 servers. JavaScript runs only if a `route` is given,
   * which then chooses the server of each connection. The bytes never pass through JavaScript.
   *
   * @throws {@link FaithError} as {@link FaithInterface.listen}; `ERR_FAITH_ACCESS_LIST` with every malformed rule;
   * `EADDRNOTAVAIL` when one of `localAddresses` is not an address of this host; `EACCES` when `privilegedLocalPort`
   * needs a capability
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the relay is open
   *
   * @example
   * ```ts
   * const relay = await faith.relay({ ports: 'all', idleTimeoutMs: 600_000 })
   * ```
   */
  relay(options: FaithRelayOptions): Promise<FaithRelay> {
    return this.#open('relay', (released) => FaithRelay.open(this.#native, options, released))
  }

  /**
   * Binds a socket for the datagrams to ports of UDP, at every address of the interface or at one. The program gets them in
   * the shape of `node:dgram`, with the address that each client dialled, and answers from there.
   *
   * @throws {@link FaithError} `ERR_FAITH_KEEPFAITH` before `setKeepfaith(true)`; `ERR_FAITH_PORT`;
   * `ERR_FAITH_ARGUMENT`; `EADDRINUSE` when another such socket, or a relay of datagrams, has a port; `EADDRNOTAVAIL`
   * when `address` is inside no prefix; `ERR_FAITH_CLOSED` when the interface is closed
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the socket is bound
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 7 })
   * udp.on('message', (data, { address, port, destination }) => {
   *   console.log(`${address} says ${data.toString()} to ${destination.address}`)
   *   udp.send(data, port, address)
   * })
   * ```
   */
  bindUdp(options: FaithBindUdpOptions): Promise<FaithUdpSocket> {
    return this.#open('bindUdp', (released) => {
      return FaithUdpSocket.open(this.#native, options, released)
    })
  }

  /**
   * Opens a DNS server that gives clients addresses in the prefixes of the interface, for names that have IPv4 addresses
   * only. It follows the prefixes and the relays of the interface: without a relay it answers as its upstreams do.
   *
   * @throws {@link FaithError} `ERR_FAITH_KEEPFAITH` before `setKeepfaith(true)`; `ERR_FAITH_ARGUMENT`; `EADDRINUSE` when
   * another program has the address and port; `EACCES` when the port needs a capability; `EADDRNOTAVAIL` when this host
   * does not have the address; `ERR_FAITH_CLOSED` when the interface is closed
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the server is open
   *
   * @example
   * ```ts
   * await faith.relay({ ports: 'all' })
   * await faith.dns64({ clients: ['2001:db8:1::/64'], upstreams: [{ address: '192.0.2.53' }] })
   * ```
   *
   * @example
   * ```ts
   * const containers = new Map([['db.internal', ['10.0.0.7']]])
   * await faith.dns64({
   *   resolve: ({ name }) => containers.get(name) ?? null,
   *   resolveNames: ['internal'],
   * })
   * ```
   */
  dns64(options: FaithDns64Options = {}): Promise<FaithDns64> {
    const view = {
      prefixes: () => [...this.prefixes],
      refusesOthers: true,
      relays: () => this.#relays(),
    }
    return this.#open('dns64', (released) => FaithDns64.open(view, options, released))
  }

  /**
   * Connects to a client from an address inside a prefix, as an IPv4 server connects to the client of active FTP. The
   * socket is like one of a listener: its local address is `from`, and `spliceTo()` works. Its `destination` is this
   * side's address and port, without `ipv4`.
   *
   * The host routes the packets, so its firewall must permit new connections from the interface to clients.
   *
   * @throws {@link FaithError} `ERR_FAITH_KEEPFAITH` before `setKeepfaith(true)`; `ERR_FAITH_ARGUMENT`, also when `to` is
   * no address of a client; `EADDRNOTAVAIL` when `from` is inside no prefix, or both ends have a connection already;
   * `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` and others of connect(2); `EADDRINUSE` when a
   * listener has `fromPort` for itself; `ERR_FAITH_CLOSED`; `ERR_FAITH_PLATFORM` on a runtime whose sockets cannot take over
   * a connection, like Bun
   * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the connection is made
   *
   * @example
   * ```ts
   * listener.on('connection', async (control) => {
   *   control.on('error', () => control.destroy()).resume()
   *   const { localAddress: from, remoteAddress: to } = control
   *   try {
   *     const data = await faith.connect({ from, fromPort: 20, to, port: 50_000 })
   *     data.on('error', () => data.destroy()).resume()
   *     data.end(`from port 20 of ${from}\n`)
   *     control.end('226 Transfer complete\r\n')
   *   } catch (error) {
   *     control.end('425 Cannot open the data connection\r\n')
   *     console.error(error)
   *   }
   * })
   * ```
   */
  async connect(options: FaithConnectOptions): Promise<FaithSocket> {
    this.#requireOpen()
    requireKeepfaith('faith.connect')
    const socket = await connect(this.#native, this, options)
    if (this.#closing === undefined) return socket
    socket.resetAndDestroy()
    throw closedError(this.name)
  }

  /**
   * Gives the statistics since the interface was made. After the close they stay as they were, but `shortcut` is
   * `false`.
   *
   * @example
   * ```ts
   * const { captured, drops } = faith.stats()
   * console.log(`${captured.packets} packets captured, ${drops.unsupported} not TCP`)
   * ```
   */
  stats(): FaithInterfaceStats {
    return toInterfaceStats(this.#native.stats())
  }

  /**
   * Closes the listeners, aborts the sessions of the relays, removes the interface and its routes, and emits `close`.
   * To let sessions end by themselves, close the relays before, with `drainMs`.
   *
   * Clients of ended connections get their last bytes within `drainMs`, and are reset after that. A connection counts
   * as ended once the program has called `end()` on its socket, or on the TLS socket around it. An HTTP server calls
   * `end()` when it has written a response that ends its connection. To let responses end, close the listener and the
   * server before, and wait for the server's `close`. All other sockets are destroyed at once with `ERR_FAITH_CLOSED`:
   * see {@link FaithSocket}. Resets of clients that miss bytes may take up to three seconds more. A second call waits
   * for the same close.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `drainMs` is not a number of milliseconds
   *
   * @example
   * ```ts
   * const relay = await faith.relay({ ports: 'all' })
   * process.once('SIGTERM', async () => {
   *   await relay.close({ drainMs: 5_000 })
   *   await faith.close({ drainMs: 1_000 })
   * })
   * ```
   */
  async close(options: FaithInterfaceCloseOptions = {}): Promise<void> {
    const drainMs = readInterfaceClose(options)
    this.#closing ??= this.#shut(drainMs)
    await this.#closing
  }

  /**
   * Closes the interface, like {@link FaithInterface.close}.
   *
   * @example
   * ```ts
   * {
   *   await using lasting = await createFaithInterface()
   *   console.log(`${lasting.name} captures ${[...lasting.prefixes].join(', ')}`)
   * } // closed here
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #open<T extends Dependent>(
    call: string,
    open: (released: (dependent: T) => void) => Promise<T>,
  ): Promise<T> {
    this.#requireOpen()
    requireKeepfaith(`faith.${call}`)
    const dependent = await open((closed) => {
      this.#dependents.delete(closed)
      this.#follow()
    })
    if (this.#closing !== undefined) {
      await dependent.close()
      throw closedError(this.name)
    }
    this.#dependents.add(dependent)
    this.#follow()
    return dependent
  }

  /** Tells DNS servers that the prefixes or the relays have changed. */
  #follow(): void {
    for (const dependent of this.#dependents) dependent.follow?.()
  }

  /** The relays, the one opened first before the others. */
  #relays(): NativeRelay[] {
    const relays = [...this.#dependents].filter((one) => one instanceof FaithRelay)
    return relays.map((relay) => FaithRelay.nativeOf(relay))
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closedError(this.name)
  }

  #changed(change: FaithPrefixChange): void {
    this.#follow()
    process.nextTick(() => {
      this.emit('prefix', change)
      publish('faithd:prefix', () => ({ interface: this.name, ...change }))
    })
  }

  #warn(warnings: readonly NativeWarning[]): void {
    for (const warning of warnings as readonly FaithWarning[]) {
      if (this.#isClosed) return
      this.emit('warning', warning)
      publish('faithd:warning', () => ({ interface: this.name, ...warning }))
    }
  }

  /** Reports dropped packets. Gives `false` if the event has no handler any more. */
  #dropped(drops: FaithDrops): boolean {
    const wanted = this.listenerCount('drop') > 0
    if (wanted && Object.keys(drops.packets).length > 0) this.emit('drop', drops)
    return wanted
  }

  #lose(failure: NativeFailure): void {
    if (this.#closing !== undefined) return
    // No drain: the answers of clients do not arrive any more.
    this.#closing = this.#shut(0, () => toFaithError(failure))
    this.emit('error', toFaithError(failure))
  }

  async #shut(drainMs: number, reason = () => closedError(this.name)): Promise<void> {
    const begun = performance.now()
    const left = (): number => Math.max(0, Math.ceil(begun + drainMs - performance.now()))
    this.#forget()
    this.#drops.stop()
    await Promise.all([...this.#dependents].map((dependent) => dependent.close()))
    // The workers still carry packets to the clients. Ended sockets are destroyed later, because closing a socket with
    // unread bytes makes the kernel send a reset instead of the end.
    FaithSocket.cutOff(this.#native, reason, (writer) => drainMs > 0 && writer.writableEnded)
    await FaithSocket.handOver(this.#native, left())
    await this.#native.deliver(left())
    FaithSocket.cutOff(this.#native, reason)
    await this.#native.close()
    this.#gone()
    await warningsTold()
    process.nextTick(() => {
      this.#isClosed = true
      this.emit('close')
    })
  }

  /** Closes synchronously, at the exit of the process. It emits no events. */
  #shutSync(drainMs: number): void {
    this.#closing ??= Promise.resolve()
    for (const dependent of this.#dependents) dependent.closeWaiting?.()
    const reason = (): FaithError => closedError(this.name)
    FaithSocket.cutOff(this.#native, reason, (writer) => writer.writableFinished)
    this.#native.deliverSync(drainMs)
    FaithSocket.cutOff(this.#native, reason)
    this.#native.closeSync()
  }
}

/**
 * Creates a faith interface, the private network namespace behind it, and the routes to it.
 *
 * Needs CAP_NET_ADMIN and CAP_SYS_ADMIN (root, or a user namespace with a network of its own) and /dev/net/tun.
 *
 * @throws {@link FaithError} `EPERM` or `EACCES` when a capability or a permission is missing; `ENOENT` without
 * /dev/net/tun; `EEXIST` when an interface of that name exists, or a prefix is routed elsewhere already (`routes: false`
 * leaves routes alone); `ERR_FAITH_NAME`; `ERR_FAITH_PREFIX`; `ERR_FAITH_ARGUMENT`; `ERR_FAITH_IPV6` when IPv6 is
 * disabled; `EAGAIN` at a limit of threads; `ERR_FAITH_SYSTEM`; `ERR_FAITH_CLOSED` when the interface is deleted while it is made
 * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the interface is made
 *
 * @example
 * ```ts
 * setKeepfaith(true)
 * const faith = await createFaithInterface({ name: 'faith0', prefixes: ['64:ff9b::/96'] })
 * const relay = await faith.relay({ ports: 'all' })
 * process.once('SIGTERM', () => faith.close())
 * ```
 *
 * @group Interface
 */
export function createFaithInterface(options: FaithInterfaceOptions = {}): Promise<FaithInterface> {
  return FaithInterface.create(options)
}

/**
 * Waits until the event loop has delivered all warnings about the close. The addon sends them before the close
 * resolves, but on another queue. The loop may have polled that queue before, and then polls it again one turn later.
 */
async function warningsTold(): Promise<void> {
  await nextTurn()
  await nextTurn()
}
