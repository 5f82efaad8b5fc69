import type { Host } from '../../lab/index.js'
import type { Bed } from '../bed.js'
import { median } from '../results.js'
import { transfers } from '../load.js'
import type { Way } from '../load.js'
import { relays } from '../work.js'
import type { Metric, Work } from '../work.js'

/** One-way delay between the client and the router in milliseconds, and the link's rate in Mbit/s. */
const delay = 20
const rate = 500
const group = `${delay} ms each way to the client, ${rate} Mbit/s: until all has arrived`
const sizes = [1, 10] as const
const ways = ['up', 'down'] as const
const repeated = 3

/** Routes packets between the edge's two links through a device that delays them. */
async function lay(bed: Bed, edge: Host): Promise<void> {
  const devices = [
    ['lan0', 'longup'],
    ['wan0', 'longdown'],
  ] as const
  const names = devices.map(([, device]) => device).join(',')
  const args = ['--devices', names, '--delay', String(delay), '--rate', String(rate)]
  await edge.spawn(bed.programs.way, args).line(/^laid$/)
  // Disables reverse-path filtering: packets come out of a device that does not lead back to their sender.
  for (const name of ['all', 'default', ...devices.map(([, device]) => device)]) {
    await bed.setSysctl(edge, `net/ipv4/conf/${name}/rp_filter`, 0)
  }
  for (const [index, [link, device]] of devices.entries()) {
    const table = String(100 + index)
    await bed.configure(edge, 'ip', ['link', 'set', device, 'up', 'txqueuelen', '10000'])
    for (const family of ['-4', '-6']) {
      const only = ['iif', link, 'lookup', table, 'priority', table]
      await bed.configure(edge, 'ip', [family, 'rule', 'add', ...only])
      await bed.configure(edge, 'ip', [
        family,
        'route',
        'add',
        'default',
        'dev',
        device,
        'table',
        table,
      ])
    }
  }
}

function key(way: Way, megabytes: number): string {
  return `${way}_${megabytes}`
}

export default {
  name: 'distance',
  title: 'Distance',
  about: `1 and 10 MB up and down, with ${delay} ms each way between the client and the router`,
  kinds: relays,
  reference: 'faithd',
  quick: false,
  lab: { edge: true },
  headline: { up_10: '10 MB up', down_10: 'down' },
  metrics: () =>
    ways.flatMap((way) =>
      sizes.map((size): Metric => {
        const title = `${size} MB ${way}`
        return { key: key(way, size), group, title, unit: 'ms', better: 'less', digits: 0 }
      }),
    ),
  duration: () => repeated * ways.length * (0.3 + 0.6),
  async run(bed) {
    const { edge } = bed.lab
    if (edge === undefined) throw new Error('this lab has nothing between client and router')
    await lay(bed, edge)
    const values: Record<string, number> = {}
    for (const size of sizes) {
      for (const way of ways) {
        values[key(way, size)] = median(await transfers(bed, way, size * 1e6, repeated))
      }
    }
    return values
  },
} satisfies Work
