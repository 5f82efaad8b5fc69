/** Makes rates of two looks at the daemon, whose answers count bytes. */

interface Counted {
  bytesUp: number
  bytesDown: number
}

/** An entry with its rates in bytes a second, where they are known. */
export type Rated<T> = T & { up?: number; down?: number }

/** Adds the rates since an earlier look. A sum may fall, because a session that ends takes its bytes along. */
export function withRates<T extends Counted>(
  entries: readonly T[],
  before: readonly T[],
  seconds: number,
  keyOf: (entry: T) => string,
): Rated<T>[] {
  const earlier = new Map(before.map((entry) => [keyOf(entry), entry]))
  return entries.map((entry) => {
    const then = earlier.get(keyOf(entry))
    if (then === undefined || seconds <= 0) return entry
    const up = Math.max(0, entry.bytesUp - then.bytesUp) / seconds
    const down = Math.max(0, entry.bytesDown - then.bytesDown) / seconds
    return Object.assign({}, entry, { up, down })
  })
}

/** Sorts by rate, the highest first. */
export function byRate<T extends { up?: number; down?: number }>(
  rated: readonly T[],
  reverse: boolean,
): T[] {
  const sign = reverse ? -1 : 1
  const sum = ({ up = 0, down = 0 }: T) => up + down
  return rated.toSorted((one, other) => sign * (sum(other) - sum(one)))
}
