/** Sorts very many entries without stopping the event loop, and keeps the first of them. */

/** Entries that are sorted in one go. It takes about a millisecond. */
const RUN = 2048

interface Entry<T> {
  key: number | string
  item: T
}

/** The first `limit` of all entries that are added, by their keys. */
export class Ranking<T> {
  readonly #limit: number
  readonly #sign: 1 | -1
  #fresh: Entry<T>[] = []
  #runs: Entry<T>[][] = []
  /** The entries that were added, also those that were not kept. */
  added = 0

  /** @param order - `desc` has the largest keys first */
  constructor(limit: number, order: 'asc' | 'desc') {
    this.#limit = limit
    this.#sign = order === 'asc' ? 1 : -1
  }

  add(key: number | string, item: T): void {
    this.added += 1
    if (this.#limit === 0) return
    this.#fresh.push({ key, item })
    if (this.#fresh.length === RUN) this.#close()
  }

  /** Gives the entries in their order. Those of equal keys stay in the order in which they were added. */
  *inOrder(): Generator<T> {
    this.#close()
    yield* this.#merged(this.#runs)
  }

  #close(): void {
    if (this.#fresh.length === 0) return
    const run = this.#fresh.toSorted((one, other) => this.#compare(one, other))
    this.#fresh = []
    this.#runs.push(run.slice(0, this.#limit))
    // A small answer needs no more than its own length, however many entries there are.
    if (this.#runs.length < 2 || this.#limit > RUN) return
    const items: Entry<T>[] = []
    for (const entry of this.#entries(this.#runs)) items.push(entry)
    this.#runs = [items]
  }

  *#merged(runs: readonly Entry<T>[][]): Generator<T> {
    for (const { item } of this.#entries(runs)) yield item
  }

  *#entries(runs: readonly (readonly Entry<T>[])[]): Generator<Entry<T>> {
    const heads = runs.map(() => 0)
    for (let count = 0; count < this.#limit; count += 1) {
      let best: Entry<T> | undefined
      let from = 0
      for (const [index, run] of runs.entries()) {
        const entry = run[heads[index] ?? 0]
        if (entry === undefined) continue
        if (best !== undefined && this.#compare(best, entry) <= 0) continue
        best = entry
        from = index
      }
      if (best === undefined) return
      heads[from] = (heads[from] ?? 0) + 1
      yield best
    }
  }

  #compare(one: Entry<T>, other: Entry<T>): number {
    if (one.key === other.key) return 0
    return one.key < other.key ? -this.#sign : this.#sign
  }
}
