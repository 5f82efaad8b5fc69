import { exchanges, rate, times } from '../load.js'
import type { Work } from '../work.js'

const group = 'short connections, 64 at a time, with and without a line or record for each'

export default {
  name: 'logging',
  title: 'Logging',
  about: 'short connections while the relay writes a line or record for each',
  kinds: ['logging'],
  reference: 'faithd-log-none',
  quick: false,
  headline: { rate: '' },
  metrics: () => [
    { key: 'rate', group, title: 'connections', unit: '/s', better: 'more', digits: 0 },
    { key: 'p50', group, title: 'p50', unit: 'ms', better: 'less', digits: 2 },
    { key: 'p99', group, title: 'p99', unit: 'ms', better: 'less', digits: 2 },
  ],
  duration: ({ seconds }) => seconds + 0.3,
  async run(bed, { seconds }) {
    const result = await exchanges(bed, '64 at a time', { mode: 'close', connections: 64, seconds })
    const { p50, p99 } = times(result.whole)
    return { rate: rate(result), p50: p50 / 1000, p99: p99 / 1000 }
  },
} satisfies Work
