/** The statistics of an interface. */
import { type FaithDropReason, toDrops } from './drops.js'
import type { NativeInterfaceStats } from './native.js'
import { type FaithSessionStats, toSessionStats } from './session.js'

/**
 * Packets and their bytes, IPv6 headers included.
 *
 * @group Interface
 */
export interface FaithCounters {
  /** Number of packets. A packet of several merged segments counts once. */
  packets: number
  /** Number of their bytes, IPv6 headers included. */
  bytes: number
}

/**
 * The statistics of a faith interface since it was made.
 *
 * @group Interface
 */
export interface FaithInterfaceStats {
  /** Packets from the host to the stack, which terminates the connections. */
  captured: FaithCounters
  /** Packets from the stack to the host. */
  returned: FaithCounters
  /** ICMPv6 Destination Unreachable messages sent, and Time Exceeded about SYNs. */
  unreachableSent: number
  /**
   * Such messages withheld by the rate limit: a worker sends at most 200 a second to a /64,
   * and 10000 in all (RFC 4443 section 2.4).
   */
  unreachableLimited: number
  /**
   * Link-local multicast packets that the host itself sent to the interface, as to each of its links: reports of
   * multicast groups, router solicitations. They come from no client, so `drops` leaves them out.
   */
  hostMulticast: number
  /** SYNs held until their server was connected (`connectFirst`). */
  synsHeld: number
  /** SYNs answered at once, because `maxHeld` SYNs were held. */
  synsBeyondHold: number
  /**
   * SYNs not held, because `maxHeldPerClient` SYNs of their client were held, or they came faster than
   * `maxRatePerClient`. They were answered at once, or dropped as `hold` while the `route` of their relay kept the
   * others waiting.
   */
  synsBeyondClientHold: number
  /** Packets dropped, by reason. Reasons that have not occurred are 0. */
  drops: Record<FaithDropReason, number>
  /** The way listeners on many ports get their connections. */
  steering: 'sk_lookup' | 'on-demand'
  /** `true` if the packets of established connections stay in the kernel. */
  shortcut: boolean
  /** Number of threads that capture and relay. */
  workers: number
  /** The MTU that the interface was made with, in bytes. */
  mtu: number
  /** The splices that `spliceTo()` of a {@link FaithSocket} began. */
  splices: FaithSessionStats
}

/** @internal Gives the addon's statistics in the public shape. */
export function toInterfaceStats(stats: NativeInterfaceStats): FaithInterfaceStats {
  return {
    ...stats,
    steering: stats.steering === 'sk_lookup' ? 'sk_lookup' : 'on-demand',
    drops: toDrops(stats.drops),
    splices: toSessionStats(stats.splices),
  }
}
