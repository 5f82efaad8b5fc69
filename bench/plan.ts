/**
 * Who does what when. A round goes through the work items, and within one through the subjects, so that
 * figures which are compared are taken within minutes of each other; each round begins with another
 * subject, so that none is always the first or the one after the heaviest.
 */
import type { Subject } from './subject.js'
import type { Settings, Work } from './work.js'

export interface Sitting {
  round: number
  work: Work
  subject: Subject
}

export function plan(
  rounds: number,
  works: readonly Work[],
  subjects: readonly Subject[],
): Sitting[] {
  return Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) =>
    works.flatMap((work) => {
      const able = subjects.filter(({ kind }) => work.kinds.includes(kind))
      return rotate(able, round - 1).map((subject) => ({ round, work, subject }))
    }),
  )
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

/** Tells how long is left, from what the loads take and what the rest has taken so far. */
export class Clock {
  readonly settings: Settings
  readonly #started = performance.now()
  /** Seconds beside the load: the lab, the start of the subject, the end of both. */
  #aside = 1
  #sittings = 1

  constructor(settings: Settings) {
    this.settings = settings
  }

  get elapsed(): number {
    return (performance.now() - this.#started) / 1000
  }

  remaining(sittings: readonly Sitting[]): number {
    return sittings.reduce((sum, { work }) => sum + this.#expected(work), 0)
  }

  /** Learns from a sitting that took so many seconds. */
  took(work: Work, seconds: number): void {
    const aside = Math.max(0, seconds - work.duration(this.settings))
    this.#sittings += 1
    this.#aside += (aside - this.#aside) / this.#sittings
  }

  #expected(work: Work): number {
    return work.duration(this.settings) + this.#aside
  }
}
