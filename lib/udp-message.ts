/** Datagrams that a program gets from the addon. */
import type { FaithDestination } from './endpoint.js'
import type { NativeMessage } from './native.js'

/**
 * The origin of a datagram, as in `node:dgram`, and what its sender dialled.
 *
 * @group UDP
 */
export interface FaithUdpRemoteInfo {
  /** The sender's IPv6 address in RFC 5952 form. */
  address: string
  /** Always `'IPv6'`. */
  family: 'IPv6'
  /** The sender's port, 1 to 65535. */
  port: number
  /** Number of bytes of the data. */
  size: number
  /** The address and port that the sender dialled, and the IPv4 server by `mappings` and `mapping`, if they find one. */
  destination: FaithDestination
  /** The hop limit that was left, 0 to 255. */
  hopLimit: number
  /** The traffic class: DSCP in the upper six bits, ECN in the lower two. */
  trafficClass: number
}

/**
 * A datagram, as async iteration gives it.
 *
 * @group UDP
 */
export interface FaithUdpMessage {
  /** The data. */
  data: Buffer
  /** Its origin. */
  rinfo: FaithUdpRemoteInfo
}

/** @internal The datagrams of a group, which have the same ends and header fields. */
export function messagesOf(group: NativeMessage): FaithUdpMessage[] {
  const { data, segment = data.length, address, port, hopLimit, trafficClass } = group
  const { destination: dialled, destinationPort, ipv4, ipv4Port } = group
  const messages: FaithUdpMessage[] = []
  let start = 0
  do {
    const piece = data.subarray(start, start + segment)
    const destination: FaithDestination = { address: dialled, port: destinationPort }
    if (ipv4 !== undefined) destination.ipv4 = ipv4
    if (ipv4Port !== undefined) destination.ipv4Port = ipv4Port
    const size = piece.length
    const ends = { address, family: 'IPv6', port, size, destination } as const
    messages.push({ data: piece, rinfo: { ...ends, hopLimit, trafficClass } })
    start += segment
  } while (start < data.length)
  return messages
}
