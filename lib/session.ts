/** What a relay tells about its sessions, one by one as they end and in sums. */
import type {
  NativeLiveSession,
  NativeQuestion,
  NativeRelayStats,
  NativeSession,
} from './native.js'
import type { FaithDestination, FaithEndpoint } from './socket.js'

/**
 * How a session ended.
 *
 * | reason | meaning |
 * |---|---|
 * | `closed` | both sides had said all they had to say |
 * | `client-reset`, `server-reset` | that side aborted with RST, and the other was reset |
 * | `idle-timeout` | nothing was carried for as long as `idleTimeout` |
 * | `connect-timeout` | the server did not answer within `connectTimeout` |
 * | `refused` | the server, or `route`, refused the connection |
 * | `unreachable` | no route leads to the server, or a router, or `route`, said it cannot be reached |
 * | `denied` | the access list, the default policy, `route` or the host's own firewall forbids the destination |
 * | `limit` | `maxSessions`, `maxSessionsPerClient`, `maxRatePerClient` or `maxUndecided` was reached |
 * | `exhausted` | the host ran out of descriptors, memory or source ports |
 * | `client-gone`, `server-gone` | that side vanished: it answers neither data nor keep-alive probes |
 * | `aborted` | the relay was closed, `relay.end` or a new access list ended it, or the client never completed its handshake |
 * | `error` | anything else, a `route` that gave no verdict included |
 */
export type FaithEndReason =
  | 'closed'
  | 'client-reset'
  | 'server-reset'
  | 'idle-timeout'
  | 'connect-timeout'
  | 'refused'
  | 'unreachable'
  | 'denied'
  | 'limit'
  | 'exhausted'
  | 'client-gone'
  | 'server-gone'
  | 'aborted'
  | 'error'

/** A record has to name every one, which a list need not. */
const NO_ENDS: Readonly<Record<FaithEndReason, 0>> = {
  closed: 0,
  'client-reset': 0,
  'server-reset': 0,
  'idle-timeout': 0,
  'connect-timeout': 0,
  refused: 0,
  unreachable: 0,
  denied: 0,
  limit: 0,
  exhausted: 0,
  'client-gone': 0,
  'server-gone': 0,
  aborted: 0,
  error: 0,
}
const END_REASONS = Object.keys(NO_ENDS) as readonly FaithEndReason[]

/** What a client dialled, and the server that it meant. */
export interface FaithSessionDestination extends FaithDestination {
  /** The server's port; it differs from `port` by an explicit mapping or by `route`. */
  ipv4Port?: number
}

/** One ended session of a relay, or one attempt at it. */
export interface FaithSession {
  /** Counts up from the first session of the relay. */
  id: number
  /** The client. */
  source: FaithEndpoint
  /** What the client dialled, and the IPv4 address that was connected for it. */
  destination: FaithSessionDestination
  /** Bytes carried from the client to the server. */
  bytesUp: number
  /** Bytes carried from the server to the client. */
  bytesDown: number
  /** When the client's SYN came. */
  startedAt: Date
  /** From then to the end, in milliseconds. */
  durationMs: number
  /** How it ended. */
  reason: FaithEndReason
}

/** A connection that ended without a session: its client and a server were never joined. */
export interface FaithRefusal extends Omit<FaithSession, 'bytesUp' | 'bytesDown'> {
  /** Why; also `client-reset`, where the client gave up before it had a server. */
  reason: FaithEndReason
}

/** A session of a relay that goes on, as it was when it was looked at. */
export interface FaithLiveSession extends Omit<FaithSession, 'durationMs' | 'reason'> {
  /** From `startedAt` to now, in milliseconds. */
  ageMs: number
}

/** What a relay has done since it was opened. */
export interface FaithRelayStats {
  /** Sessions there are now. */
  active: number
  /**
   * Connections accepted, those included. With `connectFirst`, what is denied or cannot be connected is never accepted:
   * it shows in `ended` alone.
   */
  accepted: number
  /** Connections given to this program because `route` said so; neither sessions nor among those that ended. */
  handedOver: number
  /** Ended sessions by reason; reasons that have not occurred are 0. */
  ended: Record<FaithEndReason, number>
  /** Bytes carried from clients to servers. */
  bytesUp: number
  /** Bytes carried from servers to clients. */
  bytesDown: number
  /**
   * Ends that were not told by a `session` event, because JavaScript did not keep up or because they were `denied` or
   * beyond a limit, which are told a bounded number of times a second. 0 without `sessionEvents`.
   */
  eventsDropped: number
  /**
   * Connections to servers that came from another of the relay's `sources` than their client's own, which had no port
   * left towards the server or was not the host's.
   */
  sourceFallbacks: number
}

/** @internal The record of the addon, in the public shape. There may be very many: one literal is all that is made. */
export function toSession(record: NativeSession): FaithSession {
  return {
    id: record.id,
    source: { address: record.source, port: record.sourcePort },
    destination: toDestination(record),
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    startedAt: new Date(record.startedAtMs),
    durationMs: record.durationMs,
    reason: toEndReason(record.reason),
  }
}

/** @internal The same, without the bytes that it did not carry. */
export function toRefusal(attempt: FaithSession): FaithRefusal {
  const { id, source, destination, startedAt, durationMs, reason } = attempt
  return { id, source, destination, startedAt, durationMs, reason }
}

/** @internal A session that goes on, in the public shape. */
export function toLiveSession(session: NativeLiveSession): FaithLiveSession {
  return {
    id: session.id,
    source: { address: session.source, port: session.sourcePort },
    destination: toDestination(session),
    bytesUp: session.bytesUp,
    bytesDown: session.bytesDown,
    startedAt: new Date(session.startedAtMs),
    ageMs: session.ageMs,
  }
}

/** @internal What was dialled, and the server it means. */
export function toDestination(
  record: NativeLiveSession | NativeQuestion | NativeSession,
): FaithSessionDestination {
  return {
    address: record.destination,
    port: record.destinationPort,
    ...(record.ipv4 === undefined ? {} : { ipv4: record.ipv4 }),
    ...(record.ipv4Port === undefined ? {} : { ipv4Port: record.ipv4Port }),
  }
}

/** @internal The counters of the addon, in the public shape. */
export function toRelayStats(stats: NativeRelayStats): FaithRelayStats {
  const { active, accepted, handedOver, bytesUp, bytesDown, eventsDropped, sourceFallbacks } = stats
  return {
    active,
    accepted,
    handedOver,
    ended: toEnded(stats.ended),
    bytesUp,
    bytesDown,
    eventsDropped,
    sourceFallbacks,
  }
}

/** @internal How a session ended, as the addon says it. */
export function toEndReason(name: string): FaithEndReason {
  return END_REASONS.find((reason) => reason === name) ?? 'error'
}

/** @internal How many ended, by reason, and every reason. */
export function toEnded(ended: Record<string, number>): Record<FaithEndReason, number> {
  const counts = END_REASONS.map((reason) => [reason, ended[reason] ?? 0])
  return Object.fromEntries(counts) as Record<FaithEndReason, number>
}
