/** Telling of dropped packets: not one by one, as whoever floods an interface would flood its program, but in sums. */

/** The packets that an interface has dropped in about a second. */
export interface FaithDrops {
  /** How many, by the reasons of {@link FaithInterfaceStats.drops}; those that have not occurred are not there. */
  packets: Record<string, number>
  /** Within how long, in milliseconds. */
  intervalMs: number
}

/** An emitter with an event `drop`, whatever others it has. */
interface DropTeller {
  listenerCount(event: 'drop'): number
  emit(event: 'drop', drops: FaithDrops): boolean
  on(event: 'newListener', listener: (event: string | symbol) => void): unknown
}

/** @internal Emits `drop` on whoever has handlers for it, from when the first is added until it is closed. */
export function tellDrops(
  teller: DropTeller,
  count: () => Record<string, number>,
  isClosed: () => boolean,
): DropWatch {
  const watch = new DropWatch(count, (drops) => {
    const wanted = teller.listenerCount('drop') > 0
    if (wanted && Object.keys(drops.packets).length > 0) teller.emit('drop', drops)
    return wanted
  })
  teller.on('newListener', (event) => {
    if (event === 'drop' && !isClosed()) watch.start()
  })
  return watch
}

/** @internal Looks at the counters now and then, while somebody wants to hear. */
export class DropWatch {
  readonly #count: () => Record<string, number>
  readonly #tell: (drops: FaithDrops) => boolean
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined
  #counted: Record<string, number> = {}
  #at = 0

  /** @param tell - says whether there is still somebody to tell */
  constructor(
    count: () => Record<string, number>,
    tell: (drops: FaithDrops) => boolean,
    intervalMs = 1000,
  ) {
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
    const packets: Record<string, number> = {}
    for (const [reason, count] of Object.entries(this.#counted)) {
      const more = count - (before[reason] ?? 0)
      if (more > 0) packets[reason] = more
    }
    if (!this.#tell({ packets, intervalMs: this.#at - since })) this.stop()
  }
}
