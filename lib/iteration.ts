/** Async iteration over connections, one at a time. */
import { AbortError, onAbort } from './abort.js'
import type { FaithSocket } from './socket.js'

/** A connection, or the end of the iteration. */
export type Step = IteratorResult<FaithSocket, undefined>
export const DONE: Step = { done: true, value: undefined }

/** A pending `next()` that waits for a connection. */
export type Taker = (step: Step) => void

/** The source of connections, such as a listener. */
export interface Source {
  isClosed(): boolean
  /** Queues a taker for the next connection, which may come before this returns. */
  wait(taker: Taker): void
  /** Removes a taker from the queue. */
  leave(taker: Taker): void
}

/** Makes an iterator. It ends when the source closes, when the loop is left, or with an `AbortError`. */
export function iterate(
  source: Source,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<FaithSocket, undefined> {
  const own = new Set<Taker>()
  let ended = false

  function wait(resolve: Taker, reject: (error: Error) => void): void {
    const forget = (): void => {
      own.delete(take)
      ignore?.()
    }
    const take = (step: Step): void => {
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

  const iterator: AsyncIterableIterator<FaithSocket, undefined> = {
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
