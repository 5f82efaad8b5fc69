import { exchanges, rate, times } from '../load.js'
import { relays } from '../work.js'
import type { Work } from '../work.js'

const group = '64 kept connections: 100 bytes up, 200 bytes down, again and again'

export default {
  name: 'keepalive',
  title: 'Requests',
  about: 'request and response on 64 kept-alive connections: rate, p50, p99',
  kinds: relays,
  reference: 'faithd',
  quick: true,
  headline: { rate: '', p99: 'p99' },
  metrics: () => [
    { key: 'rate', group, title: 'requests', unit: '/s', better: 'more', digits: 0 },
    { key: 'p50', group, title: 'p50', unit: 'ms', better: 'less', digits: 2 },
    { key: 'p99', group, title: 'p99', unit: 'ms', better: 'less', digits: 2 },
  ],
  duration: ({ seconds }) => seconds + 0.3,
  async run(bed, { seconds }) {
    const result = await exchanges(bed, '64 kept', { mode: 'keep', connections: 64, seconds })
    const { p50, p99 } = times(result.exchange)
    return { rate: rate(result), p50: p50 / 1000, p99: p99 / 1000 }
  },
} satisfies Work
