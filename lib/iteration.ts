/** Async iteration over connections or messages, one at a time. */
import { AbortError, onAbort } from './abort.js'

/** An item, or the end of the iteration. */
export type Step<T> = IteratorResult<T, undefined>
export const DONE: Step<never> = { done: true, value: undefined }

/** A pending `next()` that waits for an item. */
export type Taker<T> = (step: Step<T>) => void

/** The source of items, such as a listener, which gives connections. */
export interface Source<T> {
  isClosed(): boolean
  /** Queues a taker for the next item, which may come before this returns. */
  wait(taker: Taker<T>): void
  /** Removes a taker from the queue. */
  leave(taker: Taker<T>): void
}

/** Makes an iterator. It ends when the source closes, when the loop is left, or with an `AbortError`. */
export function iterate<T>(
  source: Source<T>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<T, undefined> {
  const own = new Set<Taker<T>>()
  let ended = false

  function wait(resolve: Taker<T>, reject: (error: Error) => void): void {
    const forget = (): void => {
      own.delete(take)
      ignore?.()
    }
    const take = (step: Step<T>): void => {
      forget()
      resolve(step)
    }
    const abort = (): void => {
      ended = true
      source.leave(take)
      forget()
      if (signal) reject(new AbortError(signal))
    }
    own.add(take)
    const ignore = signal && onAbort(signal, abort)
    source.wait(take)
  }

  const iterator: AsyncIterableIterator<T, undefined> = {
    next: () => {
      if (ended || source.isClosed()) return Promise.resolve(DONE)
      if (!signal?.aborted) return new Promise(wait)
      ended = true
      return Promise.reject(new AbortError(signal))
    },
    return: () => {
      ended = true
      for (const take of own) {
        source.leave(take)
        take(DONE)
      }
      return Promise.resolve(DONE)
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
