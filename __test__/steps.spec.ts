/** Checks the durations that scripts print. */
import test from 'ava'

import { duration } from '../scripts/steps.mjs'

test('a duration is rounded before it is divided into minutes and seconds', (t) => {
  const durations = [0, 59.94, 59.96, 60.4, 119.4, 119.6, 3599.9]
  t.deepEqual(durations.map(duration), [
    '0.0 s',
    '59.9 s',
    '1 min 0 s',
    '1 min 0 s',
    '1 min 59 s',
    '2 min 0 s',
    '60 min 0 s',
  ])
})
