/**
 * The native relay. Rust captures, judges, connects and splices the connections. JavaScript sees only the records of
 * their ends and, with a `route`, their beginnings.
 */
import { EventEmitter } from 'node:events'
import { openUntil } from './abort.js'
import type { AccessList } from './access-list.js'
import { ClientErrors } from './client-errors.js'
import {
  currentClients,
  type FaithClient,
  type FaithClientsOptions,
  readPrefixLength,
} from './clients.js'
import { closedError, INSIDE, requireInside } from './errors.js'
import { unwrap } from './failure.js'
import { liveSessions, readSessionId } from './live.js'
import type { NativeInterface, NativeRelay } from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import {
  type FaithAccessQuestion,
  type FaithPermission,
  readQuestion,
  toPermission,
} from './permission.js'
import { type FaithPlace, takePlace } from './place.js'
import {
  type FaithSetAccessListOptions,
  readAccessListChange,
  RelayChanges,
} from './relay-changes.js'
import type { FaithRelayEvents } from './relay-events.js'
import { type Origin, RelayFeed } from './relay-feed.js'
import { logOf } from './relay-log.js'
import {
  type FaithRelayOptions,
  type FaithRelayUpdate,
  readRelayOptions,
  type RelayOptions,
} from './relay-options.js'
import { type FaithRelayStats, toRelayStats } from './relay-stats.js'
import { Router } from './route.js'
import type { FaithLiveSession } from './session.js'
import { type FaithSessionDetail, toSessionDetail } from './session-detail.js'
import { requireSockets } from './socket.js'
import { type FaithSource, toSource } from './sources.js'

/**
 * Options of {@link FaithRelay.close}.
 *
 * @group Relay and route
 */
export interface FaithRelayCloseOptions {
  /**
   * Time for sessions to end before they are aborted, and for clients of ended sessions to acknowledge their last
   * bytes, in milliseconds. Default 0.
   */
  drainMs?: number
}

const CLOSE: OptionNames<FaithRelayCloseOptions> = { drainMs: true }

/**
 * An open relay. It carries each captured connection to the IPv4 server that the dialled address maps to, or to the
 * server that its `route` names.
 *
 * An open relay keeps the process running, unless {@link FaithRelay.unref} is called.
 *
 * Source: RFC 3142 and faithd(8); the address mapping is RFC 6052's.
 *
 * @example
 * ```ts
 * const relay = await faith.relay({
 *   ports: 'all',
 *   accessList: [{ action: 'permit', destination: '198.51.100.0/24' }],
 * })
 * relay.on('session', ({ client, server, reason }) =>
 *   console.log(`${client.address} to ${server?.address}: ${reason}`),
 * )
 * ```
 *
 * @group Relay and route
 */
export class FaithRelay extends EventEmitter<FaithRelayEvents> implements AsyncDisposable {
  readonly #native: NativeRelay
  readonly #released: (relay: FaithRelay) => void
  readonly #clientErrors = new ClientErrors(this, 'relay')
  readonly #changes: RelayChanges
  #router: Router | undefined
  #closing: Promise<void> | undefined
  /** Closes the relay after a drain of so many milliseconds, or sooner if an earlier call was for less. */
  #drainFor: (drainMs: number) => void = () => {}

  private constructor(
    key: typeof INSIDE,
    native: NativeRelay,
    given: FaithRelayOptions,
    allowLoopback: boolean,
    released: (relay: FaithRelay) => void,
  ) {
    requireInside(key, 'FaithRelay', 'faith.relay()')
    super()
    this.#native = native
    const isClosing = (): boolean => this.#closing !== undefined
    this.#changes = new RelayChanges(native, isClosing, given, allowLoopback)
    this.#released = released
    ;(this as EventEmitter).on('newListener', (event) => {
      if (event === 'connection') requireSockets("relay.on('connection')")
    })
  }

  /** @internal */
  static async open(
    faith: NativeInterface,
    options: FaithRelayOptions,
    released: (relay: FaithRelay) => void,
  ): Promise<FaithRelay> {
    const start: Origin['start'] = (...args) => faith.relay(...args)
    return await FaithRelay.openOn({ name: faith.name, faith, start }, options, released)
  }

  /** @internal Opens a relay whose connections come from elsewhere than an interface. */
  static async openOn(
    origin: Origin,
    options: FaithRelayOptions,
    released: (relay: FaithRelay) => void,
  ): Promise<FaithRelay> {
    const { signal, ...wanted } = readRelayOptions(options)
    const given = { ...options }
    return await openUntil(signal, () => FaithRelay.#start(origin, wanted, given, released))
  }

  static async #start(
    origin: Origin,
    { settings, route }: Omit<RelayOptions, 'signal'>,
    given: FaithRelayOptions,
    released: (relay: FaithRelay) => void,
  ): Promise<FaithRelay> {
    const feed = new RelayFeed(origin)
    const callbacks = feed.callbacks(route !== undefined)
    const native = unwrap(await origin.start(settings, callbacks, logOf(given)))
    const relay = new FaithRelay(INSIDE, native, given, settings.allowLoopback, released)
    if (route) {
      relay.#router = new Router(route, settings.routeTimeoutMs, native, {
        isHeard: () => relay.listenerCount('connection') > 0,
        report: (error) => relay.#clientErrors.report(error),
      })
    }
    feed.open(relay, relay.#router, relay.#clientErrors)
    return relay
  }

  /** @internal The addon's part of a relay, for the DNS server that asks it. */
  static nativeOf(relay: FaithRelay): NativeRelay {
    return relay.#native
  }

  /**
   * Gives the statistics since the relay was opened. After the close they stay as they were at the close.
   *
   * @example
   * ```ts
   * const { sessions, refused } = relay.stats()
   * console.log(`${sessions.active} sessions, ${refused.byReason.refused} refused so far`)
   * ```
   */
  stats(): FaithRelayStats {
    return toRelayStats(this.#native.stats())
  }

  /**
   * Iterates over the current sessions, the oldest first: those that began before the iteration and have not ended when
   * it reaches them. Attempts without a server yet are not included. The iteration takes a few hundred sessions at a
   * time, and lets the event loop turn in between, so a relay with very many sessions goes on working. A closed relay
   * has none.
   *
   * @example
   * ```ts
   * for await (const { id, client, ageMs, bytesDown } of relay.sessions()) {
   *   console.log(`${id}: ${client.address}, ${bytesDown} bytes in ${ageMs} ms`)
   * }
   * ```
   */
  sessions(): AsyncIterableIterator<FaithLiveSession, undefined> {
    return liveSessions(this.#native)
  }

  /**
   * Tells everything about an active session: its state, and for TCP both connections as the kernel describes them, and the
   * side that is slow, if one is.
   *
   * @param id - the session's id, from {@link FaithRelay.sessions}
   * @returns `undefined` if the relay has no such session, or no more
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when the id is not a number
   *
   * @example
   * ```ts
   * for await (const { id } of relay.sessions()) {
   *   const detail = relay.session(id)
   *   if (detail?.slow === 'client') console.log(`${id}: ${detail.legs?.client.unsent} bytes unsent`)
   * }
   * ```
   */
  session(id: number): FaithSessionDetail | undefined {
    const known = readSessionId('relay.session', id)
    const detail = this.#native.session(known)
    return detail === null ? undefined : toSessionDetail(detail)
  }

  /**
   * Iterates over the clients that have sessions now, those with most sessions first. A client is a network of
   * `prefixLength` bits. The sums are those of one moment. A closed relay has no clients.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `prefixLength` is not an integer from 0 to 128
   *
   * @example
   * ```ts
   * for await (const { network, sessions, bytesDown } of relay.clients({ prefixLength: 56 })) {
   *   console.log(`${network}: ${sessions} sessions, ${bytesDown} bytes down`)
   * }
   * ```
   */
  clients(options: FaithClientsOptions = {}): AsyncIterableIterator<FaithClient, undefined> {
    const prefixLength = readPrefixLength(options) ?? this.#changes.given.clientPrefixLength ?? 64
    return currentClients(this.#native, prefixLength)
  }

  /**
   * Tells how far the local addresses of connections to servers are used: those of `localAddresses`, and others that
   * sessions come from. A closed relay has none.
   *
   * @example
   * ```ts
   * for (const { address, portBlocks, maxPortBlocks } of await relay.sources()) {
   *   console.log(`${address}: ${portBlocks} of ${maxPortBlocks} blocks of ports are clients'`)
   * }
   * ```
   */
  async sources(): Promise<FaithSource[]> {
    return (await this.#native.sources()).map(toSource)
  }

  /**
   * Tells how the relay would decide now about a client and a destination, and by which rule, without any effect. The
   * decision depends on the mappings, the access list, special-purpose addresses and this host's own addresses, as for
   * a connection that proceeds. It ignores the `route`, the limits, and the ports and protocols of the relay.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when an address or the port is malformed; `ERR_FAITH_CLOSED` when
   * the relay is closed
   *
   * @example
   * ```ts
   * const destination = { address: embed('8.8.8.8', '64:ff9b::/96'), port: 443 }
   * const { permitted, cause, rule } = relay.permits({ client: '2001:db8::1', destination })
   * if (!permitted) console.log(`denied: ${cause}, by ${rule?.text ?? 'default'}`)
   * ```
   */
  permits(question: FaithAccessQuestion): FaithPermission {
    const { protocol, client, destination } = readQuestion('relay.permits', question)
    const { address, port } = destination
    return toPermission(unwrap(this.#native.permits(protocol, client, address, port)))
  }

  /**
   * Takes a place among the sessions of the relay and of a client, for a connection that the program makes for the client
   * itself, as with {@link FaithInterface.connect}. It counts towards `maxSessions`, `maxSessionsPerClient` and
   * `maxRatePerClient` until it is released, and in no statistics.
   *
   * @param client - the client's IPv6 address
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when the address is malformed; `ERR_FAITH_CLOSED` when the relay is
   * closed
   *
   * @example
   * ```ts
   * const place = relay.takePlace('2001:db8::1')
   * if (!place.taken) console.log(`no connection: ${place.cause}`)
   * place.release() // when the connection has ended
   * ```
   */
  takePlace(client: string): FaithPlace {
    return takePlace(this.#native, client)
  }

  /**
   * Resets the client and the server of a session, which ends as `aborted`.
   *
   * @param id - the session's id, from {@link FaithRelay.sessions}
   * @returns `true` if the relay had such a session
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when the id is not a number
   *
   * @example
   * ```ts
   * for await (const { id, client } of relay.sessions()) {
   *   if (client.address === '2001:db8::bad') relay.abort(id)
   * }
   * ```
   */
  abort(id: number): boolean {
    const known = readSessionId('relay.abort', id)
    return this.#native.abort(known)
  }

  /**
   * Replaces the access list. New connections are judged by the new one. Sessions go on, unless `endDenied` ends those
   * that the new list does not permit. A malformed list changes nothing.
   *
   * @throws {@link FaithError} `ERR_FAITH_ACCESS_LIST` with every malformed rule; `ERR_FAITH_ARGUMENT`;
   * `ERR_FAITH_CLOSED` when the relay is closed
   *
   * @example
   * ```ts
   * await relay.setAccessList('::/0 permit 198.51.100.0/24\n', { endDenied: true })
   * ```
   */
  async setAccessList(list: AccessList, options: FaithSetAccessListOptions = {}): Promise<void> {
    const change = readAccessListChange(list, options)
    await this.#changes.setAccessList(change)
  }

  /**
   * Changes settings of the open relay. They hold for connections from now on; sessions keep the settings that they began
   * with. A session that began while neither the relay nor its client was limited counts towards no limit. If a setting is
   * refused, none changes.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `EADDRNOTAVAIL` if one of `localAddresses` is no address of this host;
   * `EACCES` if `privilegedLocalPort` needs a capability; `ERR_FAITH_CLOSED` if the relay is closed
   *
   * @example
   * ```ts
   * await relay.update({ maxSessionsPerClient: 100, idleTimeoutMs: 600_000 })
   * ```
   */
  async update(settings: FaithRelayUpdate): Promise<void> {
    await this.#changes.update(settings)
  }

  /**
   * Takes no more connections: the relay's ports are free when this resolves. Sessions go on until
   * {@link FaithRelay.close}.
   *
   * @throws {@link FaithError} `ERR_FAITH_CLOSED` if the relay is closed
   *
   * @example
   * ```ts
   * await relay.stop() // another relay may have its ports now
   * await relay.close({ drainMs: 60_000 }) // waits for its sessions
   * ```
   */
  async stop(): Promise<void> {
    if (this.#closing !== undefined) throw closedError('the relay')
    unwrap(await this.#native.stop())
  }

  /**
   * Makes the open relay keep the process running. This is the default.
   *
   * @example
   * ```ts
   * relay.unref().ref() // as before
   * ```
   */
  ref(): this {
    if (this.#closing === undefined) this.#native.ref()
    return this
  }

  /**
   * Lets the process end while the relay is open.
   *
   * @example
   * ```ts
   * relay.unref()
   * ```
   */
  unref(): this {
    if (this.#closing === undefined) this.#native.unref()
    return this
  }

  /**
   * Stops capturing, lets sessions go on for `drainMs`, and then aborts the rest. Resolves when no session is left and
   * clients have acknowledged their last bytes, and emits `close`. Clients that have not when the drain is over get
   * their bytes as long as the interface is open. Sockets given to the program live on as long as the interface. A
   * further call waits for the same close. The shortest `drainMs` that is given counts, each from its own call on.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `drainMs` is not a number of milliseconds
   *
   * @example
   * ```ts
   * await relay.close({ drainMs: 30_000 }) // gives sessions half a minute
   * ```
   */
  async close(options: FaithRelayCloseOptions = {}): Promise<void> {
    const read = new OptionReader('relay.close', CLOSE, options)
    const drainMs = read.integer('drainMs', { min: 0, max: MOST }, 0)
    if (this.#closing === undefined) this.#closing = this.#shut(drainMs)
    else if (options.drainMs !== undefined) this.#drainFor(drainMs)
    await this.#closing
  }

  /**
   * Closes the relay, like {@link FaithRelay.close} without drain.
   *
   * @example
   * ```ts
   * import { once } from 'node:events'
   *
   * {
   *   await using relay = await faith.relay({ port: 80 })
   *   await Promise.race([once(relay, 'session'), once(relay, 'refused')])
   * } // here, after the first client, port 80 is refused again
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #shut(drainMs: number): Promise<void> {
    this.#router?.close()
    await new Promise<void>((resolve, reject) => {
      // The first of several calls that is done has closed the relay.
      this.#drainFor = (most) => void this.#native.close(most).then(resolve, reject)
      this.#drainFor(drainMs)
    })
    // The addon queued the last records before it resolved the promise, but on another queue of the event loop. This
    // turn may have polled that queue already; a whole turn empties it.
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    this.#released(this)
    process.nextTick(() => this.emit('close'))
  }
}
