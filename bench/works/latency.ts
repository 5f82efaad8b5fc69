import { exchanges, times } from '../load.js'
import { relays } from '../work.js'
import type { Metric, Work } from '../work.js'

const baseline = 'forwarding'

/** A time, and the part of it that the subject adds. */
function both(key: string, group: string, title: string): [Metric, Metric] {
  const common = { group, unit: 'µs', better: 'less', digits: 1 } as const
  return [
    { key, title, ...common },
    { key: `${key}_added`, title: `${title}, added`, over: [key, baseline], ...common },
  ]
}

const connecting = 'one connection at a time'
const exchanging = 'one exchange at a time on a kept connection'

export default {
  name: 'latency',
  title: 'Latency',
  about: 'of connect() and of one small exchange, alone, and the time added to plain forwarding',
  kinds: relays,
  reference: 'faithd',
  quick: true,
  headline: { connect: 'connect()', reply: 'to reply', exchange: 'exchange' },
  // A relay that accepts first answers connect() before the server does; until the reply all have done the same work.
  metrics: () => [
    ...both('connect', connecting, 'connect()'),
    ...both('reply', connecting, 'connect to reply'),
    ...both('exchange', exchanging, 'p50'),
    both('exchange_p99', exchanging, 'p99')[0],
  ],
  duration: ({ seconds }) => 2 * (seconds + 0.3),
  async run(bed, { seconds }) {
    const one = { connections: 1, seconds }
    const connections = await exchanges(bed, connecting, { mode: 'close', ...one })
    const kept = await exchanges(bed, exchanging, { mode: 'keep', ...one })
    return {
      connect: times(connections.connect).p50,
      reply: times(connections.whole).p50,
      exchange: times(kept.exchange).p50,
      exchange_p99: times(kept.exchange).p99,
    }
  },
} satisfies Work
