/** Adds up statistics of several relays. */
import type { FaithRelayStats } from '../index.js'

/** Gives the sum of statistics, of which there is one at least. A limit that one of them is without is no limit. */
export function total(stats: readonly FaithRelayStats[]): FaithRelayStats {
  const [first, ...more] = stats
  if (first === undefined) throw new Error('there are statistics of one relay at least')
  const all = more.reduce((one, other) => add(one, other), first)
  const isLimited = stats.every(({ maxSessions }) => maxSessions > 0)
  return { ...all, maxSessions: isLimited ? all.maxSessions : 0 }
}

/** Adds the numbers of two objects, also of those inside them. A field that only one has is taken over. */
function add<T extends object>(one: T, other: T): T {
  if (Array.isArray(one)) return one.map((each: object, at) => add(each, (other as never)[at])) as T
  const sums = new Map<string, unknown>(Object.entries(one))
  for (const [name, value] of Object.entries(other) as [string, number | object][]) {
    const before = sums.get(name) as typeof value | undefined
    // The bound of a histogram's bucket is no count.
    if (name === 'upToMs') continue
    sums.set(name, before === undefined ? value : sum(before, value))
  }
  return Object.fromEntries(sums) as T
}

function sum(one: number | object, other: number | object): number | object {
  if (typeof one === 'number' && typeof other === 'number') return one + other
  return add(one as object, other as object)
}
