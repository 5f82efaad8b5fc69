/**
 * Plans the order of the sittings. A round goes through the work items, and within each through the subjects, so that
 * compared figures are taken within minutes of each other. Each round begins with another subject, so that no subject
 * is always first, or always after the heaviest one.
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

/** Estimates the remaining time from the length of the loads and the overhead so far. */
export class Clock {
  readonly settings: Settings
  readonly #started = performance.now()
  /** Seconds besides the load: the lab, the start of the subject, the end of both. */
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

  /** Learns from the duration of a finished sitting. */
  took(work: Work, seconds: number): void {
    const aside = Math.max(0, seconds - work.duration(this.settings))
    this.#sittings += 1
    this.#aside += (aside - this.#aside) / this.#sittings
  }

  #expected(work: Work): number {
    return work.duration(this.settings) + this.#aside
  }
}
