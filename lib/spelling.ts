/** Guesses the intended name of a misspelt option. */

/** Old names of options, with the new ones. */
const RENAMED: ReadonlyMap<string, readonly string[]> = new Map([
  ['outgoing', ['localAddress']],
  ['privilegedSource', ['privilegedLocalPort']],
  ['source', ['client', 'localAddress']],
  ['sources', ['localAddresses']],
])

/**
 * Finds the name that was most likely intended: the new name of an old one, a name that begins with `name` (`drain`,
 * `drainMs`), or a name a few slips away. Gives `undefined` if no name is close.
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

/** Counts missing, extra, wrong and swapped letters (the Damerau-Levenshtein distance). */
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
