/** Sums of the events for which faithd writes no line of their own. */
import test from 'ava'
import { createLog } from '../cli/log.js'
import { UntoldSums } from '../cli/untold.js'
import type { FaithRelayStats, FaithUntold } from '../index.js'

interface Line {
  untold: FaithUntold
  intervalMs: number
  msg: string
}

/** Sums that the test reports when it likes, and the resulting log lines. */
function sums() {
  const lines: Line[] = []
  const log = createLog({ format: 'json', level: 'info' }, (line) =>
    lines.push(JSON.parse(line) as Line),
  )
  const stats = { untold: { sessions: 0, refused: {} } as FaithUntold }
  return { told: new UntoldSums(() => stats as FaithRelayStats, log), stats, lines }
}

test('each sum covers the time since the last one, and together they cover everything', (t) => {
  const { told, stats, lines } = sums()
  stats.untold = { sessions: 0, refused: { refused: 5 } }
  told.tell()
  stats.untold = { sessions: 2, refused: { refused: 9, 'denied-by-rule': 1 } }
  told.tell()
  stats.untold = { sessions: 2, refused: { refused: 9, 'denied-by-rule': 4 } }
  told.end()
  t.deepEqual(
    lines.map(({ untold }) => untold),
    [
      { sessions: 0, refused: { refused: 5 } },
      { sessions: 2, refused: { refused: 4, 'denied-by-rule': 1 } },
      { sessions: 0, refused: { 'denied-by-rule': 3 } },
    ],
  )
  t.regex(lines[0]?.msg ?? '', /^5 more attempts refused \(5 refused\) in \d+\.\d s$/)
})

test('a sum of nothing writes no line', (t) => {
  const { told, stats, lines } = sums()
  told.tell()
  stats.untold = { sessions: 1, refused: {} }
  told.tell()
  told.tell()
  told.end()
  t.is(lines.length, 1)
})
