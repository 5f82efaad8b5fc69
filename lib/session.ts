/** Sessions of a relay: a client and a server that were joined. */
import type { FaithEndpoint } from './endpoint.js'
import type {
  NativeLiveSession,
  NativeRefusal,
  NativeSession,
  NativeSessionStats,
} from './native.js'

/**
 * How a session, or a splice, ended.
 *
 * | reason | meaning |
 * |---|---|
 * | `closed` | both sides had said all they had to say |
 * | `client-reset`, `server-reset` | that side aborted with RST, and the other was reset once it had all that was said before |
 * | `idle-timeout` | nothing was carried for as long as `idleTimeoutMs` |
 * | `max-bytes` | it has carried more than the `maxBytes` of its verdict |
 * | `client-gone`, `server-gone` | that side vanished: it answers neither data nor keep-alive probes |
 * | `aborted` | the relay or the interface was closed, or this program or a new access list ended it |
 * | `error` | anything else |
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

/** A record has to name every one, which a list need not. */
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
 * One ended session of a relay: its client and a server were joined. An attempt that came to no session is a
 * {@link FaithRefusal}.
 *
 * @group Relay and route
 */
export interface FaithSession {
  /** Unique within the relay, also among refusals; counts up as attempts begin. */
  id: number
  /** The client. */
  client: FaithEndpoint
  /** What the client dialled. */
  destination: FaithEndpoint
  /** The server that the relay connected to, with an IPv4 or an IPv6 address. */
  server?: FaithEndpoint
  /** Bytes carried from the client to the server. */
  bytesUp: number
  /** Bytes carried from the server to the client. */
  bytesDown: number
  /** When the client's SYN came. */
  startedAt: Date
  /** From then to the end, in milliseconds. */
  durationMs: number
  /** How it ended. */
  reason: FaithSessionEndReason
  /** The `tag` of the verdict that `route` gave, if it had one. */
  tag?: string
}

/**
 * A session of a relay that goes on, as it was when it was looked at.
 *
 * @group Relay and route
 */
export interface FaithLiveSession extends Omit<FaithSession, 'durationMs' | 'reason'> {
  /** From `startedAt` to now, in milliseconds. */
  ageMs: number
}

/**
 * Counts of the sessions of a relay, or of the splices of an interface.
 *
 * @group Relay and route
 */
export interface FaithSessionStats {
  /** Those that go on. */
  active: number
  /** Those that have begun, ended ones included. */
  begun: number
  /** Those that have ended, by reason; reasons that have not occurred are 0. */
  ended: Record<FaithSessionEndReason, number>
  /** Bytes carried from clients to servers, those of active ones included. */
  bytesUp: number
  /** Bytes carried from servers to clients, likewise. */
  bytesDown: number
}

/** @internal The record of the addon, in the public shape. There may be very many: one literal is all that is made. */
export function toSession(record: NativeSession): FaithSession {
  const session: FaithSession = {
    id: record.id,
    client: { address: record.client, port: record.clientPort },
    destination: { address: record.destination, port: record.destinationPort },
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    startedAt: new Date(record.startedAtMs),
    durationMs: record.durationMs,
    reason: toSessionEndReason(record.reason),
  }
  const { tag } = record
  const server = toServer(record)
  if (server !== undefined) session.server = server
  if (tag !== undefined) session.tag = tag
  return session
}

/** @internal A session that goes on, in the public shape. */
export function toLiveSession(session: NativeLiveSession): FaithLiveSession {
  const server = toServer(session)
  return {
    id: session.id,
    client: { address: session.client, port: session.clientPort },
    destination: { address: session.destination, port: session.destinationPort },
    ...(server === undefined ? {} : { server }),
    bytesUp: session.bytesUp,
    bytesDown: session.bytesDown,
    startedAt: new Date(session.startedAtMs),
    ageMs: session.ageMs,
    ...(session.tag === undefined ? {} : { tag: session.tag }),
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

/** @internal How a session ended, as the addon says it. */
export function toSessionEndReason(name: string): FaithSessionEndReason {
  return END_REASONS.find((reason) => reason === name) ?? 'error'
}

/** @internal Counts of the addon, in the public shape. */
export function toSessionStats(stats: NativeSessionStats): FaithSessionStats {
  const { active, begun, bytesUp, bytesDown } = stats
  const ended = { ...NO_ENDS, ...stats.ended }
  return { active, begun, ended, bytesUp, bytesDown }
}
