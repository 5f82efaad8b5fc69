import { setTimeout as pause } from 'node:timers/promises'

import { waitFor } from '../../lab/index.js'
import type { Bed } from '../bed.js'
import { HeldSessions, bulk, bulkSeconds, exchanges, rate, times } from '../load.js'
import { relays } from '../work.js'
import type { Settings, Values, Work } from '../work.js'

const wanted = ({ quick }: Settings) => (quick ? 1000 : 5000)

function sessions(bed: Bed, settings: Settings): number {
  const { sessionsAtMost = Number.POSITIVE_INFINITY } = bed.subject
  return Math.min(wanted(settings), sessionsAtMost, settings.mostSessions)
}

/** Measures other traffic while the sessions are held, and while none is. */
async function others(bed: Bed, name: string, { seconds, quick }: Settings): Promise<Values> {
  const kept = await exchanges(bed, name, { mode: 'keep', connections: 64, seconds })
  const values = { rate: rate(kept), p99: times(kept.exchange).p99 / 1000 }
  if (quick) return values
  const { gigabits } = await bulk(bed, 1, 'down', seconds)
  return { ...values, bulk: gigabits }
}

/** Adds each figure's percentage of its value without held sessions. */
function compared(beside: Values, alone: Values): Values {
  const shares = Object.entries(beside).map(([key, value]) => {
    return [`${key}_kept`, (100 * value) / (alone[key] ?? Number.NaN)]
  })
  return { ...beside, ...(Object.fromEntries(shares) as Values) }
}

/** Measures memory first and on a fresh relay: later the sessions would use room that other traffic left. */
async function hold(bed: Bed, count: number): Promise<[HeldSessions, Values]> {
  const before = bed.footprint()
  const held = await HeldSessions.open(bed, count)
  // Waits for memory that only the opening needed to be freed.
  await pause(300)
  const after = bed.footprint()
  if (after.processes === 0) return [held, {}]
  const each = (what: 'bytes' | 'descriptors') => (after[what] - before[what]) / count
  return [held, { memory: each('bytes') / 1024, descriptors: each('descriptors') }]
}

export default {
  name: 'idle',
  title: 'Idle sessions',
  about: '5,000 held: memory and descriptors per session; bulk and p99 of others meanwhile',
  kinds: relays,
  reference: 'faithd',
  quick: true,
  headline: { memory: '', descriptors: 'descriptors' },
  metrics(settings) {
    const count = wanted(settings).toLocaleString('en-US')
    const own = `${count} held: cost of each in the relay's process`
    const beside = `other traffic while ${count} are held, compared with none held`
    const more = { group: beside, better: 'more' } as const
    const less = { group: beside, better: 'less' } as const
    return [
      {
        key: 'sessions',
        group: own,
        title: 'held',
        unit: '',
        better: 'more',
        digits: 0,
        absolute: true,
      },
      { key: 'memory', group: own, title: 'resident', unit: 'KiB', better: 'less', digits: 2 },
      { key: 'descriptors', group: own, title: 'descriptors', unit: '', better: 'less', digits: 2 },
      { key: 'bulk', title: '1 flow down', unit: 'Gbit/s', digits: 2, ...more },
      { key: 'bulk_kept', title: 'of none held', unit: '%', digits: 0, absolute: true, ...more },
      { key: 'rate', title: 'requests', unit: '/s', digits: 0, ...more },
      { key: 'rate_kept', title: 'of none held', unit: '%', digits: 0, absolute: true, ...more },
      { key: 'p99', title: 'p99', unit: 'ms', digits: 2, ...less },
      { key: 'p99_kept', title: 'of none held', unit: '%', digits: 0, absolute: true, ...less },
    ]
  },
  duration: ({ seconds, quick }) =>
    quick ? 2 * (seconds + 0.3) + 0.9 : 2 * (seconds + bulkSeconds(seconds) + 0.6) + 2.8,
  async run(bed, settings) {
    const count = sessions(bed, settings)
    const idle = bed.footprint().descriptors
    const [held, own] = await hold(bed, count)
    const beside = await others(bed, `64 kept beside ${count} idle`, settings)
    await held.release()
    await waitFor('the sessions to end', () => bed.footprint().descriptors < idle + count / 10)
    // The kernel frees their sockets a little later.
    await pause(300)
    const alone = await others(bed, '64 kept beside none', settings)
    return { sessions: count, ...own, ...compared(beside, alone) }
  },
} satisfies Work
