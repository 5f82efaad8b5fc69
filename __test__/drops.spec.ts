import test from 'ava'
import { waitFor } from '../lab/index.js'
import { DropWatch, type FaithDrops, toDrops } from '../lib/drops.js'

/** A watch over counters that a test sets. */
function watch() {
  const counters = toDrops({ malformed: 5, hold: 1 })
  const told: FaithDrops[] = []
  const state = { wanted: true, looks: 0 }
  const watching = new DropWatch(
    () => ({ ...counters }),
    (drops) => {
      state.looks += 1
      if (Object.keys(drops.packets).length > 0) told.push(drops)
      return state.wanted
    },
    1,
  )
  return { counters, told, state, watching }
}

test('each event counts the drops since the last one', async (t) => {
  const { counters, told, state, watching } = watch()
  watching.start()
  counters['malformed'] = 7
  await waitFor('the first', () => told.length === 1)
  const { looks } = state
  await waitFor('a look without new drops', () => state.looks > looks)
  Object.assign(counters, { malformed: 8, fragment: 2 })
  await waitFor('the second', () => told.length === 2)
  watching.stop()
  t.deepEqual(
    told.map(({ packets }) => packets),
    [{ malformed: 2 }, { malformed: 1, fragment: 2 }],
  )
  t.true(told.every(({ intervalMs }) => intervalMs > 0))
})

test('the watch stops without listeners, and continues from the current counts', async (t) => {
  const { counters, told, state, watching } = watch()
  state.wanted = false
  watching.start()
  await waitFor('a look', () => state.looks === 1)
  counters['hold'] = 100
  state.wanted = true
  watching.start()
  watching.start()
  await waitFor('another look', () => state.looks >= 2)
  counters['hold'] = 101
  await waitFor('the new drops', () => told.length === 1)
  watching.stop()
  t.deepEqual(told[0]?.packets, { hold: 1 })
})
