/**
 * The results of a run and their summary. The report is complete: tables and drawings use nothing else, so its JSON
 * is enough to make them again.
 */
import type { Phase } from './bed.js'
import type { Machine } from './machine.js'
import type { Subject, SubjectKind } from './subject.js'
import type { Metric, Settings, Values, Work } from './work.js'

/** One sitting: a subject, a work item, a round. */
export interface Sample {
  round: number
  work: string
  subject: string
  values: Values
  phases: Phase[]
  /** The reason why there are no values. */
  failure?: string
}

/** The summary of one figure of a subject. */
export interface Score {
  median: number
  least: number
  most: number
  rounds: number
  /** Median over the rounds of this subject's figure divided by the reference's. */
  ratio?: number
}

export interface MetricReport extends Metric {
  scores: Record<string, Score>
}

export interface WorkReport {
  name: string
  title: string
  about: string
  reference: string
  subjects: string[]
  metrics: MetricReport[]
}

export interface Report {
  format: 1
  date: string
  settings: Settings & { rounds: number; congestion: string }
  machine: Machine
  /** The method of counting CPU time. */
  accounting: string
  versions: Record<string, string>
  subjects: Record<string, { title: string; kind: SubjectKind; about: string }>
  works: WorkReport[]
  /** Requested subjects and work items that were not done, or not in every round, with the reason. */
  leftOut: { what: string; why: string }[]
  samples: Sample[]
}

/** The figures of one subject, or its differences to another subject's, round by round. */
function figures(
  samples: readonly Sample[],
  [key, baseline]: readonly [metric: string, baseline?: string],
  subject: string,
): Map<number, number> {
  const rounds = new Map<number, number>()
  for (const sample of samples) {
    const value = sample.subject === subject ? sample.values[key] : undefined
    if (value !== undefined) rounds.set(sample.round, value)
  }
  if (baseline === undefined) return rounds
  const below = figures(samples, [key], baseline)
  const differences = new Map<number, number>()
  for (const [round, value] of rounds) {
    const least = below.get(round)
    if (least !== undefined && subject !== baseline) differences.set(round, value - least)
  }
  return differences
}

const none = new Map<number, number>()

function score(values: Map<number, number>, reference: Map<number, number>): Score {
  const all = [...values.values()]
  const ratios = [...values].flatMap(([round, value]) => {
    const other = reference.get(round)
    // The difference to the limit can be negative by chance; it has no ratio then.
    return other !== undefined && other > 0 && value >= 0 ? [value / other] : []
  })
  return {
    median: median(all),
    least: Math.min(...all),
    most: Math.max(...all),
    rounds: all.length,
    ...(ratios.length > 0 && { ratio: median(ratios) }),
  }
}

/** Summarizes the samples of a work item. */
export function summarize(
  work: Work,
  subjects: readonly Subject[],
  settings: Settings,
  samples: readonly Sample[],
): WorkReport {
  const mine = samples.filter((sample) => sample.work === work.name)
  const names = subjects.filter(({ kind }) => work.kinds.includes(kind)).map(({ name }) => name)
  const metrics = work.metrics(settings).map((metric): MetricReport => {
    const from = metric.over ?? ([metric.key] as const)
    const reference = figures(mine, from, work.reference)
    const scores = names.flatMap((name): [string, Score][] => {
      const values = figures(mine, from, name)
      return values.size === 0 ? [] : [[name, score(values, metric.absolute ? none : reference)]]
    })
    return Object.assign(metric, { scores: Object.fromEntries(scores) })
  })
  const { name, title, about, reference } = work
  return { name, title, about, reference, subjects: names, metrics }
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2
}
