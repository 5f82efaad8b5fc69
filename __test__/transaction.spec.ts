import test from 'ava'
import { runAll, type Step } from '../cli/transaction.js'

/** Steps that note what is done and undone; those of `fails` fail at it. */
function steps(names: string[], fails: string[] = []) {
  const done: string[] = []
  const note = (what: string): Promise<void> => {
    if (fails.includes(what)) return Promise.reject(new Error(what))
    done.push(what)
    return Promise.resolve()
  }
  const all: Step[] = names.map((name) => ({
    run: async () => {
      await note(name)
      return () => note(`not ${name}`)
    },
  }))
  return { all, done }
}

test('all steps are run in their order', async (t) => {
  const { all, done } = steps(['one', 'two', 'three'])
  await runAll(all, () => t.fail())
  t.deepEqual(done, ['one', 'two', 'three'])
})

test('where one fails, those before it are undone, the last first', async (t) => {
  const { all, done } = steps(['one', 'two', 'three', 'four'], ['three'])
  await t.throwsAsync(
    runAll(all, () => t.fail()),
    { message: 'three' },
  )
  t.deepEqual(done, ['one', 'two', 'not two', 'not one'])
})

test('a step that cannot be undone is told of, and the others are undone', async (t) => {
  const { all, done } = steps(['one', 'two', 'three'], ['three', 'not two'])
  const troubles: unknown[] = []
  await t.throwsAsync(
    runAll(all, (error) => troubles.push(error)),
    { message: 'three' },
  )
  t.deepEqual(done, ['one', 'two', 'not one'])
  t.deepEqual(troubles.map(String), ['Error: not two'])
})
