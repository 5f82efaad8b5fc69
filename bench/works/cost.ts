import { costs } from '../accounts.js'
import { bulk, bulkSeconds, exchanges } from '../load.js'
import { relays } from '../work.js'
import type { Metric, Values, Work } from '../work.js'

function pair(key: string, group: string, unit: string, digits: number): Metric[] {
  const common = { group, unit, better: 'less', digits } as const
  return [
    { key, title: 'relay', ...common },
    { key: `${key}_all`, title: 'whole path', ...common },
  ]
}

export default {
  name: 'cost',
  title: 'Cost',
  about: 'CPU time per GB and per 1,000 connections: of the relay, and of the whole path',
  kinds: relays,
  reference: 'faithd',
  quick: true,
  headline: { down_all: 'a GB', connections_all: '1,000 connections' },
  metrics: ({ quick }) => [
    ...(quick ? [] : pair('up', 'CPU time per GB, 1 flow up', 's', 3)),
    ...pair('down', 'CPU time per GB, 1 flow down', 's', 3),
    ...pair('connections', 'CPU time per 1,000 short connections', 'ms', 1),
  ],
  duration: ({ seconds, quick }) => (quick ? 1 : 2) * (bulkSeconds(seconds) + 0.3) + seconds + 0.3,
  async run(bed, { seconds, quick }) {
    const values: Values = {}
    for (const direction of quick ? (['down'] as const) : (['up', 'down'] as const)) {
      const { gigabytes, cpu } = await bulk(bed, 1, direction, seconds)
      Object.assign(values, costs(direction, cpu, gigabytes))
    }
    const short = { mode: 'close', connections: 64, seconds, warmup: 0 } as const
    const { exchanges: count, cpu } = await exchanges(bed, '64 at a time', short)
    return { ...values, ...costs('connections', cpu, count / 1e6) }
  },
} satisfies Work
