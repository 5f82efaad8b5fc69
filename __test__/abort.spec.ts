import { EventEmitter, getEventListeners } from 'node:events'
import test from 'ava'
import { onAbort, openUntil } from '../lib/abort.js'

/** An object that opens, counts its closes, and emits `close`. */
class Closable extends EventEmitter {
  closed = 0

  close(): Promise<void> {
    this.closed += 1
    if (this.closed === 1) process.nextTick(() => this.emit('close'))
    return Promise.resolve()
  }
}

const reason = new Error('enough')
const abortError = { name: 'AbortError', code: 'ABORT_ERR', message: 'The operation was aborted' }

test('without a signal, opening needs nothing else', async (t) => {
  const opened = new Closable()
  t.is(await openUntil(undefined, () => Promise.resolve(opened)), opened)
  t.is(opened.closed, 0)
})

test('an aborted signal prevents the opening', async (t) => {
  const open = () => t.fail() as never
  const error = await t.throwsAsync(openUntil(AbortSignal.abort(reason), open), abortError)
  t.is(error.cause, reason)
})

test('an object that opens after its signal was aborted is closed, and the caller gets an error', async (t) => {
  const controller = new AbortController()
  const opened = new Closable()
  const opening = openUntil(controller.signal, async () => {
    controller.abort(reason)
    return opened
  })
  const error = await t.throwsAsync(opening, abortError)
  t.is(error.cause, reason)
  t.is(opened.closed, 1)
})

test('an open object is closed when its signal is aborted', async (t) => {
  const controller = new AbortController()
  const opened = await openUntil(controller.signal, () => Promise.resolve(new Closable()))
  t.is(opened.closed, 0)
  controller.abort()
  t.is(opened.closed, 1)
})

test('a closed object has released its signal', async (t) => {
  const { signal } = new AbortController()
  const opened = await openUntil(signal, () => Promise.resolve(new Closable()))
  t.is(getEventListeners(signal, 'abort').length, 1)
  const closed = new Promise((resolve) => opened.once('close', resolve))
  await opened.close()
  await closed
  t.is(getEventListeners(signal, 'abort').length, 0)
})

test('a failed opening rejects with its own error', async (t) => {
  const { signal } = new AbortController()
  const opening = openUntil<Closable>(signal, () => Promise.reject(reason))
  t.is(await t.throwsAsync(opening), reason)
})

test('a signal has one listener for all waiting callbacks, and none without them', (t) => {
  const { signal } = new AbortController()
  const listeners = (): number => getEventListeners(signal, 'abort').length
  const forget = Array.from({ length: 100 }, () => onAbort(signal, () => undefined))
  t.is(listeners(), 1)
  for (const one of forget) one()
  t.is(listeners(), 0)
  onAbort(signal, () => undefined)
  t.is(listeners(), 1)
})

test('a waiting callback is called once, and a removed one never', (t) => {
  const controller = new AbortController()
  const told: string[] = []
  const forget = onAbort(controller.signal, () => told.push('forgotten'))
  const other = onAbort(controller.signal, () => told.push('waiting'))
  forget()
  controller.abort()
  controller.abort()
  other()
  t.deepEqual(told, ['waiting'])
})
