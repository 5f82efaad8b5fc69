import { addresses } from '../../lab/index.js'
import { dnsperf, writeQueries } from '../dnsperf.js'
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
      const each = Array.from({ length: nameCount }, (_, at) => `${name}-${at}.example.net ${type}`)
      const file = writeQueries(bed, key, each)
      const server = addresses.gateway
      // Fills the cache.
      await finished(bed.load('dnsperf', ['-s', server, '-d', file, '-n', '1', '-q', '20']), 60)
      const asking = { server, file, atOnce: 100, sockets: 4, seconds }
      const { completed, rate, cpu } = await dnsperf(bed, `${name} ${type}`, asking)
      values[key] = rate
      if (cpu.relay !== undefined) values[`${key}_cost`] = (cpu.relay * 1e6) / completed
    }
    return values
  },
} satisfies Work
