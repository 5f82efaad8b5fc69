import { bulk, bulkSeconds } from '../load.js'
import type { Direction } from '../load.js'
import { relays } from '../work.js'
import type { Metric, Settings, Work } from '../work.js'

const directions: readonly Direction[] = ['up', 'down', 'both']

interface Load {
  flows: number
  direction: Direction
}

function loads({ quick }: Settings): Load[] {
  if (quick) return [load(1, 'up'), load(1, 'down')]
  return [1, 4, 16].flatMap((flows) => directions.map((direction) => load(flows, direction)))
}

const load = (flows: number, direction: Direction): Load => ({ flows, direction })
const key = ({ flows, direction }: Load) => `${direction}_${flows}`

function metric(of: Load): Metric {
  const group = of.flows === 1 ? '1 flow' : `${of.flows} flows`
  const title = of.direction === 'both' ? 'both, in sum' : of.direction
  return { key: key(of), group, title, unit: 'Gbit/s', better: 'more', digits: 2 }
}

export default {
  name: 'bulk',
  title: 'Bulk',
  about: 'iperf3 over 1, 4 and 16 flows; up (client to server), down, both at once',
  kinds: relays,
  reference: 'faithd',
  quick: true,
  headline: { up_1: 'up', down_1: 'down' },
  metrics: (settings) => loads(settings).map(metric),
  // Adds the time that iperf3 needs to start and to finish.
  duration: (settings) => loads(settings).length * (bulkSeconds(settings.seconds) + 0.3),
  async run(bed, settings) {
    const values: Record<string, number> = {}
    for (const each of loads(settings)) {
      const { gigabits } = await bulk(bed, each.flows, each.direction, settings.seconds)
      values[key(each)] = gigabits
    }
    return values
  },
} satisfies Work
