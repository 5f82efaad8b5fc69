/** Says which side of a session is slow, and why, from the kernel's TCP_INFO of both connections. */
import type { Leg, SessionDetail } from '../control/schemas.js'
import { bytes, counted, duration, networkTime, rate } from './units.js'

/** The part of the busy time from which a limit explains the slowness. */
const MUCH = 0.3
/** A session without a byte for this long waits for its programs. */
const QUIET_MS = 1000

/** A session of connections. */
interface Followed {
  slow: NonNullable<SessionDetail['slow']>
  legs: NonNullable<SessionDetail['legs']>
  idleMs: number
}

/** Makes the sentence. */
export function slowness({ slow, legs, idleMs }: Followed): string {
  if (slow === 'neither') {
    return idleMs >= QUIET_MS
      ? `Neither side is slow: no byte has moved for ${duration(idleMs)}, and none waits for long.`
      : 'Neither side is slow: each takes the bytes of the other as they come.'
  }
  const leg = legs[slow]
  const waiting = leg.unsent + leg.unacknowledged
  const amount = waiting === 0 ? '' : `; ${bytes(waiting)} wait for it in this host`
  return `The ${slow} is slow: ${reason(leg, slow)}${amount}.`
}

function reason(leg: Leg, side: string): string {
  const busy = Math.max(1, leg.busyMs)
  const byPeer = leg.limitedByPeerMs / busy
  const byBuffer = leg.limitedByBufferMs / busy
  if (byPeer >= MUCH && byPeer >= byBuffer) {
    return `its program reads too slowly; the receive window was full for ${percent(byPeer)} of the time`
  }
  if (leg.lost > 0) {
    return (
      `the path loses packets; ${counted(leg.lost, 'segment')} lost now, ` +
      `${counted(leg.retransmitted, 'segment')} sent again so far`
    )
  }
  if (byBuffer >= MUCH) {
    return (
      `the send buffer of this host is too small for the path, for ${percent(byBuffer)} of the time; ` +
      'net.ipv4.tcp_wmem sets it'
    )
  }
  const speed = leg.deliveryRate === undefined ? '' : ` carries ${rate(leg.deliveryRate)} and`
  const trip = leg.rttMs === undefined ? '' : `, with a round trip of ${networkTime(leg.rttMs)}`
  return `the path to the ${side}${speed} lets ${counted(leg.congestionWindow, 'segment')} be in flight${trip}`
}

function percent(part: number): string {
  return `${Math.round(Math.min(1, part) * 100)} %`
}
