/** Runs dnsperf, which asks a name server the queries of a file. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { CpuTime } from './accounts.js'
import type { Bed } from './bed.js'
import { finished } from './load.js'

/** The part of queries that may be lost: a full socket buffer drops datagrams. */
const tolerated = 0.001

export interface Asking {
  /** The address that the client asks. */
  server: string
  /** The file of queries. */
  file: string
  /** Queries under way at most, from this many sockets. */
  atOnce: number
  sockets: number
  seconds: number
}

export interface Answers {
  completed: number
  /** Answers per second. */
  rate: number
  /** Mean time to an answer in microseconds. */
  mean: number
  cpu: CpuTime
}

/** Writes a file of queries, a line `name type` each. */
export function writeQueries(bed: Bed, name: string, queries: readonly string[]): string {
  const file = join(bed.lab.directory, `queries-${name}`)
  writeFileSync(file, queries.map((query) => `${query}\n`).join(''))
  return file
}

/** Asks at the highest rate; throws if too many queries get no answer. */
export async function dnsperf(bed: Bed, phase: string, asking: Asking): Promise<Answers> {
  const { server, file, atOnce, sockets, seconds } = asking
  const limits = ['-l', seconds, '-q', atOnce, '-c', sockets, '-T', 1].map(String)
  const args = ['-s', server, '-d', file, ...limits]
  const [output, cpu] = await bed.phase(phase, { load: 1, server: 1 }, async () => {
    return await finished(bed.load('dnsperf', args), seconds + 30)
  })
  bed.check()
  const figure = (label: string) => Number(new RegExp(`${label}: +([\\d.]+)`).exec(output)?.[1])
  const [completed, lost] = [figure('Queries completed'), figure('Queries lost')]
  if (!(completed > 0) || lost > tolerated * completed) {
    throw new Error(`${phase}: ${lost} lost, ${completed} answered`)
  }
  const mean = figure('Average Latency \\(s\\)') * 1e6
  return { completed, rate: figure('Queries per second'), mean, cpu }
}
