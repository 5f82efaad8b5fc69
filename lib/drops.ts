/**
 * Reports dropped packets in sums. A report for each packet would let a client that floods an interface flood the
 * program too.
 */

/**
 * The reason why a packet was dropped.
 *
 * | reason | meaning |
 * |---|---|
 * | `malformed` | the packet is not IPv6, or its length, its TCP header or its UDP header is wrong |
 * | `keepfaith` | keepfaith is off |
 * | `martian` | the source is impossible for a client, or the destination is outside the prefixes |
 * | `extension`, `fragment` | the packet has extension or fragment headers out of bounds; or it is a fragment of a datagram or ping that did not become whole |
 * | `icmp` | the packet is ICMPv6, but neither a ping nor an error about a packet that the client got |
 * | `unsupported` | the packet is neither TCP nor ICMPv6 nor a datagram of a relay, or it is a ping |
 * | `outbound` | the stack sent the packet, but it belongs to no captured connection |
 * | `backpressure` | a device was down, or its queue was full |
 * | `hold` | the packet is a SYN whose connection is held, waits for a place, or has a server that did not answer; or whose port got no socket on demand. Or it is a datagram beyond those that wait for the `route` |
 * | `no-listener` | the packet is a SYN to a port that neither a relay nor a listener has; the client got a RST |
 * | `checksum` | the checksum of the datagram is wrong or missing |
 *
 * @group Diagnostics
 */
export type FaithDropReason =
  | 'malformed'
  | 'keepfaith'
  | 'martian'
  | 'extension'
  | 'fragment'
  | 'icmp'
  | 'unsupported'
  | 'outbound'
  | 'backpressure'
  | 'hold'
  | 'no-listener'
  | 'checksum'

/**
 * The packets that an interface has dropped in about a second.
 *
 * @group Diagnostics
 */
export interface FaithDrops {
  /** Number of packets by reason. Reasons that did not occur are absent. */
  packets: Partial<Record<FaithDropReason, number>>
  /** The length of the interval, in milliseconds. */
  intervalMs: number
}

/** A record, because the compiler checks that it names every reason. */
const NO_DROPS: Readonly<Record<FaithDropReason, 0>> = {
  malformed: 0,
  keepfaith: 0,
  martian: 0,
  extension: 0,
  fragment: 0,
  icmp: 0,
  unsupported: 0,
  outbound: 0,
  backpressure: 0,
  hold: 0,
  'no-listener': 0,
  checksum: 0,
}

/** @internal Every reason. */
export const DROP_REASONS = Object.keys(NO_DROPS) as readonly FaithDropReason[]

/** @internal Converts the addon's counters to the public shape. */
export function toDrops(drops: Readonly<Record<string, number>>): Record<FaithDropReason, number> {
  const counts: Record<FaithDropReason, number> = { ...NO_DROPS }
  for (const reason of DROP_REASONS) counts[reason] = drops[reason] ?? 0
  return counts
}

type Counters = Record<FaithDropReason, number>

/** @internal Reads the counters once a second (`intervalMs`) while the event has a handler. */
export class DropWatch {
  readonly #count: () => Counters
  readonly #tell: (drops: FaithDrops) => boolean
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined
  #counted: Counters = NO_DROPS
  #at = 0

  /** @param tell - reports the drops; gives `false` if no handler is left */
  constructor(count: () => Counters, tell: (drops: FaithDrops) => boolean, intervalMs = 1000) {
    this.#count = count
    this.#tell = tell
    this.#intervalMs = intervalMs
  }

  /** Begins to count, if it has not begun. */
  start(): void {
    if (this.#timer !== undefined) return
    this.#counted = this.#count()
    this.#at = performance.now()
    this.#timer = setInterval(() => this.#look(), this.#intervalMs).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const [before, since] = [this.#counted, this.#at]
    this.#counted = this.#count()
    this.#at = performance.now()
    const packets: FaithDrops['packets'] = {}
    for (const reason of DROP_REASONS) {
      const more = this.#counted[reason] - before[reason]
      if (more > 0) packets[reason] = more
    }
    if (!this.#tell({ packets, intervalMs: this.#at - since })) this.stop()
  }
}
