/** Guessing which name was meant by one that does not exist. */

/** Names that options had, and those that they have now. */
const RENAMED: ReadonlyMap<string, readonly string[]> = new Map([
  ['outgoing', ['localAddress']],
  ['privilegedSource', ['privilegedLocalPort']],
  ['source', ['client', 'localAddress']],
  ['sources', ['localAddresses']],
])

/**
 * The one of the names that was most likely meant: the new name of an old one; one that is as long or longer and begins
 * like it (`drain`, `drainMs`); or one that is a slip or two away. `undefined` where none is near.
 */
export function closest(name: string, names: readonly string[]): string | undefined {
  const renamed = RENAMED.get(name)?.find((now) => names.includes(now))
  if (renamed !== undefined) return renamed
  const given = name.toLowerCase()
  const longer = names.find(
    (one) => given.length > 2 && one.toLowerCase().startsWith(given) && one !== name,
  )
  if (longer !== undefined) return longer
  const [nearest] = names
    .map((one) => ({ one, slips: distance(given, one.toLowerCase()) }))
    .filter(({ slips }) => slips <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((a, b) => a.slips - b.slips)
  return nearest?.one
}

/** How many letters are missing, too many, wrong or swapped with the next (the distance of Damerau and Levenshtein). */
function distance(from: string, to: string): number {
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      next[j] = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + same,
        swapped ? (before[j - 2] ?? 0) + 1 : Infinity,
      )
    }
    ;[before, row] = [row, next]
  }
  return row[to.length] ?? 0
}
