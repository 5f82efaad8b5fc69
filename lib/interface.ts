/**
 * A faith interface: the capturing device, its prefixes, its listeners and its relays.
 */
import { EventEmitter } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { openUntil } from './abort.js'
import { DRAIN_MS, onExit } from './at-exit.js'
import { publish } from './diagnostics.js'
import { DropWatch, type FaithDropReason, type FaithDrops, toDrops } from './drops.js'
import { closedError, type FaithError, INSIDE, requireInside } from './errors.js'
import { toFaithError, unwrap } from './failure.js'
import { onKeepfaith, requireKeepfaith } from './keepfaith.js'
import { FaithListener, type FaithListenOptions } from './listener.js'
import {
  type NativeFailure,
  type NativeInterface,
  type NativeInterfaceOptions,
  type NativeWarning,
  native,
} from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import { type FaithPrefixChange, FaithPrefixes } from './prefixes.js'
import { FaithRelay } from './relay.js'
import type { FaithRelayOptions } from './relay-options.js'
import { type FaithSessionStats, toSessionStats } from './session.js'
import { FaithSocket } from './socket.js'
import type { FaithWarning } from './warning.js'

/**
 * Options of {@link createFaithInterface}. Every option has a default.
 *
 * @group Interface
 */
export interface FaithInterfaceOptions {
  /** The interface's name, 1 to 15 bytes. Default `faith0`. */
  name?: string
  /**
   * The prefixes to capture, with a length of RFC 6052 (32, 40, 48, 56, 64, 96) and without host bits. Default: the
   * well-known prefix, `64:ff9b::/96`.
   */
  prefixes?: readonly string[]
  /**
   * The interface's MTU in bytes, 1280 to 65535. Default 65535, so that the interface is never the narrow link. The MSS
   * offered to clients is 60 bytes less than this MTU or than the largest MTU of the host's other devices, whichever is
   * less.
   */
  mtu?: number
  /**
   * `true` adds a route to the interface for each prefix to the host's main routing table. Default `true`. With `false`
   * the operator routes by hand: `ip -6 route add 64:ff9b::/96 dev faith0`.
   */
  routes?: boolean
  /**
   * The answer to packets that cannot be relayed, such as UDP. `unreachable` (default): an ICMPv6 error, so that
   * clients fall back to TCP at once. `drop`: none, as on BSD.
   */
  unsupported?: 'unreachable' | 'drop'
  /** Number of threads that capture and relay, 1 to 64. Default: one per core. */
  workers?: number
  /**
   * The way listeners on many ports get their connections. `auto` (default): by an sk_lookup program (Linux 5.9) if
   * kernel and privileges allow it, else on demand. `on-demand`: a port's first SYN makes a listening socket.
   */
  steering?: 'auto' | 'on-demand'
  /**
   * `true` keeps the packets of established connections in the kernel (Linux 6.6, and privileges as for sk_lookup), by
   * a veth pair beside the interface, instead of passing them through this process. Default `true`, if it is possible.
   * Routes and firewalls see these packets as without the shortcut. Packet captures, counters and traffic control of
   * the interface itself miss the packets to the stack.
   */
  shortcut?: boolean
  /** A signal that closes the interface when aborted, like `close()`. Default: none. */
  signal?: AbortSignal
}

/**
 * Options of {@link FaithInterface.close}.
 *
 * @group Interface
 */
export interface FaithInterfaceCloseOptions {
  /**
   * Time for clients of ended connections to acknowledge their last bytes, in milliseconds. Default 5000. With 0 they
   * are reset at once.
   */
  drainMs?: number
}

const OPTIONS: OptionNames<FaithInterfaceOptions> = {
  name: true,
  prefixes: true,
  mtu: true,
  routes: true,
  unsupported: true,
  workers: true,
  steering: true,
  shortcut: true,
  signal: true,
}
const CLOSE: OptionNames<FaithInterfaceCloseOptions> = { drainMs: true }

/**
 * Packets and their bytes, IPv6 headers included.
 *
 * @group Interface
 */
export interface FaithCounters {
  /** Number of packets. A packet of several merged segments counts once. */
  packets: number
  /** Number of their bytes, IPv6 headers included. */
  bytes: number
}

/**
 * The statistics of a faith interface since it was made.
 *
 * @group Interface
 */
export interface FaithInterfaceStats {
  /** Packets from the host to the stack, which terminates the connections. */
  captured: FaithCounters
  /** Packets from the stack to the host. */
  returned: FaithCounters
  /** ICMPv6 Destination Unreachable messages sent. */
  unreachableSent: number
  /**
   * ICMPv6 Destination Unreachable messages withheld by the rate limit: a worker sends at most 200 a second to a /64,
   * and 10000 in all (RFC 4443 section 2.4).
   */
  unreachableLimited: number
  /**
   * Link-local multicast packets that the host itself sent to the interface, as to each of its links: reports of
   * multicast groups, router solicitations. They come from no client, so `drops` leaves them out.
   */
  hostMulticast: number
  /** SYNs held until their server was connected (`connectFirst`). */
  synsHeld: number
  /** SYNs answered at once, because `maxHeld` SYNs were held. */
  synsBeyondHold: number
  /**
   * SYNs not held, because `maxHeldPerClient` SYNs of their client were held, or they came faster than
   * `maxRatePerClient`. They were answered at once, or dropped as `hold` while the `route` of their relay kept the
   * others waiting.
   */
  synsBeyondClientHold: number
  /** Packets dropped, by reason. Reasons that have not occurred are 0. */
  drops: Record<FaithDropReason, number>
  /** The way listeners on many ports get their connections. */
  steering: 'sk_lookup' | 'on-demand'
  /** `true` if the packets of established connections stay in the kernel. */
  shortcut: boolean
  /** Number of threads that capture and relay. */
  workers: number
  /** The splices that `spliceTo()` of a {@link FaithSocket} began. */
  splices: FaithSessionStats
}

/** A listener or a relay of an interface. */
interface Dependent {
  close(): Promise<void>
  closeWaiting?(): void
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
    const read = new OptionReader('createFaithInterface', OPTIONS, options)
    const workers = read.unchecked('workers') === undefined ? {} : { workers: readWorkers(read) }
    const settings = {
      name: read.string('name', 'faith0'),
      prefixes: read.strings('prefixes', ['64:ff9b::/96']),
      mtu: read.integer('mtu', { min: 1280, max: 65_535 }, 65_535),
      routes: read.boolean('routes', true),
      unsupported: read.oneOf('unsupported', ['unreachable', 'drop'], 'unreachable'),
      steering: read.oneOf('steering', ['auto', 'on-demand'], 'auto'),
      shortcut: read.boolean('shortcut', true),
      ...workers,
    }
    const signal = read.signal('signal')
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
    const stats = this.#native.stats()
    return {
      ...stats,
      steering: stats.steering === 'sk_lookup' ? 'sk_lookup' : 'on-demand',
      drops: toDrops(stats.drops),
      splices: toSessionStats(stats.splices),
    }
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
    const read = new OptionReader('faith.close', CLOSE, options)
    const drainMs = read.integer('drainMs', { min: 0, max: MOST }, DRAIN_MS)
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
    const dependent = await open((closed) => this.#dependents.delete(closed))
    if (this.#closing !== undefined) {
      await dependent.close()
      throw closedError(this.name)
    }
    this.#dependents.add(dependent)
    return dependent
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw closedError(this.name)
  }

  #changed(change: FaithPrefixChange): void {
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

function readWorkers(read: OptionReader<'workers'>): number {
  return read.integer('workers', { min: 1, max: 64 }, 1)
}
