/**
 * The native relay: connections are captured, judged, connected and spliced in Rust. JavaScript sees only their ends,
 * and, where there is a `route`, their beginnings.
 */
import { EventEmitter } from 'node:events'
import { openUntil } from './abort.js'
import { type AccessList, accessListText, LIST } from './access-list.js'
import { isHeard, publish, publishAccepted, tellShortages } from './diagnostics.js'
import { Early } from './early.js'
import { closedError, FaithError, INSIDE, requireInside } from './errors.js'
import type { FaithShortage } from './exhausted.js'
import { unwrap } from './failure.js'
import type {
  NativeConnection,
  NativeInterface,
  NativeQuestion,
  NativeRefusal,
  NativeRelay,
  NativeSession,
  NativeShortage,
} from './native.js'
import { MOST, type OptionNames, OptionReader, show } from './option-reader.js'
import {
  type FaithAccessQuestion,
  type FaithPermission,
  readQuestion,
  toPermission,
} from './permission.js'
import { type FaithRelayOptions, readRelayOptions, type RelayOptions } from './relay-options.js'
import { routeError, Router, unheard } from './route.js'
import { liveSessions } from './live.js'
import { FaithSocket, type FaithSocketOptions, requireSockets } from './socket.js'
import { type FaithRefusal, toRefusal } from './refusal.js'
import { type FaithRelayStats, toRelayStats } from './relay-stats.js'
import { type FaithLiveSession, type FaithSession, toSession } from './session.js'

const AS_ACCEPTED: FaithSocketOptions = { allowHalfOpen: true, pauseOnConnect: false }

/**
 * What a new access list means for sessions and loopback.
 *
 * @group Relay and route
 */
export interface FaithSetAccessListOptions {
  /** As {@link FaithRelaySettings.allowLoopback}. Default: as before. */
  allowLoopback?: boolean
  /**
   * Whether sessions that it does not permit end, as `aborted`. Sessions to servers that `route` named go on; those that
   * proceeded are judged. Default `false`: all go on.
   */
  endDenied?: boolean
}

/**
 * How a relay is closed.
 *
 * @group Relay and route
 */
export interface FaithRelayCloseOptions {
  /**
   * How long sessions may go on before they are aborted, and clients of those that have ended may take to acknowledge
   * what they were sent, in milliseconds. Default 0.
   */
  drainMs?: number
}

const LIST_OPTIONS: OptionNames<FaithSetAccessListOptions> = {
  allowLoopback: true,
  endDenied: true,
}
const CLOSE: OptionNames<FaithRelayCloseOptions> = { drainMs: true }

/**
 * The events of a {@link FaithRelay}.
 *
 * @group Relay and route
 */
export interface FaithRelayEvents {
  /** A session has ended: a client and a server that were joined. None is told without `sessionEvents`. */
  session: [session: FaithSession]
  /**
   * An attempt came to no session: it was denied, refused, timed out, over a limit or given up. No `session` event tells
   * of it, and none of either is told without `sessionEvents`. An attempt may have cost its sender one packet, so at most
   * 50 of each reason are told per second: `stats().refused` counts all, `stats().untold` the rest.
   */
  refused: [refusal: FaithRefusal]
  /**
   * A connection that `route` wanted to have itself, by the verdict `{ socket: true }`. It is a socket like those of a
   * {@link FaithListener}: half-open, reading from the start, and no longer the relay's. Adding a handler throws
   * `ERR_FAITH_PLATFORM` where {@link FaithInterface.listen} does.
   */
  connection: [socket: FaithSocket]
  /**
   * The host lacks something that new connections need: descriptors, memory, ports to connect from, or a local
   * address. New connections wait in the kernel's queue, or are refused and end as `exhausted`, for want of an
   * address as `error` with the cause `no-source`; sessions go on, and all is well again by itself when there is more.
   * Told at most once a minute for each, and on the channel `faithd:exhausted`.
   */
  exhausted: [shortage: FaithShortage]
  /**
   * `route` gave no verdict on a connection, whose client was refused: `ERR_FAITH_ROUTE`, with the reason as its
   * `cause`. The relay goes on. Where nobody listens this is no exception, unlike other `error` events: one client must
   * not end the process. The first one is a process warning then, and the rest show in
   * `stats().refused.byCause`.
   */
  error: [error: FaithError]
  /** The relay is closed, by `close()` or with its interface; every session has ended and been told. */
  close: []
}

/**
 * A relay at work: it carries each captured connection to the IPv4 destination inside its address.
 *
 * While it is open it keeps the process running, unless told otherwise by {@link FaithRelay.unref}.
 *
 * Source: RFC 3142 and faithd(8); the address mapping is RFC 6052's.
 *
 * @example
 * ```ts
 * const relay = await faith.relay({
 *   ports: 'all',
 *   accessList: [{ action: 'permit', destination: '198.51.100.0/24' }],
 * })
 * relay.on('session', ({ client, destination, reason }) =>
 *   console.log(`${client.address} to ${destination.ipv4}: ${reason}`),
 * )
 * ```
 *
 * @group Relay and route
 */
export class FaithRelay extends EventEmitter<FaithRelayEvents> implements AsyncDisposable {
  readonly #native: NativeRelay
  readonly #faith: NativeInterface
  readonly #released: (relay: FaithRelay) => void
  #allowLoopback: boolean
  #setting: Promise<unknown> = Promise.resolve()
  #router: Router | undefined
  #warned = false
  #closing: Promise<void> | undefined

  private constructor(
    key: typeof INSIDE,
    native: NativeRelay,
    faith: NativeInterface,
    allowLoopback: boolean,
    released: (relay: FaithRelay) => void,
  ) {
    requireInside(key, 'FaithRelay', 'faith.relay()')
    super()
    this.#native = native
    this.#faith = faith
    this.#allowLoopback = allowLoopback
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
    const { signal, ...wanted } = readRelayOptions(options)
    return await openUntil(signal, () => FaithRelay.#start(faith, wanted, released))
  }

  static async #start(
    faith: NativeInterface,
    { settings, sessionEvents, route }: Omit<RelayOptions, 'signal'>,
    released: (relay: FaithRelay) => void,
  ): Promise<FaithRelay> {
    const sessions = new Early<NativeSession>()
    const refusals = new Early<NativeRefusal>()
    // Connections that come before there is a relay to answer by wait too.
    const questions = new Early<NativeQuestion>()
    const withdrawn = new Early<number>()
    const shortages = new Early<NativeShortage>()
    const onConnections = (batch: NativeConnection[]): void => {
      // Each on a turn of its own: what a listener throws does not lose the others, and what it leaves to be done at once
      // is done before the next.
      for (const connection of batch) setImmediate(() => relay.#give(connection))
    }
    const opened = await faith.relay(settings, {
      onShortages: shortages.push,
      ...(sessionEvents && { onSessions: sessions.push, onRefusals: refusals.push }),
      ...(route && {
        onQuestions: questions.push,
        onConnections,
        onWithdrawn: withdrawn.push,
      }),
    })
    const native = unwrap(opened)
    const relay = new FaithRelay(INSIDE, native, faith, settings.allowLoopback, released)
    if (route) {
      relay.#router = new Router(route, settings.routeTimeoutMs, native, {
        isHeard: () => relay.listenerCount('connection') > 0,
        report: (error) => relay.#report(error),
      })
    }
    setImmediate(() => {
      shortages.open((batch) => tellShortages(relay, faith.name, batch))
      questions.open((batch) => relay.#router?.ask(batch))
      withdrawn.open((batch) => relay.#router?.withdraw(batch))
      sessions.open((batch) => {
        for (const record of batch) relay.#tell(record)
      })
      refusals.open((batch) => {
        for (const record of batch) relay.#tellRefusal(record)
      })
    })
    return relay
  }

  /**
   * What the relay has done since it was opened; after it is closed, what it had done.
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
   * The sessions that go on, the oldest first: those that began before the iteration, and have not ended when it comes
   * to them. Attempts that have no server yet are not among them. They are looked at a few hundred at a time, and in
   * between the event loop turns, so that a relay with very many goes on working. A closed relay has none.
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
   * Says what the relay would decide now about a client and a destination, and by which rule; nothing comes of it. Mappings,
   * access list, special-purpose addresses and this host's own are asked, as for a connection that proceeds. The `route`
   * and the limits are not asked, and neither is whether the relay takes the port.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` for what is no address or port; `ERR_FAITH_CLOSED` when the relay is
   * closed
   *
   * @example
   * ```ts
   * const destination = { address: embed('8.8.8.8', '64:ff9b::/96'), port: 443 }
   * const { permitted, cause, rule } = relay.permits({ client: '2001:db8::1', destination })
   * if (!permitted) console.log(`denied: ${cause}, by ${rule?.text ?? 'default'}`)
   * ```
   */
  permits(question: FaithAccessQuestion): FaithPermission {
    const { client, destination } = readQuestion('relay.permits', question)
    const { address, port } = destination
    return toPermission(unwrap(this.#native.permits(client, address, port)))
  }

  /**
   * Resets the client and the server of a session, which ends as `aborted`.
   *
   * @param id - its id, as {@link FaithRelay.sessions} has it
   * @returns whether there was such a session
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when the id is no number
   *
   * @example
   * ```ts
   * for await (const { id, client } of relay.sessions()) {
   *   if (client.address === '2001:db8::bad') relay.abort(id)
   * }
   * ```
   */
  abort(id: number): boolean {
    if (Number.isSafeInteger(id) && id >= 0) return this.#native.abort(id)
    throw new FaithError(
      'ERR_FAITH_ARGUMENT',
      `relay.abort: \`id\` must be an id, got ${show(id)}`,
      {
        hint: 'take it from relay.sessions()',
      },
    )
  }

  /**
   * Judges by another access list from now on. Sessions go on, but for those it does not permit if `endDenied` says so.
   * A list that is refused changes nothing.
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
    const call = 'relay.setAccessList'
    const text = accessListText(call, list)
    const read = new OptionReader(call, LIST_OPTIONS, options)
    const same = read.unchecked('allowLoopback') === undefined
    const allowLoopback = same ? undefined : read.boolean('allowLoopback', false)
    const endDenied = read.boolean('endDenied', false)
    // The addon reads lists on threads of its own; what was asked for last must come last.
    const setting = this.#setting.then(() =>
      this.#replaceAccessList(text, allowLoopback, endDenied),
    )
    this.#setting = setting.catch(() => undefined)
    await setting
  }

  /**
   * Lets the open relay keep the process running; it does from the start.
   *
   * @example
   * ```ts
   * relay.unref().ref() // as it was
   * ```
   */
  ref(): this {
    if (this.#closing === undefined) this.#native.ref()
    return this
  }

  /**
   * Lets the process end although the relay is open.
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
   * Stops capturing, lets sessions go on for as long as `drainMs` says, aborts the rest, and resolves when none is left and
   * clients have what they were sent; `close` is emitted after. Clients that have not when the drain is over get the rest
   * while the interface is open. Sockets that were given to this program live on for as long as the interface does.
   * Closing again waits for the same end.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `drainMs` is not a number of milliseconds
   *
   * @example
   * ```ts
   * await relay.close({ drainMs: 30_000 }) // half a minute for those that are at it
   * ```
   */
  async close(options: FaithRelayCloseOptions = {}): Promise<void> {
    const read = new OptionReader('relay.close', CLOSE, options)
    const drainMs = read.integer('drainMs', { min: 0, max: MOST }, 0)
    this.#closing ??= this.#shut(drainMs)
    await this.#closing
  }

  /**
   * As {@link FaithRelay.close} without drain.
   *
   * @example
   * ```ts
   * import { once } from 'node:events'
   *
   * {
   *   await using relay = await faith.relay({ port: 80 })
   *   await Promise.race([once(relay, 'session'), once(relay, 'refused')])
   * } // after the first client port 80 is refused again
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #replaceAccessList(
    text: string,
    allowLoopback: boolean = this.#allowLoopback,
    endDenied: boolean,
  ): Promise<void> {
    if (this.#closing !== undefined) throw closedError('the relay', 'open another one')
    unwrap(await this.#native.setAccessList(text, LIST, allowLoopback, endDenied))
    this.#allowLoopback = allowLoopback
  }

  #tell(record: NativeSession): void {
    const session = toSession(record)
    this.emit('session', session)
    // There may be very many, and nothing is made for nobody.
    if (isHeard('faithd:session')) {
      publish('faithd:session', () => ({ interface: this.#faith.name, session }))
    }
  }

  #tellRefusal(record: NativeRefusal): void {
    if (this.listenerCount('refused') === 0 && !isHeard('faithd:refused')) return
    const refusal = toRefusal(record)
    this.emit('refused', refusal)
    publish('faithd:refused', () => ({ interface: this.#faith.name, refusal }))
  }

  #give(connection: NativeConnection): void {
    const { address, port, remoteAddress, remotePort } = connection
    const client = { address: remoteAddress, port: remotePort }
    const ends = { client, destination: { address, port } }
    let socket: FaithSocket
    try {
      socket = FaithSocket.adopt(connection, this.#faith, this, AS_ACCEPTED)
    } catch (cause) {
      return this.#report(routeError(ends, cause))
    }
    publish('faithd:connection', () => ({ interface: this.#faith.name, socket }))
    if (this.emit('connection', socket)) return publishAccepted(socket)
    // Somebody listened when the verdict was given.
    socket.resetAndDestroy()
    this.#report(routeError(ends, unheard()))
  }

  #report(error: FaithError): void {
    // Called by itself, so that what a listener throws is an uncaught exception, as it is everywhere.
    process.nextTick(() => {
      if (this.listenerCount('error') > 0) {
        this.emit('error', error)
      } else if (!this.#warned) {
        this.#warned = true
        const { code, message } = error
        const detail = "Said once for a relay: listen to its 'error' event to hear of each."
        process.emitWarning(message, { type: 'FaithWarning', code, detail })
      }
    })
  }

  async #shut(drainMs: number): Promise<void> {
    this.#router?.close()
    await this.#native.close(drainMs)
    // The records of the last sessions were queued before the promise was resolved, but on another queue of the event
    // loop, and this turn may have looked at that before; it is empty after a whole turn.
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    this.#released(this)
    process.nextTick(() => this.emit('close'))
  }
}
