import { datagramBulk, queries, times } from '../load.js'
import type { Way } from '../load.js'
import type { Metric, Values, Work } from '../work.js'

const bulks = (['up', 'down'] as const).flatMap((way) =>
  [true, false].map((packed) => ({ way, packed, key: `${packed ? 'packed' : 'single'}_${way}` })),
)

const group = (packed: boolean) => (packed ? 'packed datagrams' : 'single datagrams')

function metrics({ way, packed, key }: { way: Way; packed: boolean; key: string }): Metric[] {
  const common = { group: group(packed), title: way } as const
  return [
    { key, ...common, unit: 'Gbit/s', better: 'more', digits: 2 },
    {
      key: `${key}_cost`,
      ...common,
      title: `${way}, relay`,
      unit: 's/GB',
      better: 'less',
      digits: 2,
    },
  ]
}

const asked = 'queries, 64 at a time'
const asking: Metric[] = [
  { key: 'rate', group: asked, title: 'answers', unit: '/s', better: 'more', digits: 0 },
  { key: 'p50', group: asked, title: 'p50', unit: 'ms', better: 'less', digits: 2 },
  { key: 'p99', group: asked, title: 'p99', unit: 'ms', better: 'less', digits: 2 },
  { key: 'fresh', group: asked, title: 'new ports', unit: '/s', better: 'more', digits: 0 },
]

export default {
  name: 'datagrams',
  title: 'Datagrams',
  about: 'UDP: bulk with and without superframes, and queries as those of DNS',
  kinds: ['datagrams'],
  reference: 'faithd-udp',
  quick: false,
  headline: { packed_up: 'up', rate: 'queries' },
  metrics: () => [...bulks.flatMap(metrics), ...asking],
  duration: ({ seconds }) => 6 * (seconds + 0.5),
  async run(bed, { seconds }) {
    const values: Values = {}
    for (const { way, packed, key } of bulks) {
      const { gigabits, gigabytes, cpu } = await datagramBulk(bed, way, packed, seconds)
      values[key] = gigabits
      if (cpu.relay !== undefined && cpu.relay > 0) values[`${key}_cost`] = cpu.relay / gigabytes
    }
    // socat makes a process for each port, and loses all but one of the datagrams by which new ports come at once.
    if (bed.subject.sessionsAtMost !== undefined) return values
    const { answers, seconds: took, query } = await queries(bed, 'keep', seconds)
    const { p50, p99 } = times(query)
    Object.assign(values, { rate: answers / took, p50: p50 / 1000, p99: p99 / 1000 })
    const fresh = await queries(bed, 'fresh', seconds)
    return { ...values, fresh: fresh.answers / fresh.seconds }
  },
} satisfies Work
