import { exchanges, rate, times } from '../load.js'
import type { Metric, Work } from '../work.js'

const small = 'echo of 100 bytes on 64 kept connections'
const short = '64 at a time: connect, echo of 100 bytes, close'
const large = 'echo of 64 KiB on 4 kept connections'

const more = (key: string, group: string, title: string, unit: string, digits = 0): Metric => {
  return { key, group, title, unit, better: 'more', digits }
}
const p99 = (key: string, group: string): Metric => {
  return { key, group, title: 'p99', unit: 'ms', better: 'less', digits: 2 }
}

export default {
  name: 'node',
  title: 'Node',
  about: 'an echo in JavaScript over faith.listen(), beside the same echo over a plain net.Server',
  kinds: ['node'],
  reference: 'node-faith',
  quick: true,
  headline: { rate: 'echoes', connections: 'connections', bulk: 'bulk' },
  metrics: () => [
    more('rate', small, 'echoes', '/s'),
    p99('p99', small),
    more('connections', short, 'connections', '/s'),
    p99('connections_p99', short),
    more('bulk', large, 'each way', 'Gbit/s', 2),
  ],
  duration: ({ seconds }) => 3 * (seconds + 0.3),
  async run(bed, { seconds }) {
    const echo = 100
    const block = 65_536
    const kept = await exchanges(bed, small, { mode: 'keep', connections: 64, seconds, echo })
    const closing = { mode: 'close', closes: 'client', connections: 64, seconds, echo } as const
    const connections = await exchanges(bed, short, closing)
    const big = { mode: 'keep', connections: 4, seconds, echo: block } as const
    const bulk = await exchanges(bed, large, big)
    return {
      rate: rate(kept),
      p99: times(kept.exchange).p99 / 1000,
      connections: rate(connections),
      connections_p99: times(connections.whole).p99 / 1000,
      bulk: (rate(bulk) * block * 8) / 1e9,
    }
  },
} satisfies Work
