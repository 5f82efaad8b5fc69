/** Taking connections one at a time, by async iteration. */
import { AbortError, onAbort } from './abort.js'
import type { FaithSocket } from './socket.js'

/** A connection, or that there are no more. */
export type Step = IteratorResult<FaithSocket, undefined>
export const DONE: Step = { done: true, value: undefined }

/** Who waits for a connection. */
export type Taker = (step: Step) => void

/** Where an iteration gets its connections. */
export interface Source {
  isClosed(): boolean
  /** Lets the taker have the next one; at once, if there is one. */
  wait(taker: Taker): void
  /** Lets it have none. */
  leave(taker: Taker): void
}

/** An iteration that ends when the source closes, when it is left, or with an error when it is aborted. */
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
