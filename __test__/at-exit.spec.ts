import test from 'ava'
import { onExit } from '../lib/at-exit.js'

const handlers = (): number => process.listenerCount('exit')

test('one handler of `exit` ends all open objects, and goes with the last of them', (t) => {
  const before = handlers()
  const ended: number[] = []
  const forget = Array.from({ length: 20 }, (_, index) => onExit(() => ended.push(index)))
  t.is(handlers(), before + 1)
  forget[0]?.()
  forget[0]?.()
  const [handler] = process.listeners('exit').slice(-1)
  handler?.(0)
  t.deepEqual(
    ended,
    Array.from({ length: 19 }, (_, index) => index + 1),
  )
  for (const one of forget) one()
  t.is(handlers(), before)
})
