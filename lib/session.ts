/** Sessions of a relay: a client and a server that were joined. */
import type { FaithEndpoint } from './endpoint.js'
import { type FaithProtocol, toProtocol } from './protocol.js'
import type {
  NativeLiveSession,
  NativeRefusal,
  NativeSession,
  NativeSessionStats,
} from './native.js'

/**
 * The reason for which a session or a splice ended.
 *
 * | reason | meaning |
 * |---|---|
 * | `closed` | both sides ended their streams, and all their bytes were carried |
 * | `client-reset`, `server-reset` | that side sent a RST; the relay reset the other side once that had all bytes sent before |
 * | `idle-timeout` | no byte was carried for `idleTimeoutMs` |
 * | `max-bytes` | more bytes were carried than the `maxBytes` of the verdict |
 * | `client-gone`, `server-gone` | that side vanished: it answers neither data nor keep-alive probes |
 * | `aborted` | the relay or the interface was closed, or this program or a new access list ended it |
 * | `error` | any other error |
 *
 * @group Relay and route
 */
export type FaithSessionEndReason =
  | 'closed'
  | 'client-reset'
  | 'server-reset'
  | 'idle-timeout'
  | 'max-bytes'
  | 'client-gone'
  | 'server-gone'
  | 'aborted'
  | 'error'

/**
 * The cause of a session that ended as `aborted`.
 *
 * | cause | meaning |
 * |---|---|
 * | `end-denied` | a new access list denies it, and was to end what it denies |
 * | `ended-on-request` | an operator or this program ended it |
 * | `relay-closed` | the relay was closed |
 *
 * @group Relay and route
 */
export type FaithSessionCause = 'end-denied' | 'ended-on-request' | 'relay-closed'

/**
 * Counts of aborted sessions by cause. Those whose interface went before their relay was closed have no cause, and
 * count as `interface-lost`. Causes that have not occurred are 0.
 *
 * @group Relay and route
 */
export type FaithAbortCounts = Record<FaithSessionCause | 'interface-lost', number>

/** A record, because the compiler checks that it names every cause. */
const CAUSES: Readonly<Record<FaithSessionCause, true>> = {
  'end-denied': true,
  'ended-on-request': true,
  'relay-closed': true,
}

const NO_ABORTS: Readonly<Record<keyof FaithAbortCounts, 0>> = {
  'end-denied': 0,
  'ended-on-request': 0,
  'relay-closed': 0,
  'interface-lost': 0,
}

/** A record, because the compiler checks that it names every reason. */
const NO_ENDS: Readonly<Record<FaithSessionEndReason, 0>> = {
  closed: 0,
  'client-reset': 0,
  'server-reset': 0,
  'idle-timeout': 0,
  'max-bytes': 0,
  'client-gone': 0,
  'server-gone': 0,
  aborted: 0,
  error: 0,
}
const END_REASONS = Object.keys(NO_ENDS) as readonly FaithSessionEndReason[]

/**
 * One ended session of a relay: its client and a server were joined. An attempt that ended without a session is a
 * {@link FaithRefusal}.
 *
 * @group Relay and route
 */
export interface FaithSession {
  /** A number unique within the relay, also among refusals. It counts up as attempts begin. */
  id: number
  /** The protocol of both sides. */
  protocol: FaithProtocol
  /** The client. */
  client: FaithEndpoint
  /** The address and port that the client dialled. */
  destination: FaithEndpoint
  /** The server that the relay connected to, with an IPv4 or IPv6 address. */
  server?: FaithEndpoint
  /** Bytes carried from the client to the server. */
  bytesUp: number
  /** Bytes carried from the server to the client. */
  bytesDown: number
  /** Time at which its attempt began, with the client's SYN or its accepted connection. */
  startedAt: Date
  /** Time from then to the end, in milliseconds. */
  durationMs: number
  /** The reason for its end. */
  reason: FaithSessionEndReason
  /** The cause, if the reason is `aborted`; absent if the interface went before its relay was closed. */
  cause?: FaithSessionCause
  /** The `tag` of the verdict, if `route` gave one. */
  tag?: string
  /**
   * The name for which a {@link FaithDns64} of this process had given the client the dialled address, in lower case and
   * without the dot at its end. Absent if none had, or too long ago.
   */
  name?: string
}

/**
 * The progress of a session towards its end.
 *
 * | state | meaning |
 * |---|---|
 * | `open` | both directions are open |
 * | `client-closed` | the client has sent its FIN, the relay has passed it on, and the server may go on sending |
 * | `server-closed` | likewise for the server |
 * | `ending` | one side is gone, and the other gets the bytes that the gone one had sent |
 *
 * @group Relay and route
 */
export type FaithSessionState = 'open' | 'client-closed' | 'server-closed' | 'ending'

const STATES: readonly FaithSessionState[] = ['open', 'client-closed', 'server-closed', 'ending']

/**
 * An active session of a relay, as it was at the call.
 *
 * @group Relay and route
 */
export interface FaithLiveSession extends Omit<FaithSession, 'durationMs' | 'reason' | 'cause'> {
  /** The progress of the session towards its end. */
  state: FaithSessionState
  /** Time from `startedAt` to the call, in milliseconds. */
  ageMs: number
  /**
   * Time since a byte was carried, in milliseconds; before the first byte, time since client and server were joined. The
   * relay ends the session when this reaches `idleTimeoutMs`.
   */
  idleMs: number
}

/**
 * Counts of the sessions of a relay, or of the splices of an interface.
 *
 * @group Relay and route
 */
export interface FaithSessionStats {
  /** Sessions that go on. */
  active: number
  /** Sessions that began, including those that ended. */
  begun: number
  /** The same two numbers for each protocol. */
  byProtocol: Record<FaithProtocol, FaithProtocolStats>
  /** Sessions that ended, by reason. Reasons that have not occurred are 0. */
  ended: Record<FaithSessionEndReason, number>
  /** Sessions that ended as `aborted`, by cause. */
  aborted: FaithAbortCounts
  /** Bytes carried from clients to servers, including those of active sessions. */
  bytesUp: number
  /** Bytes carried from servers to clients, likewise. */
  bytesDown: number
}

/**
 * Counts of the sessions of one protocol.
 *
 * @group Relay and route
 */
export interface FaithProtocolStats {
  /** Sessions that go on. */
  active: number
  /** Sessions that began, including those that ended. */
  begun: number
}

/** @internal Gives a record of the addon its public shape. Makes one literal only, because there may be very many. */
export function toSession(record: NativeSession): FaithSession {
  const session: FaithSession = {
    id: record.id,
    protocol: toProtocol(record.protocol),
    client: { address: record.client, port: record.clientPort },
    destination: { address: record.destination, port: record.destinationPort },
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    startedAt: new Date(record.startedAtMs),
    durationMs: record.durationMs,
    reason: toSessionEndReason(record.reason),
  }
  const { cause, tag, name } = record
  const server = toServer(record)
  if (server !== undefined) session.server = server
  if (cause !== undefined && isCause(cause)) session.cause = cause
  if (tag !== undefined) session.tag = tag
  if (name !== undefined) session.name = name
  return session
}

function isCause(name: string): name is FaithSessionCause {
  return Object.hasOwn(CAUSES, name)
}

/** @internal Gives an active session its public shape. */
export function toLiveSession(session: NativeLiveSession): FaithLiveSession {
  const server = toServer(session)
  return {
    id: session.id,
    protocol: toProtocol(session.protocol),
    client: { address: session.client, port: session.clientPort },
    destination: { address: session.destination, port: session.destinationPort },
    ...(server === undefined ? {} : { server }),
    bytesUp: session.bytesUp,
    bytesDown: session.bytesDown,
    startedAt: new Date(session.startedAtMs),
    state: STATES.find((state) => state === session.state) ?? 'open',
    ageMs: session.ageMs,
    idleMs: session.idleMs,
    ...(session.tag === undefined ? {} : { tag: session.tag }),
    ...(session.name === undefined ? {} : { name: session.name }),
  }
}

/** @internal The server of a session or an attempt, if one was decided. */
export function toServer({
  server,
  serverPort,
}: NativeLiveSession | NativeRefusal | NativeSession): FaithEndpoint | undefined {
  if (server === undefined || serverPort === undefined) return undefined
  return { address: server, port: serverPort }
}

/** @internal Checks the addon's reason for the end of a session. */
export function toSessionEndReason(name: string): FaithSessionEndReason {
  return END_REASONS.find((reason) => reason === name) ?? 'error'
}

/** @internal Gives counts of the addon their public shape. */
export function toSessionStats(stats: NativeSessionStats): FaithSessionStats {
  const { active, begun, bytesUp, bytesDown } = stats
  const ended = { ...NO_ENDS, ...stats.ended }
  const aborted = { ...NO_ABORTS, ...stats.aborted }
  const none: FaithProtocolStats = { active: 0, begun: 0 }
  const byProtocol = { tcp: none, udp: none, icmp: none, ...stats.byProtocol }
  return { active, begun, byProtocol, ended, aborted, bytesUp, bytesDown }
}
