import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { addresses } from '../../lab/index.js'
import { finished } from '../load.js'
import { nameCount } from '../subjects/resolvers.js'
import type { Metric, Values, Work } from '../work.js'

const group = 'cached names, 100 queries at a time from 4 ports'

/** Kinds of queries: an address is made of the A record, or the AAAA record passes, or the A record. */
const kinds = [
  { key: 'made', title: 'AAAA, made', name: 'v4', type: 'AAAA' },
  { key: 'passed', title: 'AAAA, passed', name: 'v6', type: 'AAAA' },
  { key: 'v4', title: 'A', name: 'v4', type: 'A' },
] as const

/** The part of queries that may be lost: a full socket buffer drops datagrams. */
const tolerated = 0.001

export default {
  name: 'dns64',
  title: 'DNS64',
  about: 'dnsperf: queries for cached names, to faithd and unbound with one thread each',
  kinds: ['resolvers'],
  reference: 'unbound-dns64',
  quick: false,
  headline: { made: 'made', passed: 'passed' },
  metrics: () =>
    kinds.flatMap(({ key, title }): Metric[] => [
      { key, group, title, unit: '/s', better: 'more', digits: 0 },
      {
        key: `${key}_cost`,
        group,
        title: `${title}, resolver`,
        unit: 'µs',
        better: 'less',
        digits: 2,
      },
    ]),
  duration: ({ seconds }) => kinds.length * (seconds + 1),
  async run(bed, { seconds }) {
    const values: Values = {}
    for (const { key, name, type } of kinds) {
      const file = join(bed.lab.directory, `queries-${key}`)
      const lines = Array.from(
        { length: nameCount },
        (_, at) => `${name}-${at}.example.net ${type}\n`,
      )
      writeFileSync(file, lines.join(''))
      const common = ['-s', addresses.gateway, '-d', file]
      // Fills the cache.
      await finished(bed.load('dnsperf', [...common, '-n', '1', '-q', '20']), 60)
      const args = [...common, '-l', String(seconds), '-q', '100', '-c', '4', '-T', '1']
      const threads = { load: 1, server: 1 }
      const [output, cpu] = await bed.phase(`${name} ${type}`, threads, async () => {
        return await finished(bed.load('dnsperf', args), seconds + 30)
      })
      bed.check()
      const figure = (label: string) => Number(new RegExp(`${label}: +([\\d.]+)`).exec(output)?.[1])
      const [completed, lost] = [figure('Queries completed'), figure('Queries lost')]
      if (!(completed > 0) || lost > tolerated * completed) {
        throw new Error(`${name} ${type}: ${lost} lost, ${completed} answered`)
      }
      values[key] = figure('Queries per second')
      if (cpu.relay !== undefined) values[`${key}_cost`] = (cpu.relay * 1e6) / completed
    }
    return values
  },
} satisfies Work
