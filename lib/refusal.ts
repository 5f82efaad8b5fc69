/** Attempts that came to no session: their client and a server were never joined. */
import { getSystemErrorName } from 'node:util'
import type { FaithEndpoint } from './endpoint.js'
import type { NativeRefusal, NativeRefusalCount } from './native.js'
import { toServer } from './session.js'

/**
 * Why an attempt came to no session.
 *
 * | reason | meaning |
 * |---|---|
 * | `refused` | the server, or `route`, refused the connection |
 * | `unreachable` | no route leads to the server, or a router, or `route`, said it cannot be reached |
 * | `denied` | the access list, the default policy, `route` or the host's own firewall forbids the destination |
 * | `connect-timeout` | the server did not answer within `connectTimeoutMs` |
 * | `limit` | `maxSessions`, `maxSessionsPerClient`, `maxRatePerClient` or `maxUndecided` was reached |
 * | `exhausted` | the host ran out of descriptors, memory or source ports |
 * | `client-reset` | the client gave up before it had a server |
 * | `aborted` | the relay was closed, a new access list ended it, or the client never completed its handshake |
 * | `error` | anything else, as a `route` that gave no verdict, or a local address that the host lacks |
 *
 * @group Relay and route
 */
export type FaithRefusalReason =
  | 'refused'
  | 'unreachable'
  | 'denied'
  | 'connect-timeout'
  | 'limit'
  | 'exhausted'
  | 'client-reset'
  | 'aborted'
  | 'error'

/** A record has to name every one, which a list need not. */
const NO_REFUSALS: Readonly<Record<FaithRefusalReason, 0>> = {
  refused: 0,
  unreachable: 0,
  denied: 0,
  'connect-timeout': 0,
  limit: 0,
  exhausted: 0,
  'client-reset': 0,
  aborted: 0,
  error: 0,
}
const REASONS = Object.keys(NO_REFUSALS) as readonly FaithRefusalReason[]

/**
 * The cause of a refusal, where its reason leaves that open.
 *
 * | reason | cause | meaning |
 * |---|---|---|
 * | `denied` | `denied-by-rule` | a rule of the access list denies it |
 * | | `denied-no-match` | no rule of the access list permits it |
 * | | `special-purpose` | the server's address is no public one, and neither a rule nor `allowAny` opens it |
 * | | `own-address` | the server's address is the router's own or one that this process captures, and neither a rule nor `allowAny` opens it |
 * | | `loopback` | the server's address is a loopback one, and `allowLoopback` is off |
 * | | `prohibited-by-host` | the host's firewall or routing table prohibits it (`EACCES`, `EPERM`) |
 * | `denied`, `refused`, `unreachable` | `rejected-by-route` | `route` said so |
 * | `limit` | `max-sessions` | the relay has `maxSessions` |
 * | | `max-sessions-per-client` | the client has `maxSessionsPerClient` |
 * | | `max-rate-per-client` | the client begins sessions faster than `maxRatePerClient` |
 * | | `max-undecided` | `maxUndecided` connections wait for `route` |
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
  'no-mapping': true,
  'no-source': true,
  'no-verdict': true,
  'client-gave-up': true,
  'no-handshake': true,
}

/**
 * Counts of refusals by cause, or by reason where they have none; what has not occurred is not there.
 *
 * @group Relay and route
 */
export type FaithRefusalCounts = Partial<Record<FaithCause | FaithRefusalReason, number>>

/**
 * Refusals counted in two ways, each of which adds up to all of them.
 *
 * @group Relay and route
 */
export interface FaithRefusalStats {
  /** By reason; reasons that have not occurred are 0. */
  byReason: Record<FaithRefusalReason, number>
  /** By cause, or by reason where they have no cause. */
  byCause: FaithRefusalCounts
}

/**
 * One attempt that came to no session: its client and a server were never joined.
 *
 * @group Relay and route
 */
export interface FaithRefusal {
  /** Unique within the relay, also among sessions; counts up as attempts begin. */
  id: number
  /** The client. */
  client: FaithEndpoint
  /** What the client dialled. */
  destination: FaithEndpoint
  /** The server that the relay tried to connect to, or may not connect to; not there where none was decided. */
  server?: FaithEndpoint
  /** When the client's SYN came. */
  startedAt: Date
  /** From then to the end, in milliseconds. */
  durationMs: number
  /** Why there was no session. */
  reason: FaithRefusalReason
  /** The cause, where `reason` leaves that open. */
  cause?: FaithCause
  /** The error, where the kernel reported one: `ECONNREFUSED`. */
  code?: string
  /** The `tag` of the verdict that `route` gave, if it had one. */
  tag?: string
}

/** @internal The record of the addon, in the public shape. */
export function toRefusal(record: NativeRefusal): FaithRefusal {
  const refusal: FaithRefusal = {
    id: record.id,
    client: { address: record.client, port: record.clientPort },
    destination: { address: record.destination, port: record.destinationPort },
    startedAt: new Date(record.startedAtMs),
    durationMs: record.durationMs,
    reason: toReason(record.reason),
  }
  const { cause, errno, tag } = record
  const server = toServer(record)
  if (server !== undefined) refusal.server = server
  if (cause !== undefined && isCause(cause)) refusal.cause = cause
  if (errno !== undefined) refusal.code = getSystemErrorName(errno)
  if (tag !== undefined) refusal.tag = tag
  return refusal
}

/** @internal Counts of the addon, in the public shape. */
export function toRefusalStats(counts: readonly NativeRefusalCount[]): FaithRefusalStats {
  const byReason: Record<FaithRefusalReason, number> = { ...NO_REFUSALS }
  for (const { reason, count } of counts) byReason[toReason(reason)] += count
  return { byReason, byCause: toRefusalCounts(counts) }
}

/** @internal The same, by cause alone. */
export function toRefusalCounts(counts: readonly NativeRefusalCount[]): FaithRefusalCounts {
  const byCause: FaithRefusalCounts = {}
  for (const { reason, cause, count } of counts) {
    const why = cause !== undefined && isCause(cause) ? cause : toReason(reason)
    byCause[why] = (byCause[why] ?? 0) + count
  }
  return byCause
}

/** @internal Tells if this is one of the causes. */
export function isCause(name: string): name is FaithCause {
  return Object.hasOwn(CAUSES, name)
}

function toReason(name: string): FaithRefusalReason {
  return REASONS.find((reason) => reason === name) ?? 'error'
}
