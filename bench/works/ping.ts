import { serverAddresses } from '../bed.js'
import { finished } from '../load.js'
import type { Metric, Work } from '../work.js'

const baseline = 'forwarding-ping'
/** Least seconds between two pings; on a busy machine ping(8) is late. A lost ping does not delay the next. */
const interval = 0.002
const group = `pings of 56 bytes, at least ${interval * 1000} ms apart`

const times = [
  { key: 'p50', title: 'p50', share: 0.5 },
  { key: 'p99', title: 'p99', share: 0.99 },
] as const

export default {
  name: 'ping',
  title: 'Ping',
  about: 'the round trip of ping, and the time added to plain forwarding',
  kinds: ['pings'],
  reference: 'faithd-ping',
  quick: false,
  headline: { p50: 'p50', p99: 'p99' },
  metrics: () => {
    const common = { group, unit: 'µs', better: 'less', digits: 0 } as const
    return [
      ...times.flatMap(({ key, title }): Metric[] => [
        { ...common, key, title },
        { ...common, key: `${key}_added`, title: `${title}, added`, over: [key, baseline] },
      ]),
      { ...common, key: 'lost', title: 'lost', unit: '', absolute: true },
    ]
  },
  duration: ({ seconds }) => seconds + 0.1,
  async run(bed, { seconds }) {
    const count = Math.max(1, Math.round(seconds / interval))
    const pace = ['-n', '-i', interval, '-c', count, '-W', 1].map(String)
    const args = [...pace, bed.dial(serverAddresses[0])]
    const [output] = await bed.phase('pings', { load: 1, server: 1 }, async () => {
      return await finished(bed.load('ping', args), seconds + 30)
    })
    bed.check()
    const trips = [...output.matchAll(/ time=([\d.]+) ms$/gm)].map(([, time]) => Number(time))
    if (trips.length === 0) throw new Error('no ping was answered')
    const sorted = trips.toSorted((one, other) => one - other)
    const values = times.map(({ key, share }) => [
      key,
      (sorted[Math.floor(share * sorted.length)] ?? 0) * 1000,
    ])
    return { ...Object.fromEntries(values), lost: count - trips.length }
  },
} satisfies Work
