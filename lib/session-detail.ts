/** A session of a relay in detail, with its connections as the kernel describes them. */
import type { NativeSessionDetail, NativeTcpInfo } from './native.js'
import { type FaithDecidingRule, toDecidingRule } from './deciding-rule.js'
import { type FaithLiveSession, toLiveSession } from './session.js'

/**
 * One connection of a session, as the kernel describes it (`TCP_INFO`, tcp(7) and linux/tcp.h). The relay is one end:
 * it sends to the client or the server, and receives from it.
 *
 * @group Relay and route
 */
export interface FaithLeg {
  /** The kernel's name of its state: `ESTABLISHED`, `CLOSE_WAIT` (the peer has sent its FIN), `FIN_WAIT2` … */
  state: string
  /** Smoothed round-trip time in milliseconds; absent before the first measurement. */
  rttMs?: number
  /** Mean deviation of the round-trip time in milliseconds; absent before the first measurement. */
  rttVarianceMs?: number
  /** Shortest round-trip time in milliseconds, of the last five minutes by default; absent before the first measurement. */
  minimumRttMs?: number
  /** Segments that may be in flight. */
  congestionWindow: number
  /** Bytes of a segment that is sent. */
  mss: number
  /** Segments sent again since the start. */
  retransmitted: number
  /** Segments that are thought lost now. */
  lost: number
  /** Bytes sent and not acknowledged; a FIN counts as one. */
  unacknowledged: number
  /** Bytes that wait in the send buffer. */
  unsent: number
  /** Bytes that wait in the receive buffer. */
  unread: number
  /** Bytes a second that reach the peer, as last measured; absent before. */
  deliveryRate?: number
  /** Bytes a second that the kernel sends at most; absent without a limit. */
  pacingRate?: number
  /** Time with bytes to send or to be acknowledged, in milliseconds. */
  busyMs: number
  /** Part of `busyMs` in which the receive window of the peer was full. */
  limitedByPeerMs: number
  /** Part of `busyMs` in which the send buffer was too small. */
  limitedByBufferMs: number
  /** The name of the congestion control: `cubic`, `bbr` … */
  congestionControl: string
}

/**
 * The two connections of a session.
 *
 * @group Relay and route
 */
export interface FaithLegs {
  /** The connection to the client. */
  client: FaithLeg
  /** The connection to the server. */
  server: FaithLeg
}

/**
 * An active session of a relay in detail, as it was at the call.
 *
 * @group Relay and route
 */
export interface FaithSessionDetail extends FaithLiveSession {
  /** The two connections of the session; absent for datagrams and pings, which have none. */
  legs?: FaithLegs
  /** Bytes inside the relay: taken from the client, and not yet in the send buffer towards the server. */
  waitingUp: number
  /** Bytes inside the relay for the client, likewise. */
  waitingDown: number
  /**
   * The rule that permits the session by the access list in force; absent if a default does, if `route` named the
   * server, or if the list no longer permits it.
   */
  rule?: FaithDecidingRule
  /**
   * The side that takes bytes more slowly than the other gives them, if one does: bytes wait unsent for it, and more wait
   * behind them or its receive window has been full for most of the time. The cause may be the program there or the
   * network: `limitedByPeerMs` grows for a program that does not read, `retransmitted` for a network that loses packets.
   */
  slow: 'client' | 'server' | 'neither'
}

/** @internal Gives the addon's session its public shape. */
export function toSessionDetail(detail: NativeSessionDetail): FaithSessionDetail {
  const { session, client, server, waitingUp, waitingDown, rule, slow } = detail
  return {
    ...toLiveSession(session),
    ...(client && server ? { legs: { client: toLeg(client), server: toLeg(server) } } : {}),
    waitingUp,
    waitingDown,
    ...(rule === undefined ? {} : { rule: toDecidingRule(rule) }),
    slow: slow === 'client' || slow === 'server' ? slow : 'neither',
  }
}

/** Leaves out the values that the kernel has not measured. */
function toLeg(info: NativeTcpInfo): FaithLeg {
  const { rttMs, rttVarianceMs, minimumRttMs, deliveryRate, pacingRate, ...always } = info
  const leg: FaithLeg = always
  if (rttMs !== undefined) leg.rttMs = rttMs
  if (rttVarianceMs !== undefined) leg.rttVarianceMs = rttVarianceMs
  if (minimumRttMs !== undefined) leg.minimumRttMs = minimumRttMs
  if (deliveryRate !== undefined) leg.deliveryRate = deliveryRate
  if (pacingRate !== undefined) leg.pacingRate = pacingRate
  return leg
}
