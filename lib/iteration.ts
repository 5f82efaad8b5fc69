/** Async iteration over connections or messages, one at a time. */
import { AbortError, onAbort } from './abort.js'

/** An item, or the end of the iteration. */
type Step<T> = IteratorResult<T, undefined>
const DONE: Step<never> = { done: true, value: undefined }

/** A pending `next()` that waits for an item. */
type Taker<T> = (step: Step<T>) => void

/** The source of items, such as a listener, which gives connections. */
export interface Source {
  isClosed(): boolean
  /** A taker waits for the next item, which may come before this returns. */
  wanted(): void
}

/** The pending steps of all iterations over one source. */
export class Takers<T> {
  readonly #waiting = new Set<Taker<T>>()
  readonly #source: Source

  constructor(source: Source) {
    this.#source = source
  }

  /** True while a step waits for an item. */
  get areWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** Gives an item to the step that has waited longest, if one waits. */
  give(value: T): void {
    const [taker] = this.#waiting
    if (taker === undefined) return
    this.#waiting.delete(taker)
    taker({ done: false, value })
  }

  /** Ends the pending steps, because the source closes. */
  end(): void {
    for (const take of this.#waiting) take(DONE)
    this.#waiting.clear()
  }

  /** Makes an iterator. It ends when the source closes, when the loop is left, or with an `AbortError`. */
  iterate(signal: AbortSignal | undefined): AsyncIterableIterator<T, undefined> {
    const own = new Set<Taker<T>>()
    let ended = false

    const wait = (resolve: Taker<T>, reject: (error: Error) => void): void => {
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
        this.#waiting.delete(take)
        forget()
        if (signal) reject(new AbortError(signal))
      }
      own.add(take)
      const ignore = signal && onAbort(signal, abort)
      this.#waiting.add(take)
      this.#source.wanted()
    }

    const iterator: AsyncIterableIterator<T, undefined> = {
      next: () => {
        if (ended || this.#source.isClosed()) return Promise.resolve(DONE)
        if (!signal?.aborted) return new Promise(wait)
        ended = true
        return Promise.reject(new AbortError(signal))
      },
      return: () => {
        ended = true
        for (const take of own) {
          this.#waiting.delete(take)
          take(DONE)
        }
        return Promise.resolve(DONE)
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }
}
