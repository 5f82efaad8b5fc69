/**
 * What subjects are measured by. A work item is a file in works/ whose default export is a {@link Work};
 * adding a file adds it to the run, the help, the tables and the JSON.
 */
import type { LabOptions } from '../lab/index.js'
import type { Bed } from './bed.js'
import { defaultExports } from './subject.js'
import type { SubjectKind } from './subject.js'

/** How much of everything. */
export interface Settings {
  /** How long a single load lasts. */
  seconds: number
  /** The whole run in two minutes: fewer loads, shorter ones, fewer sessions. */
  quick: boolean
  /** Sessions a relay can hold in one process: two descriptors each, within this machine's limit. */
  mostSessions: number
}

/** One figure of a work item. */
export interface Metric {
  key: string
  /** Metrics of one group share a table. */
  group: string
  title: string
  unit: string
  better: 'more' | 'less'
  digits: number
  /** The figure says all by itself: no ratio is given. */
  absolute?: boolean
  /** The figure is what a subject adds to another one's in the same round: `[metric, subject]`. */
  over?: readonly [metric: string, subject: string]
}

/** What one sitting gave; a figure that does not apply to the subject is left out. */
export type Values = Record<string, number>

export interface Work {
  /** What `--work` takes. */
  name: string
  title: string
  /** One line for the help. */
  about: string
  kinds: readonly SubjectKind[]
  /** The subject that ratios are to. */
  reference: string
  /** The lab it needs, where that is not the usual one; the subject's needs are met too. */
  lab?: LabOptions
  /** Whether `--quick` does it without being asked to. */
  quick: boolean
  metrics(settings: Settings): Metric[]
  /** How long the loads of one sitting take. */
  duration(settings: Settings): number
  /** Does the work; the subject is up and answers. */
  run(bed: Bed, settings: Settings): Promise<Values>
  /** The figures that the line of progress shows, and what it calls them. */
  headline: Readonly<Record<string, string>>
}

/** The kinds that carry connections from the client to the server. */
export const relays: readonly SubjectKind[] = ['limit', 'peer', 'faithd']

const order = [
  'bulk',
  'connections',
  'keepalive',
  'latency',
  'distance',
  'idle',
  'cost',
  'growth',
  'rules',
  'node',
]

/** Every work item there is; new ones come last. */
export async function allWorks(): Promise<Work[]> {
  const rank = ({ name }: Work) => (order.includes(name) ? order.indexOf(name) : order.length)
  const works = await defaultExports<Work>('works')
  return works.toSorted((one, other) => rank(one) - rank(other))
}
