/** Attempts that ended without a session: their client and a server were never joined. */
import { getSystemErrorName } from 'node:util'
import type { FaithEndpoint } from './endpoint.js'
import { type FaithDecidingRule, toDecidingRule } from './deciding-rule.js'
import type { NativeRefusal, NativeRefusalCount } from './native.js'
import { type FaithProtocol, toProtocol } from './protocol.js'
import { toServer } from './session.js'

/**
 * The reason for which an attempt ended without a session.
 *
 * | reason | meaning |
 * |---|---|
 * | `refused` | the server, or `route`, refused the connection |
 * | `unreachable` | no route leads to the server, a router or `route` reported it unreachable, or the dialled address maps to no server |
 * | `denied` | the access list, the default policy, `route` or the host's own firewall forbids the destination |
 * | `hop-limit` | a router on the way reported that the small hop limit of the client's SYN ran out: a traceroute |
 * | `connect-timeout` | the server did not answer within `connectTimeoutMs` |
 * | `limit` | `maxSessions`, `maxSessionsPerClient`, `maxRatePerClient`, `portBlocksPerClient`, `maxUndecided` or a limit of `udp` was reached |
 * | `exhausted` | the host ran out of descriptors, memory or source ports |
 * | `client-reset` | the client gave up before it had a server |
 * | `aborted` | the relay was closed, a new access list ended it, or the client never completed its handshake |
 * | `error` | any other error, such as a `route` that gave no verdict, or a local address that the host lacks |
 *
 * @group Relay and route
 */
export type FaithRefusalReason =
  | 'refused'
  | 'unreachable'
  | 'denied'
  | 'hop-limit'
  | 'connect-timeout'
  | 'limit'
  | 'exhausted'
  | 'client-reset'
  | 'aborted'
  | 'error'

/** A record, because the compiler checks that it names every reason. */
const NO_REFUSALS: Readonly<Record<FaithRefusalReason, 0>> = {
  refused: 0,
  unreachable: 0,
  denied: 0,
  'hop-limit': 0,
  'connect-timeout': 0,
  limit: 0,
  exhausted: 0,
  'client-reset': 0,
  aborted: 0,
  error: 0,
}
const REASONS = Object.keys(NO_REFUSALS) as readonly FaithRefusalReason[]

/**
 * The cause of a refusal, if its reason leaves that open.
 *
 * | reason | cause | meaning |
 * |---|---|---|
 * | `denied` | `denied-by-rule` | a rule of the access list denies it |
 * | | `denied-no-match` | no rule of the access list permits it |
 * | | `special-purpose` | the server's address is not public, and neither a rule nor `allowAny` opens it |
 * | | `own-address` | the server's address is the router's own or one that this process captures, and neither a rule nor `allowAny` opens it |
 * | | `loopback` | the server's address is loopback, and neither `allowLoopback` nor `allowAny` is on |
 * | | `prohibited-by-host` | the host's firewall or routing table prohibits it (`EACCES`, `EPERM`) |
 * | `denied`, `refused`, `unreachable` | `rejected-by-route` | `route` rejected the connection |
 * | `limit` | `max-sessions` | the relay has `maxSessions` sessions |
 * | | `max-sessions-per-client` | the client has `maxSessionsPerClient` sessions |
 * | | `max-rate-per-client` | the client begins sessions faster than `maxRatePerClient` |
 * | | `max-ports-per-client` | the client has `portBlocksPerClient` blocks, and none has a port left for the server |
 * | | `max-mappings` | `udp.maxMappings` ports of clients have datagrams relayed |
 * | | `max-mappings-per-client` | `udp.maxMappingsPerClient` ports of the client have datagrams relayed |
 * | | `max-destinations` | the client's port has 4096 destinations; or, beyond the first destination of each port, the client has eight times `udp.maxMappingsPerClient`, or all clients eight times `udp.maxMappings` |
 * | | `max-rate` | clients begin sessions of datagrams faster than `udp.maxRate` |
 * | | `max-undecided` | `maxUndecided` connections wait for `route` |
 * | `exhausted` | `no-port-block` | every block of ports is another client's |
 * | `unreachable` | `no-mapping` | the dialled address maps to no IPv4 address |
 * | `error` | `no-source` | the host lacks the local address, or the privilege for its port |
 * | | `no-verdict` | `route` gave no verdict |
 * | `client-reset` | `client-gave-up` | the client reset the connection before it had a server |
 * | `aborted` | `no-handshake` | the client did not complete its handshake after it was answered |
 * | | `end-denied` | a new access list denies it, and was to end what it denies |
 * | | `relay-closed` | the relay was closed |
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
  | 'max-ports-per-client'
  | 'no-port-block'
  | 'max-mappings'
  | 'max-mappings-per-client'
  | 'max-destinations'
  | 'max-rate'
  | 'max-undecided'
  | 'no-mapping'
  | 'no-source'
  | 'no-verdict'
  | 'client-gave-up'
  | 'no-handshake'
  | 'end-denied'
  | 'relay-closed'

/** A record, because the compiler checks that it names every cause. */
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
  'max-ports-per-client': true,
  'no-port-block': true,
  'max-mappings': true,
  'max-mappings-per-client': true,
  'max-destinations': true,
  'max-rate': true,
  'max-undecided': true,
  'no-mapping': true,
  'no-source': true,
  'no-verdict': true,
  'client-gave-up': true,
  'no-handshake': true,
  'end-denied': true,
  'relay-closed': true,
}

/** @internal Every name in counts by cause: the causes, and the reasons. */
export const REFUSAL_NAMES = [
  ...REASONS,
  ...(Object.keys(CAUSES) as FaithCause[]),
] as const satisfies readonly (FaithCause | FaithRefusalReason)[]

/**
 * Counts of refusals by cause, or by reason if they have no cause. Causes that have not occurred are absent.
 *
 * @group Relay and route
 */
export type FaithRefusalCounts = Partial<Record<FaithCause | FaithRefusalReason, number>>

/**
 * Counts of refusals in two ways, each of which adds up to all refusals.
 *
 * @group Relay and route
 */
export interface FaithRefusalStats {
  /** Counts by reason. Reasons that have not occurred are 0. */
  byReason: Record<FaithRefusalReason, number>
  /** Counts by cause, or by reason for refusals without a cause. */
  byCause: FaithRefusalCounts
}

/**
 * One attempt that ended without a session: its client and a server were never joined.
 *
 * @group Relay and route
 */
export interface FaithRefusal {
  /** A number unique within the relay, also among sessions. It counts up as attempts begin. */
  id: number
  /** The protocol that the client used. */
  protocol: FaithProtocol
  /** The client. */
  client: FaithEndpoint
  /** The address and port that the client dialled. */
  destination: FaithEndpoint
  /** The server that the relay tried to reach, or was denied; absent if no server was decided. */
  server?: FaithEndpoint
  /** Time at which the attempt began, with the client's SYN or its accepted connection. */
  startedAt: Date
  /** Time from then to the end, in milliseconds. */
  durationMs: number
  /** The reason for the refusal. */
  reason: FaithRefusalReason
  /** The cause, if `reason` leaves that open. */
  cause?: FaithCause
  /** The rule of the access list that denied it, if the cause is `denied-by-rule`. */
  rule?: FaithDecidingRule
  /** The error code, if the kernel reported an error: `ECONNREFUSED`. */
  code?: string
  /** The `tag` of the verdict, if `route` gave one. */
  tag?: string
}

/** @internal Gives a record of the addon its public shape. */
export function toRefusal(record: NativeRefusal): FaithRefusal {
  const refusal: FaithRefusal = {
    id: record.id,
    protocol: toProtocol(record.protocol),
    client: { address: record.client, port: record.clientPort },
    destination: { address: record.destination, port: record.destinationPort },
    startedAt: new Date(record.startedAtMs),
    durationMs: record.durationMs,
    reason: toReason(record.reason),
  }
  const { cause, rule, errno, tag } = record
  const server = toServer(record)
  if (server !== undefined) refusal.server = server
  if (cause !== undefined && isCause(cause)) refusal.cause = cause
  if (rule !== undefined) refusal.rule = toDecidingRule(rule)
  if (errno !== undefined) refusal.code = getSystemErrorName(errno)
  if (tag !== undefined) refusal.tag = tag
  return refusal
}

/** @internal Gives counts of the addon their public shape. */
export function toRefusalStats(counts: readonly NativeRefusalCount[]): FaithRefusalStats {
  const byReason: Record<FaithRefusalReason, number> = { ...NO_REFUSALS }
  for (const { reason, count } of counts) byReason[toReason(reason)] += count
  return { byReason, byCause: toRefusalCounts(counts) }
}

/** @internal Gives counts of the addon their public shape, by cause alone. */
export function toRefusalCounts(counts: readonly NativeRefusalCount[]): FaithRefusalCounts {
  const byCause: FaithRefusalCounts = {}
  for (const { reason, cause, count } of counts) {
    const why = cause !== undefined && isCause(cause) ? cause : toReason(reason)
    byCause[why] = (byCause[why] ?? 0) + count
  }
  return byCause
}

/** @internal Tells whether `name` is a cause. */
export function isCause(name: string): name is FaithCause {
  return Object.hasOwn(CAUSES, name)
}

function toReason(name: string): FaithRefusalReason {
  return REASONS.find((reason) => reason === name) ?? 'error'
}
