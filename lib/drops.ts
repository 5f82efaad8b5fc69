/**
 * Telling of dropped packets: not one by one, as a client that floods an interface would flood its program, but in
 * sums.
 */

/**
 * Why a packet was dropped.
 *
 * | reason | meaning |
 * |---|---|
 * | `malformed` | it is not what its headers say |
 * | `keepfaith` | keepfaith is off |
 * | `martian` | it has an address that cannot be |
 * | `extension`, `fragment` | it has headers out of bounds |
 * | `icmp` | it is ICMPv6, not about a captured connection, and no ping |
 * | `unsupported` | it is not TCP |
 * | `outbound` | it is not from a faith prefix |
 * | `backpressure` | a device was down, or had no room |
 * | `hold` | it is a SYN that is held, or waits for a place, or whose server did not answer |
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

/**
 * The packets that an interface has dropped in about a second.
 *
 * @group Diagnostics
 */
export interface FaithDrops {
  /** How many, by reason; reasons that have not occurred are not there. */
  packets: Partial<Record<FaithDropReason, number>>
  /** Within how long, in milliseconds. */
  intervalMs: number
}

/** A record has to name every one, which a list need not. */
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
}

/** @internal Every reason. */
export const DROP_REASONS = Object.keys(NO_DROPS) as readonly FaithDropReason[]

/** @internal The counters of the addon, in the public shape. */
export function toDrops(drops: Readonly<Record<string, number>>): Record<FaithDropReason, number> {
  const counts: Record<FaithDropReason, number> = { ...NO_DROPS }
  for (const reason of DROP_REASONS) counts[reason] = drops[reason] ?? 0
  return counts
}

type Counters = Record<FaithDropReason, number>

/** @internal Looks at the counters now and then, while there is a listener to tell. */
export class DropWatch {
  readonly #count: () => Counters
  readonly #tell: (drops: FaithDrops) => boolean
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined
  #counted: Counters = NO_DROPS
  #at = 0

  /** @param tell - says whether there is still a listener to tell */
  constructor(count: () => Counters, tell: (drops: FaithDrops) => boolean, intervalMs = 1000) {
    this.#count = count
    this.#tell = tell
    this.#intervalMs = intervalMs
  }

  /** Begins to count, unless it has begun. */
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
