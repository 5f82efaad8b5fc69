import { costs } from '../accounts.js'
import { QuicServer, buildQuic } from '../quic.js'
import type { Metric, Values, Work } from '../work.js'

const ways = ['up', 'down'] as const

export default {
  name: 'quic',
  title: 'QUIC',
  about: 'one stream of one connection by quinn, up and down, and its CPU time',
  kinds: ['datagrams'],
  reference: 'faithd-udp',
  quick: false,
  prepare: buildQuic,
  headline: { up: 'up', down: 'down' },
  metrics: () =>
    ways.flatMap((way): Metric[] => {
      const cost = { group: `QUIC ${way}`, unit: 's/GB', better: 'less', digits: 2 } as const
      return [
        { ...cost, key: way, title: way, unit: 'Gbit/s', better: 'more' },
        { ...cost, key: `${way}_cost`, title: 'relay' },
        { ...cost, key: `${way}_cost_all`, title: 'whole path' },
        { ...cost, key: `${way}_lost`, title: 'lost', unit: '%', absolute: true },
      ]
    }),
  duration: ({ seconds }) => ways.length * (seconds + 0.3),
  async run(bed, { seconds }) {
    const server = await QuicServer.start(bed)
    const values: Values = {}
    for (const way of ways) {
      const { gigabits, gigabytes, lost, cpu } = await server.transfer(way, seconds)
      Object.assign(
        values,
        { [way]: gigabits, [`${way}_lost`]: lost * 100 },
        costs(`${way}_cost`, cpu, gigabytes),
      )
    }
    return values
  },
} satisfies Work
