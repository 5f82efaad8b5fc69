/** What a relay has counted. */
import type { NativeRelayStats } from './native.js'
import {
  type FaithRefusalCounts,
  type FaithRefusalStats,
  toRefusalCounts,
  toRefusalStats,
} from './refusal.js'
import { type FaithSessionStats, toSessionStats } from './session.js'

/**
 * What a relay has done since it was opened. Each attempt that began is a session, refused, handed over, or still under
 * way.
 *
 * @group Relay and route
 */
export interface FaithRelayStats {
  /**
   * Connections accepted, those that go on included. With `connectFirst`, what is denied or cannot be connected is
   * never accepted: it shows in `refused` alone.
   */
  accepted: number
  /** Connections given to this program because `route` said so; neither sessions nor refused. */
  handedOver: number
  /** Attempts under way: SYNs that are held, and accepted clients without a server yet. */
  attempts: number
  /** Sessions, from when client and server are joined. */
  sessions: FaithSessionStats
  /** Attempts that came to no session. */
  refused: FaithRefusalStats
  /** Sessions and refusals without an event. */
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
 * Sessions and refusals that no event told: refusals beyond the number that is told a second, and any where JavaScript
 * did not keep up. Together with the events that were told they make all that ended. Empty without `sessionEvents`.
 *
 * @group Relay and route
 */
export interface FaithUntold {
  /** Sessions that have ended. */
  sessions: number
  /** Refusals, by cause, or by reason where they have none. */
  refused: FaithRefusalCounts
}

/** @internal The counters of the addon, in the public shape. */
export function toRelayStats(stats: NativeRelayStats): FaithRelayStats {
  const { accepted, handedOver, attempts, untoldSessions, untoldRefused } = stats
  const { localAddressFallbacks, maxHeld, maxSessions } = stats
  return {
    accepted,
    handedOver,
    attempts,
    sessions: toSessionStats(stats.sessions),
    refused: toRefusalStats(stats.refused),
    untold: { sessions: untoldSessions, refused: toRefusalCounts(untoldRefused) },
    localAddressFallbacks,
    maxHeld,
    maxSessions,
  }
}
