import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import test from 'ava'
import { isHeard, publish } from '../lib/diagnostics.js'

test('a message is only built for subscribers', (t) => {
  const heard: unknown[] = []
  const hear = (message: unknown): void => void heard.push(message)
  t.false(isHeard('faithd:keepfaith'))
  publish('faithd:keepfaith', () => t.fail() as never)

  subscribe('faithd:keepfaith', hear)
  t.true(isHeard('faithd:keepfaith'))
  publish('faithd:keepfaith', () => ({ on: true }))
  unsubscribe('faithd:keepfaith', hear)

  publish('faithd:keepfaith', () => t.fail() as never)
  t.deepEqual(heard, [{ on: true }])
})
