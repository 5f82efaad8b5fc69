import { EventEmitter, getEventListeners } from 'node:events'
import test from 'ava'
import { onAbort, openUntil } from '../lib/abort.js'

/** Something that opens, notes that it closes, and says so. */
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

test('what is opened without a signal is simply opened', async (t) => {
  const opened = new Closable()
  t.is(await openUntil(undefined, () => Promise.resolve(opened)), opened)
  t.is(opened.closed, 0)
})

test('with a signal that is aborted already nothing is opened', async (t) => {
  const open = () => t.fail() as never
  const error = await t.throwsAsync(openUntil(AbortSignal.abort(reason), open), abortError)
  t.is(error.cause, reason)
})

test('what opens while the signal is aborted is closed, and nobody gets it', async (t) => {
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

test('what is open is closed when the signal is aborted', async (t) => {
  const controller = new AbortController()
  const opened = await openUntil(controller.signal, () => Promise.resolve(new Closable()))
  t.is(opened.closed, 0)
  controller.abort()
  t.is(opened.closed, 1)
})

test('what is closed has let go of the signal', async (t) => {
  const { signal } = new AbortController()
  const opened = await openUntil(signal, () => Promise.resolve(new Closable()))
  t.is(getEventListeners(signal, 'abort').length, 1)
  const closed = new Promise((resolve) => opened.once('close', resolve))
  await opened.close()
  await closed
  t.is(getEventListeners(signal, 'abort').length, 0)
})

test('what cannot be opened fails as it would', async (t) => {
  const { signal } = new AbortController()
  const opening = openUntil<Closable>(signal, () => Promise.reject(reason))
  t.is(await t.throwsAsync(opening), reason)
})

test('however many wait for a signal, it has one listener, and none when nobody waits', (t) => {
  const { signal } = new AbortController()
  const listeners = (): number => getEventListeners(signal, 'abort').length
  const forget = Array.from({ length: 100 }, () => onAbort(signal, () => undefined))
  t.is(listeners(), 1)
  for (const one of forget) one()
  t.is(listeners(), 0)
  onAbort(signal, () => undefined)
  t.is(listeners(), 1)
})

test('whoever waits for a signal is told once, and whoever waits no more is not', (t) => {
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
