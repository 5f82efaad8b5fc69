/**
 * A faith interface: the device that captures, its prefixes, and the listeners and relays that live on it.
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
 * How a faith interface is made; every option has a default.
 *
 * @group Interface
 */
export interface FaithInterfaceOptions {
  /** The interface's name, 1 to 15 bytes. Default `faith0`. */
  name?: string
  /**
   * The prefixes it captures, of a length RFC 6052 knows (32, 40, 48, 56, 64, 96) and without host bits. Default: the
   * well-known prefix, `64:ff9b::/96`.
   */
  prefixes?: readonly string[]
  /**
   * The interface's MTU in bytes, 1280 to 65535. Default 65535, so that it is never the narrow link. Clients are told of
   * segments of 60 bytes less, or as long as the largest MTU among the host's other devices allows, if that is less.
   */
  mtu?: number
  /**
   * Whether the host's main routing table gets a route to the interface for each prefix. Default `true`; without, an
   * administrator routes by hand: `ip -6 route add 64:ff9b::/96 dev faith0`.
   */
  routes?: boolean
  /**
   * What becomes of packets that cannot be relayed, such as UDP. `unreachable` (default): an ICMPv6 answer, so that
   * clients fall back to TCP at once. `drop`: silence, as on BSD.
   */
  unsupported?: 'unreachable' | 'drop'
  /** How many threads capture and relay, 1 to 64. Default: one per core. */
  workers?: number
  /**
   * How listeners on many ports get their connections. `auto` (default): by an sk_lookup program (Linux 5.9) where
   * kernel and privileges allow it, else on demand. `on-demand`: by a listener made when a port's first SYN comes.
   */
  steering?: 'auto' | 'on-demand'
  /**
   * Whether the packets of established connections stay in the kernel (Linux 6.6, and privileges as for sk_lookup)
   * instead of going through this process. Default `true`: where it is possible, by a veth pair beside the interface.
   * They are routed to and from the interface all the same, and firewalls see them, but its own queue does not: packet
   * captures, counters and traffic control of the interface miss those to the stack.
   */
  shortcut?: boolean
  /** Closes the interface when it is aborted, as `close()` does. Default: only `close()` does. */
  signal?: AbortSignal
}

/**
 * How an interface is closed.
 *
 * @group Interface
 */
export interface FaithInterfaceCloseOptions {
  /**
   * How long clients may take to acknowledge what connections that have ended sent them, in milliseconds. Default 5000;
   * with 0 they are reset at once.
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
  /** Packets; one of several merged segments counts once. */
  packets: number
  /** Their bytes, from the IPv6 header on. */
  bytes: number
}

/**
 * What a faith interface has done since it was made.
 *
 * @group Interface
 */
export interface FaithInterfaceStats {
  /** From the host into the stack that ends the connections. */
  captured: FaithCounters
  /** From that stack back to the host. */
  returned: FaithCounters
  /** ICMPv6 Destination Unreachable messages sent. */
  unreachableSent: number
  /**
   * Those that were not sent: a worker thread sends 200 a second to one network of length 64, and 10000 in all
   * (RFC 4443 section 2.4).
   */
  unreachableLimited: number
  /**
   * Link-local multicast that the host itself sent to the interface, as it does on each of its links: reports of
   * multicast groups, router solicitations. It is from no client, so it is not among `drops`.
   */
  hostMulticast: number
  /** SYNs held until their server was connected (`connectFirst`). */
  synsHeld: number
  /** SYNs answered at once all the same, because as many were held as `maxHeld` allows. */
  synsBeyondHold: number
  /**
   * SYNs not held because as many of their client were held as `maxHeldPerClient` allows, or had been within a second as
   * `maxRatePerClient` allows. They were answered at once, or dropped as `hold` while the `route` of their relay kept the
   * others waiting.
   */
  synsBeyondClientHold: number
  /** Packets dropped, by reason; reasons that have not occurred are 0. */
  drops: Record<FaithDropReason, number>
  /** How listeners on many ports get their connections. */
  steering: 'sk_lookup' | 'on-demand'
  /** Whether the packets of established connections stay in the kernel. */
  shortcut: boolean
  /** Threads that capture and relay. */
  workers: number
  /** What became of the sockets that `spliceTo()` of a {@link FaithSocket} gave back, once they were spliced. */
  splices: FaithSessionStats
}

/** What lives on an interface. */
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
  /** The interface is lost: it was deleted, or it cannot go on. It closes itself, and `close` follows. */
  error: [error: FaithError]
  /** Keepfaith was switched, by this thread; from now on the interface captures, or does not. */
  keepfaith: [on: boolean]
  /** A prefix was added to it, or deleted. */
  prefix: [change: FaithPrefixChange]
  /**
   * Packets were dropped: told about once a second, in sums, and not where none were. They are counted from when the
   * first handler is added.
   */
  drop: [drops: FaithDrops]
  /**
   * The interface goes on, but not as it was asked to or as it did before: the shortcut was lost, a route was put back, a
   * worker is stuck. Warnings from before the interface was there come in the first turn of the event loop after; those
   * about its end come before `close`.
   */
  warning: [warning: FaithWarning]
  /** The interface is gone, and its listeners and relays with it. */
  close: []
}

/**
 * A faith interface: IPv6 TCP connections that the host routes to it are captured, whatever their address, and go to
 * the listener or the relay that has their port; where there is none, the client is refused.
 *
 * It exists until it is closed or the process ends, however the process ends. Where Node emits `exit` (when nothing is
 * left to do, after `process.exit()` or an uncaught exception) it is closed first: clients get what connections that
 * have ended sent them, within five seconds where the exit code is 0 and within 200 ms otherwise, for which the
 * process waits, and the others are reset. What Node has not handed to the kernel by then is lost, and its client is
 * reset too. Clients of a process that a signal ends may be told nothing, and wait. When a worker thread is
 * terminated, Node closes its sockets as if they had been ended, and clients have 200 ms. It does not keep the process
 * running; its listeners and relays do.
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
  /** The prefixes it captures; they can be added and deleted at run time. */
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
    // On a turn of its own: what a listener throws is not the fault of whoever switched.
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
    // Once the caller, who waits for the interface, can have added a handler.
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
   * Opens a faith listener: captured connections on its ports become sockets of this process.
   *
   * @throws {@link FaithError} `ERR_FAITH_KEEPFAITH` before `setKeepfaith(true)`; `ERR_FAITH_PORT`;
   * `ERR_FAITH_ARGUMENT`; `EADDRINUSE` when another faith listener or relay has a port; `EADDRNOTAVAIL` when
   * `address` is inside no prefix; `ENOSPC` when no more listeners fit; `ERR_FAITH_CLOSED` when the interface is closed;
   * `ERR_FAITH_PLATFORM` on a runtime whose sockets cannot take over a connection, as Bun
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
   * Opens a relay: captured connections on its ports are carried to IPv4. JavaScript has no part in it, unless a `route`
   * is given, which then decides where each connection goes; its bytes never pass through JavaScript.
   *
   * @throws {@link FaithError} as {@link FaithInterface.listen}; `ERR_FAITH_ACCESS_LIST` with every malformed rule;
   * `EADDRNOTAVAIL` when one of `localAddresses` is no address of this host; `EACCES` when `privilegedLocalPort` needs a capability
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
   * What the interface has done since it was made; after it is closed, what it had done.
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
   * Closes its listeners, aborts what its relays still carry (close them first, with `drainMs`, to let it end), and
   * removes the interface and its routes; `close` is emitted after. Clients of connections that have ended get the
   * rest of what they were sent, within `drainMs`, and are reset when that is over; sockets that have called `end()` are
   * among them, and those inside TLS sockets that have. An HTTP server calls it once a response that ends its
   * connection is written. To let responses end, close the listener and the server before, and wait for the server's
   * `close`. All other sockets are destroyed at once with `ERR_FAITH_CLOSED`: see {@link FaithSocket}. Resets of
   * clients that miss something may take up to three seconds more. Closing again waits for the same end.
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
   * As {@link FaithInterface.close}.
   *
   * @example
   * ```ts
   * {
   *   await using lasting = await createFaithInterface()
   *   console.log(`${lasting.name} captures ${[...lasting.prefixes].join(', ')}`)
   * } // and is closed
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

  /** Tells of dropped packets, and tells if there is still a listener. */
  #dropped(drops: FaithDrops): boolean {
    const wanted = this.listenerCount('drop') > 0
    if (wanted && Object.keys(drops.packets).length > 0) this.emit('drop', drops)
    return wanted
  }

  #lose(failure: NativeFailure): void {
    if (this.#closing !== undefined) return
    // The clients' answers do not arrive any more.
    this.#closing = this.#shut(0, () => toFaithError(failure))
    this.emit('error', toFaithError(failure))
  }

  async #shut(drainMs: number, reason = () => closedError(this.name)): Promise<void> {
    const begun = performance.now()
    const left = (): number => Math.max(0, Math.ceil(begun + drainMs - performance.now()))
    this.#forget()
    this.#drops.stop()
    await Promise.all([...this.#dependents].map((dependent) => dependent.close()))
    // The workers still carry packets to the clients now. Sockets that have ended are destroyed later, because bytes that
    // their clients sent and the program has not read would turn the end into a reset.
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

  /** The same where nothing can be waited for. No event is emitted any more. */
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
 * It needs CAP_NET_ADMIN and CAP_SYS_ADMIN (root, or a user namespace with a network of its own) and /dev/net/tun.
 *
 * @throws {@link FaithError} `EPERM` or `EACCES` when a capability or a permission is missing; `ENOENT` without
 * /dev/net/tun; `EEXIST` when an interface of that name exists, or a prefix is routed elsewhere already (`routes: false`
 * leaves routes alone); `ERR_FAITH_NAME`; `ERR_FAITH_PREFIX`; `ERR_FAITH_ARGUMENT`; `ERR_FAITH_IPV6` when IPv6 is
 * disabled; `EAGAIN` at a limit of threads; `ERR_FAITH_SYSTEM`; `ERR_FAITH_CLOSED` when the interface is deleted while it is made
 * @throws an `AbortError` with the `code` `ABORT_ERR`, when `signal` is aborted before the interface is there
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
 * Waits until the event loop has looked for warnings once more. Those about a close were sent before the close was done,
 * but the loop may look for them before it hears of that, and then looks again a turn later.
 */
async function warningsTold(): Promise<void> {
  await nextTurn()
  await nextTurn()
}

function readWorkers(read: OptionReader<'workers'>): number {
  return read.integer('workers', { min: 1, max: 64 }, 1)
}
