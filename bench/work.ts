/**
 * The work items. A work item is a file in works/ whose default export is a {@link Work}. A new file adds it to the
 * run, the help, the tables and the JSON.
 */
import type { LabOptions } from '../lab/index.js'
import type { Bed } from './bed.js'
import { defaultExports } from './subject.js'
import type { SubjectKind } from './subject.js'

/** The amount of work. */
export interface Settings {
  /** Duration of a single load in seconds. */
  seconds: number
  /** Fits the whole run into two minutes: fewer and shorter loads, fewer sessions. */
  quick: boolean
  /** Sessions that a relay can hold in one process: two descriptors each, within this machine's limit. */
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
  /** The figure needs no ratio. */
  absolute?: boolean
  /** The figure is the difference to another subject's in the same round: `[metric, subject]`. */
  over?: readonly [metric: string, subject: string]
}

/** Values of one sitting; figures that do not apply to the subject are left out. */
export type Values = Record<string, number>

export interface Work {
  /** The name that `--work` takes. */
  name: string
  title: string
  /** One line for the help. */
  about: string
  kinds: readonly SubjectKind[]
  /** The subject that ratios refer to. */
  reference: string
  /** The lab it needs, if not the usual one; the subject's needs are met too. */
  lab?: LabOptions
  /** Makes what the work needs, before the first sitting. The work is left out if that fails. */
  prepare?(): Promise<void>
  /** True if `--quick` includes it by default. */
  quick: boolean
  metrics(settings: Settings): Metric[]
  /** Duration of the loads of one sitting, in seconds. */
  duration(settings: Settings): number
  /** Does the work. The subject is up and answers. */
  run(bed: Bed, settings: Settings): Promise<Values>
  /** Figures in the line of progress, with their labels. */
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
  'logging',
  'datagrams',
  'quic',
  'dns',
  'ping',
  'dns64',
  'node',
]

/** All work items; unknown ones come last. */
export async function allWorks(): Promise<Work[]> {
  const rank = ({ name }: Work) => (order.includes(name) ? order.indexOf(name) : order.length)
  const works = await defaultExports<Work>('works')
  return works.toSorted((one, other) => rank(one) - rank(other))
}
