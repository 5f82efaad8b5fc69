/** What a relay tells about its sessions, one by one as they end and in sums. */
import { getSystemErrorName } from 'node:util'
import type { FaithEndpoint, FaithSessionDestination } from './endpoint.js'
import type {
  NativeEnds,
  NativeLiveSession,
  NativeQuestion,
  NativeRelayStats,
  NativeSession,
} from './native.js'

/**
 * How a session ended.
 *
 * | reason | meaning |
 * |---|---|
 * | `closed` | both sides had said all they had to say |
 * | `client-reset`, `server-reset` | that side aborted with RST, and the other was reset once it had all that was said before |
 * | `idle-timeout` | nothing was carried for as long as `idleTimeoutMs` |
 * | `connect-timeout` | the server did not answer within `connectTimeoutMs` |
 * | `refused` | the server, or `route`, refused the connection |
 * | `unreachable` | no route leads to the server, or a router, or `route`, said it cannot be reached |
 * | `denied` | the access list, the default policy, `route` or the host's own firewall forbids the destination |
 * | `limit` | `maxSessions`, `maxSessionsPerClient`, `maxRatePerClient` or `maxUndecided` was reached; or a session has carried more than the `maxBytes` of its verdict |
 * | `exhausted` | the host ran out of descriptors, memory or source ports |
 * | `client-gone`, `server-gone` | that side vanished: it answers neither data nor keep-alive probes |
 * | `aborted` | the relay was closed, `relay.abort` or a new access list ended it, or the client never completed its handshake |
 * | `error` | anything else, as a `route` that gave no verdict, or a local address that the host lacks |
 *
 * @group Relay and route
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

/**
 * The cause that turned an attempt away or, as `max-bytes`, cut a session off, where its reason leaves that open.
 *
 * | reason | cause | meaning |
 * |---|---|---|
 * | `denied` | `denied-by-rule` | a rule of the access list denies it |
 * | | `denied-no-match` | no rule of the access list permits it |
 * | | `special-purpose` | the server's address is no public one, and neither a rule nor `allowAny` opens it |
 * | | `own-address` | the server's address is the router's own, and neither a rule nor `allowAny` opens it |
 * | | `loopback` | the server's address is a loopback one, and `allowLoopback` is off |
 * | | `prohibited-by-host` | the host's firewall or routing table prohibits it (`EACCES`, `EPERM`) |
 * | `denied`, `refused`, `unreachable` | `rejected-by-route` | `route` said so |
 * | `limit` | `max-sessions` | the relay has `maxSessions` |
 * | | `max-sessions-per-client` | the client has `maxSessionsPerClient` |
 * | | `max-rate-per-client` | the client has begun `maxRatePerClient` in this second |
 * | | `max-undecided` | `maxUndecided` connections wait for `route` |
 * | | `max-bytes` | the session has carried more than the `maxBytes` of its verdict |
 * | `unreachable` | `no-mapping` | what was dialled means no IPv4 address |
 * | `error` | `no-source` | the host lacks the local address, or the privilege for its port |
 * | | `no-verdict` | `route` gave no verdict |
 * | `client-reset` | `client-gave-up` | the client reset the connection before it had a server |
 * | `aborted` | `no-handshake` | the client was answered, and did not complete its handshake |
 *
 * @group Relay and route
 */
export type FaithCause =
  | 'denied-by-rule'
  | 'denied-no-match'
  | 'special-purpose'
  | 'own-address'
  | 'loopback'
  | 'prohibited-by-host'
  | 'rejected-by-route'
  | 'max-sessions'
  | 'max-sessions-per-client'
  | 'max-rate-per-client'
  | 'max-undecided'
  | 'max-bytes'
  | 'no-mapping'
  | 'no-source'
  | 'no-verdict'
  | 'client-gave-up'
  | 'no-handshake'

/** A record has to name every one, which a list need not. */
const CAUSES: Readonly<Record<FaithCause, true>> = {
  'denied-by-rule': true,
  'denied-no-match': true,
  'special-purpose': true,
  'own-address': true,
  loopback: true,
  'prohibited-by-host': true,
  'rejected-by-route': true,
  'max-sessions': true,
  'max-sessions-per-client': true,
  'max-rate-per-client': true,
  'max-undecided': true,
  'max-bytes': true,
  'no-mapping': true,
  'no-source': true,
  'no-verdict': true,
  'client-gave-up': true,
  'no-handshake': true,
}

/**
 * Counts of attempts by cause, or by reason where they have none; those that have not occurred are not there.
 *
 * @group Relay and route
 */
export type FaithRefusals = Partial<Record<FaithCause | FaithEndReason, number>>

/**
 * One ended session of a relay, or one attempt at it.
 *
 * @group Relay and route
 */
export interface FaithSession {
  /** Counts up from the first session of the relay. */
  id: number
  /** The client. */
  client: FaithEndpoint
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
  /** `true` for a session: client and server were joined. `false` for an attempt that did not get so far. */
  joined: boolean
  /** What turned an attempt away or cut a session off, where `reason` leaves that open. */
  cause?: FaithCause
  /** The error that turned an attempt away, where the kernel reported one: `ECONNREFUSED`. */
  code?: string
  /** The `tag` of the verdict that `route` gave, if it had one. */
  tag?: string
}

/**
 * A connection that ended without a session: its client and a server were never joined.
 *
 * @group Relay and route
 */
export interface FaithRefusal extends Omit<FaithSession, 'bytesUp' | 'bytesDown' | 'joined'> {
  /** Why; also `client-reset`, where the client gave up before it had a server. */
  reason: FaithEndReason
}

/**
 * A session of a relay that goes on, as it was when it was looked at.
 *
 * @group Relay and route
 */
export interface FaithLiveSession extends Omit<
  FaithSession,
  'durationMs' | 'reason' | 'joined' | 'cause' | 'code'
> {
  /** From `startedAt` to now, in milliseconds. */
  ageMs: number
}

/**
 * What a relay has done since it was opened.
 *
 * @group Relay and route
 */
export interface FaithRelayStats {
  /** Sessions that go on, and attempts: connections without a server yet, and held SYNs. */
  active: number
  /**
   * Connections accepted, those that go on included. With `connectFirst`, what is denied or cannot be connected is
   * never accepted: it shows in `ended` alone.
   */
  accepted: number
  /** Connections given to this program because `route` said so; neither sessions nor among those that ended. */
  handedOver: number
  /** Ended sessions and attempts by reason; reasons that have not occurred are 0. */
  ended: Record<FaithEndReason, number>
  /** The sessions among them, by reason; reasons that have not occurred are not there. */
  sessions: Partial<Record<FaithEndReason, number>>
  /** The attempts among them, which came to no session. */
  refused: FaithRefusals
  /** Bytes carried from clients to servers. */
  bytesUp: number
  /** Bytes carried from servers to clients. */
  bytesDown: number
  /**
   * Ends that were not told by a `session` event: attempts beyond the number that is told a second, or any where
   * JavaScript did not keep up. 0 without `sessionEvents`.
   */
  eventsDropped: number
  /** The same, by what they were: with the events that were told they make all of `ended`. */
  untold: FaithUntold
  /**
   * Connections to servers that came from another of the relay's `localAddresses` than their client's own, which had no port
   * left towards the server or was not the host's.
   */
  localAddressFallbacks: number
  /** How many SYNs may be held at once: `maxHeld`, or fewer where the process may have too few descriptors for as many. */
  maxHeld: number
  /** How many sessions there may be at once: `maxSessions`, or fewer likewise; 0 for any number. */
  maxSessions: number
}

/**
 * Ends that no event told.
 *
 * @group Relay and route
 */
export interface FaithUntold {
  /** Sessions. */
  sessions: number
  /** Attempts. */
  refused: FaithRefusals
}

/** @internal The record of the addon, in the public shape. There may be very many: one literal is all that is made. */
export function toSession(record: NativeSession): FaithSession {
  const session: FaithSession = {
    id: record.id,
    client: { address: record.client, port: record.clientPort },
    destination: toDestination(record),
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    startedAt: new Date(record.startedAtMs),
    durationMs: record.durationMs,
    reason: toEndReason(record.reason),
    joined: record.joined,
  }
  const { cause, errno, tag } = record
  if (cause !== undefined && isCause(cause)) session.cause = cause
  if (errno !== undefined) session.code = getSystemErrorName(errno)
  if (tag !== undefined) session.tag = tag
  return session
}

/** @internal The same, without the bytes that it did not carry. */
export function toRefusal(attempt: FaithSession): FaithRefusal {
  const { bytesUp: _up, bytesDown: _down, joined: _joined, ...refusal } = attempt
  return refusal
}

/** @internal A session that goes on, in the public shape. */
export function toLiveSession(session: NativeLiveSession): FaithLiveSession {
  return {
    id: session.id,
    client: { address: session.client, port: session.clientPort },
    destination: toDestination(session),
    bytesUp: session.bytesUp,
    bytesDown: session.bytesDown,
    startedAt: new Date(session.startedAtMs),
    ageMs: session.ageMs,
    ...(session.tag === undefined ? {} : { tag: session.tag }),
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
  const {
    active,
    accepted,
    handedOver,
    bytesUp,
    bytesDown,
    localAddressFallbacks,
    maxHeld,
    maxSessions,
  } = stats
  const ended: Record<FaithEndReason, number> = { ...NO_ENDS }
  for (const { reason, count } of stats.ended) ended[toEndReason(reason)] += count
  return {
    active,
    accepted,
    handedOver,
    ended,
    sessions: countBy(stats.ended.filter(({ joined }) => joined)),
    refused: countBy(stats.ended.filter(({ joined }) => !joined)),
    bytesUp,
    bytesDown,
    eventsDropped: sum(stats.untold),
    untold: {
      sessions: sum(stats.untold.filter(({ joined }) => joined)),
      refused: countBy(stats.untold.filter(({ joined }) => !joined)),
    },
    localAddressFallbacks,
    maxHeld,
    maxSessions,
  }
}

function countBy(ends: readonly NativeEnds[]): FaithRefusals {
  const counts: FaithRefusals = {}
  for (const { reason, cause, count } of ends) {
    const why = cause !== undefined && isCause(cause) ? cause : toEndReason(reason)
    counts[why] = (counts[why] ?? 0) + count
  }
  return counts
}

function sum(ends: readonly NativeEnds[]): number {
  return ends.reduce((total, { count }) => total + count, 0)
}

function isCause(name: string): name is FaithCause {
  return Object.hasOwn(CAUSES, name)
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
