import type { Bed } from '../bed.js'
import { exchanges, rate, times } from '../load.js'
import { relays } from '../work.js'
import type { Metric, Settings, Work } from '../work.js'

/** Steps from 10 to 10,000 sessions, or to as many as one process has descriptors for. */
function steps({ quick, mostSessions }: Settings): number[] {
  const most = Math.min(10_000, Math.floor(mostSessions / 500) * 500)
  return quick ? [10, 1000] : [10, 100, 1000, most]
}

function allowed(bed: Bed, settings: Settings): number[] {
  const { sessionsAtMost = Number.POSITIVE_INFINITY } = bed.subject
  return steps(settings).filter((count) => count <= sessionsAtMost)
}

function metrics(count: number): Metric[] {
  const group = `${count.toLocaleString('en-US')} sessions, all busy`
  return [
    { key: `rate_${count}`, group, title: 'requests', unit: '/s', better: 'more', digits: 0 },
    { key: `p50_${count}`, group, title: 'p50', unit: 'ms', better: 'less', digits: 2 },
    { key: `p99_${count}`, group, title: 'p99', unit: 'ms', better: 'less', digits: 2 },
  ]
}

export default {
  name: 'growth',
  title: 'Growth',
  about: '10 to 10,000 busy sessions against rate and latency',
  kinds: relays,
  reference: 'faithd',
  quick: false,
  headline: { rate_10: '10 sessions', rate_1000: '1,000 sessions' },
  metrics: (settings) => steps(settings).flatMap(metrics),
  duration: (settings) => steps(settings).length * (settings.seconds + 0.6),
  async run(bed, settings) {
    const values: Record<string, number> = {}
    for (const connections of allowed(bed, settings)) {
      const load = { mode: 'keep', connections, seconds: settings.seconds } as const
      const result = await exchanges(bed, `${connections} sessions`, load)
      const { p50, p99 } = times(result.exchange)
      values[`rate_${connections}`] = rate(result)
      values[`p50_${connections}`] = p50 / 1000
      values[`p99_${connections}`] = p99 / 1000
    }
    return values
  },
} satisfies Work
