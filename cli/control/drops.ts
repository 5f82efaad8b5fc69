/** Lists the packets that the interfaces dropped. */
import type { FaithDropReason } from '../../index.js'
import { route } from './route.js'
import { drops } from './schemas.js'

const MEANINGS: Readonly<Record<FaithDropReason, string>> = {
  malformed: 'The packet is not IPv6, or its length, its TCP header or its UDP header is wrong.',
  keepfaith: 'keepfaith is 0.',
  martian: 'No client can have the source, or no prefix has the destination.',
  extension: 'The packet has extension headers that faithd does not take.',
  fragment: 'The packet has fragment headers that faithd does not take.',
  icmp: 'The packet is ICMPv6, but neither a ping nor an error about a packet that the client got.',
  unsupported: 'The packet is neither TCP nor ICMPv6 nor a datagram of a relay, or it is a ping.',
  outbound: 'The stack sent the packet, but it belongs to no captured connection.',
  backpressure: 'A device was down, or its queue was full.',
  hold: 'The packet is a SYN whose connection is held, waits for a place, or has a server that did not answer.',
  'no-listener': 'The packet is a SYN to a port that no relay has; the client got a RST.',
  checksum: 'The checksum of the datagram is wrong or missing.',
}

export const listDrops = route({
  method: 'GET',
  path: '/v1/drops',
  summary: 'Count the packets that were dropped, by reason',
  answer: drops,
  work: ({ daemon }) => ({
    drops: [...daemon.interfaces].flatMap(({ faith }) =>
      Object.entries(faith.stats().drops).map(([reason, packets]) => ({
        interface: faith.name,
        reason,
        packets,
        meaning: MEANINGS[reason as FaithDropReason],
      })),
    ),
  }),
})
