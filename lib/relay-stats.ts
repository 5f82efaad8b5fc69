/** The statistics of a relay. */
import type { NativeRelayStats } from './native.js'
import {
  type FaithRefusalCounts,
  type FaithRefusalStats,
  toRefusalCounts,
  toRefusalStats,
} from './refusal.js'
import { type FaithSessionStats, toSessionStats } from './session.js'

/**
 * The statistics of a relay since it was opened. Each attempt becomes a session, is refused, is handed over, or is
 * still under way.
 *
 * @group Relay and route
 */
export interface FaithRelayStats {
  /**
   * Connections accepted, including those that go on. With `connectFirst`, an attempt that is denied or cannot be
   * connected is never accepted: only `refused` counts it.
   */
  accepted: number
  /** Connections that `route` took for this program (`{ socket: true }`); neither sessions nor refused. */
  handedOver: number
  /** Attempts under way: held SYNs, and accepted clients without a server yet. */
  attempts: number
  /** Sessions. A session begins when client and server are joined. */
  sessions: FaithSessionStats
  /** Times that servers took to answer. */
  connectDurations: FaithConnectDurations
  /** Attempts that became no session. */
  refused: FaithRefusalStats
  /** Sessions and refusals without an event. */
  untold: FaithUntold
  /**
   * Connections to servers from another of the relay's `localAddresses` than the client's own, because that one had no
   * port left for the server or was not the host's.
   */
  localAddressFallbacks: number
  /** Effective maximum of held SYNs: `maxHeld`, or less if the process may open too few descriptors. */
  maxHeld: number
  /** Effective maximum of sessions: `maxSessions`, or less for the same reason; 0 means no limit. */
  maxSessions: number
  /** Datagrams; absent if the relay carries none. */
  udp?: FaithUdpStats
}

/**
 * Counts of datagrams of a relay. Frames count: several datagrams that the kernel has joined are one frame.
 *
 * @group Relay and route
 */
export interface FaithUdpStats {
  /** Mappings at this moment: ports of clients that have a socket. */
  mappings: number
  /** Effective maximum of mappings: `maxMappings`, or less if the process may open too few descriptors. */
  maxMappings: number
  /** Frames sent to servers. */
  framesUp: number
  /** Frames sent to clients. */
  framesDown: number
  /**
   * Datagrams of servers that the kernel dropped, because their socket had no room or their checksum was wrong. Counted
   * while a socket is busy, and when its mapping ends. The kernel counts short ones with a wrong checksum, of
   * at most 76 bytes with the header, for the host alone (`UdpInCsumErrors`, nstat(8)).
   */
  dropped: number
  /** Frames of servers that did not reach a client, because `filtering` stopped them. */
  filtered: number
  /** Frames whose datagrams were too long for the path to their client, and went in fragments. */
  fragmented: number
  /** Frames whose datagrams were too long for the path to their client, and were dropped (`oversize: 'drop'`). */
  oversize: number
  /** Frames that the kernel did not take for their server. */
  lost: number
  /** Sockets whose way to the server takes no joined datagrams. */
  withoutSuperframes: number
  /** Errors of servers and routers that were passed on to clients. */
  errorsDown: number
  /** Errors that servers were told: those of clients, and "fragmentation needed". */
  errorsUp: number
}

/**
 * Sessions and refusals without an event: refusals beyond the rate of events (50 a second for each reason), and records
 * that were lost because JavaScript did not keep up. Together with the emitted events they make up all ends. Empty
 * without `sessionEvents`.
 *
 * @group Relay and route
 */
export interface FaithUntold {
  /** Ended sessions. */
  sessions: number
  /** Refusals, by cause, or by reason if they have no cause. */
  refused: FaithRefusalCounts
}

/**
 * Times from a client's SYN, or from its accepted connection, until its server had answered. The time of a `route` is
 * part of it. Servers that did not answer or refused are left out.
 *
 * @group Relay and route
 */
export interface FaithConnectDurations {
  /**
   * Upper bounds in milliseconds, from 1 to 10000, each with the number of servers that answered within that time. The
   * counts are cumulative, as in Prometheus: each includes those of the smaller bounds.
   */
  buckets: FaithDurationBucket[]
  /** Servers that answered, also after more than 10 s. */
  count: number
  /** Sum of the times, in milliseconds. */
  sumMs: number
}

/**
 * The durations up to an upper bound.
 *
 * @group Relay and route
 */
export interface FaithDurationBucket {
  /** The bound in milliseconds. */
  upToMs: number
  /** Number of durations up to it, those of smaller bounds included. */
  count: number
}

/** @internal Converts the addon's counters to the public shape. */
export function toRelayStats(stats: NativeRelayStats): FaithRelayStats {
  const { accepted, handedOver, attempts, untoldSessions, untoldRefused } = stats
  const { localAddressFallbacks, maxHeld, maxSessions, udp } = stats
  return {
    accepted,
    handedOver,
    attempts,
    sessions: toSessionStats(stats.sessions),
    connectDurations: stats.connectDurations,
    refused: toRefusalStats(stats.refused),
    untold: { sessions: untoldSessions, refused: toRefusalCounts(untoldRefused) },
    localAddressFallbacks,
    maxHeld,
    maxSessions,
    ...(udp === undefined ? {} : { udp }),
  }
}
