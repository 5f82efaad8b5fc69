/**
 * The native relay: connections are captured, judged, connected and spliced in Rust. JavaScript sees only their ends.
 */
import { EventEmitter } from 'node:events'
import { unwrap } from './errors.js'
import { readAddress } from './listener.js'
import type { NativeInterface, NativeRelay, NativeRule, NativeSession } from './native.js'
import { OptionReader } from './option-reader.js'
import { type PortOptions, readPorts } from './ports.js'
import { type FaithRelayStats, type FaithSession, toRelayStats, toSession } from './session.js'

/** One line of an access list. */
export interface AccessRule {
  /** What a match means. */
  action: 'permit' | 'deny'
  /** The IPv4 destinations it matches: `198.51.100.0/24`, or one address. */
  destination: string
}

/** How a relay captures, judges and carries connections. */
export interface FaithRelayOptions extends PortOptions {
  /** One address inside a prefix of the interface. Default: every address of every prefix. */
  address?: string
  /** How many connections may wait to be accepted, 1 to 65535, as in listen(2). Default 4096. */
  backlog?: number
  /**
   * Where the IPv4 address is inside the IPv6 one. `rfc6052` (default): as RFC 6052 says for the prefix's length.
   * `low32`: the last 32 bits whatever the length, as RFC 3142 and BSD's faithd have it. On a /96 both agree.
   */
  mapping?: 'rfc6052' | 'low32'
  /**
   * Rules for destinations, tried in order; the first match decides. An empty list (default) permits, a list in which
   * nothing matches denies. Special-purpose IPv4 blocks (private, link-local, multicast …) and the router's own
   * addresses are denied unless a rule names the block or a part of it, or that very address.
   */
  accessList?: readonly AccessRule[]
  /** Whether 127.0.0.0/8, the router's own loopback, may be a destination. Default `false`. */
  allowLoopback?: boolean
  /**
   * Whether the server is connected before the client's handshake is answered, so that a refusal, an unreachable
   * server or a denial reaches the client as itself. Default `true`.
   */
  connectFirst?: boolean
  /** How long a server may take to answer, in milliseconds. Default 10000. */
  connectTimeout?: number
  /** How long a session may carry nothing, in milliseconds; 0 for ever. Default 1800000, half an hour. */
  idleTimeout?: number
  /** How many sessions there may be at once; 0 (default) for any number. */
  maxSessions?: number
  /**
   * Whether `session` events are emitted. Default `true`. A relay for very many short sessions is faster without, and
   * {@link FaithRelay.stats} counts them all the same.
   */
  sessionEvents?: boolean
}

/** How a relay is closed. */
export interface FaithRelayCloseOptions {
  /** How long sessions may go on before they are aborted, in milliseconds. Default 0. */
  drain?: number
}

/** The events of a {@link FaithRelay}. */
export interface FaithRelayEvents {
  /** A session has ended. */
  session: [session: FaithSession]
  /** The relay is closed, by `close()` or with its interface; every session has ended and been told. */
  close: []
}

const LONGEST_MS = 4_294_967_295

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
 * relay.on('session', ({ source, destination, reason }) =>
 *   console.log(`${source.address} to ${destination.ipv4}: ${reason}`),
 * )
 * ```
 */
export class FaithRelay extends EventEmitter<FaithRelayEvents> implements AsyncDisposable {
  readonly #native: NativeRelay
  readonly #released: (relay: FaithRelay) => void
  #closing: Promise<void> | undefined

  private constructor(native: NativeRelay, released: (relay: FaithRelay) => void) {
    super()
    this.#native = native
    this.#released = released
  }

  /** @internal */
  static async open(
    faith: NativeInterface,
    options: FaithRelayOptions,
    released: (relay: FaithRelay) => void,
  ): Promise<FaithRelay> {
    const read = new OptionReader('faith.relay', options)
    const settings = {
      ports: readPorts(read),
      ...readAddress(read),
      backlog: read.integer('backlog', { min: 1, max: 65_535 }, 4096),
      mapping: read.oneOf('mapping', ['rfc6052', 'low32'], 'rfc6052'),
      rules: read.list('accessList', [], readRule),
      allowLoopback: read.boolean('allowLoopback', false),
      connectFirst: read.boolean('connectFirst', true),
      connectTimeoutMs: read.integer('connectTimeout', { min: 1, max: LONGEST_MS }, 10_000),
      idleTimeoutMs: read.integer('idleTimeout', { min: 0, max: LONGEST_MS }, 1_800_000),
      maxSessions: read.integer('maxSessions', { min: 0, max: LONGEST_MS }, 0),
    }
    const sessionEvents = read.boolean('sessionEvents', true)
    read.end()

    // Sessions that end before whoever opens the relay can ask for them wait for the loop to turn.
    const early: NativeSession[] = []
    let tell = (batch: NativeSession[]): void => void early.push(...batch)
    const onSessions = (batch: NativeSession[]): void => tell(batch)
    const opened = await faith.relay(settings, sessionEvents ? onSessions : undefined)
    const relay = new FaithRelay(unwrap(opened), released)
    setImmediate(() => {
      tell = (batch) => {
        for (const record of batch) relay.emit('session', toSession(record))
      }
      tell(early)
    })
    return relay
  }

  /** What the relay has done since it was opened; after it is closed, what it had done. */
  stats(): FaithRelayStats {
    return toRelayStats(this.#native.stats())
  }

  /** Lets the open relay keep the process running; it does from the start. */
  ref(): this {
    if (this.#closing === undefined) this.#native.ref()
    return this
  }

  /** Lets the process end although the relay is open. */
  unref(): this {
    if (this.#closing === undefined) this.#native.unref()
    return this
  }

  /**
   * Stops capturing, lets sessions go on for as long as `drain` says, aborts the rest, and resolves when none is left;
   * `close` is emitted after. Closing again waits for the same end.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `drain` is not a number of milliseconds
   */
  async close(options: FaithRelayCloseOptions = {}): Promise<void> {
    const read = new OptionReader('relay.close', options)
    const drainMs = read.integer('drain', { min: 0, max: LONGEST_MS }, 0)
    read.end()
    this.#closing ??= this.#shut(drainMs)
    await this.#closing
  }

  /** As {@link FaithRelay.close} without drain: `await using relay = await faith.relay(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #shut(drainMs: number): Promise<void> {
    await this.#native.close(drainMs)
    // The records of the last sessions were queued before the promise was resolved, but on another queue of the event
    // loop; both are empty once the loop has turned.
    await new Promise(setImmediate)
    this.#released(this)
    process.nextTick(() => this.emit('close'))
  }
}

function readRule(rule: unknown): NativeRule {
  const read = new OptionReader('faith.relay: a rule of `accessList`', rule)
  const permit = read.oneOf('action', ['permit', 'deny']) === 'permit'
  const destination = read.string('destination')
  read.end()
  return { permit, destination }
}
