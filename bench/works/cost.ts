import type { CpuTime } from '../accounts.js'
import { bulk, bulkSeconds, exchanges } from '../load.js'
import { relays } from '../work.js'
import type { Metric, Values, Work } from '../work.js'

/** CPU time per unit of work: of the relay, if it has a process, and of the whole path. */
function cost(name: string, cpu: CpuTime, units: number, scale: number): Values {
  const values: Values = {}
  if (cpu.relay !== undefined && cpu.relay > 0) values[name] = (cpu.relay / units) * scale
  const all = [cpu.load, cpu.server, cpu.relay, cpu.kernel]
  const known = all.filter((time) => time !== undefined)
  // Omits the sum if a party's time is unknown: the sum would look like a saving.
  if (known.length === all.length) {
    values[`${name}_all`] = (known.reduce((sum, time) => sum + time, 0) / units) * scale
  }
  return values
}

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
      Object.assign(values, cost(direction, cpu, gigabytes, 1))
    }
    const short = { mode: 'close', connections: 64, seconds, warmup: 0 } as const
    const { exchanges: count, cpu } = await exchanges(bed, '64 at a time', short)
    return { ...values, ...cost('connections', cpu, count / 1000, 1000) }
  },
} satisfies Work
