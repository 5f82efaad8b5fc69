import { exchanges, rate, times } from '../load.js'
import { relays } from '../work.js'
import type { Work } from '../work.js'

const group = '64 at a time: connect, 100 bytes up, 200 bytes down, close'

export default {
  name: 'connections',
  title: 'Connections',
  about: 'short connections per second: connect, one small HTTP exchange, the server closes',
  kinds: relays,
  reference: 'faithd',
  quick: true,
  headline: { rate: '' },
  metrics: () => [
    { key: 'rate', group, title: 'connections', unit: '/s', better: 'more', digits: 0 },
    { key: 'p50', group, title: 'connect to reply, p50', unit: 'ms', better: 'less', digits: 2 },
    { key: 'p99', group, title: 'p99', unit: 'ms', better: 'less', digits: 2 },
  ],
  duration: ({ seconds }) => seconds + 0.3,
  async run(bed, { seconds }) {
    const result = await exchanges(bed, '64 at a time', { mode: 'close', connections: 64, seconds })
    const { p50, p99 } = times(result.whole)
    return { rate: rate(result), p50: p50 / 1000, p99: p99 / 1000 }
  },
} satisfies Work
