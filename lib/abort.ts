/** What an `AbortSignal` stops: it closes what was opened with it, and is refused work, as in Node's own calls. */
import type { EventEmitter } from 'node:events'

/** @internal What a promise is rejected with for the sake of a signal; Node does not let go of its own. */
export class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor({ reason }: Pick<AbortSignal, 'reason'>) {
    super('The operation was aborted', { cause: reason })
  }
}

const everyone = new WeakMap<AbortSignal, Waiting>()

/** Those that wait for a signal. */
class Waiting {
  readonly #signal: AbortSignal
  readonly #callbacks = new Set<() => void>()
  readonly #tell = (): void => {
    for (const callback of this.#callbacks) callback()
  }

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  add(callback: () => void): void {
    if (this.#callbacks.size === 0) this.#signal.addEventListener('abort', this.#tell)
    this.#callbacks.add(callback)
  }

  delete(callback: () => void): void {
    this.#callbacks.delete(callback)
    if (this.#callbacks.size === 0) this.#signal.removeEventListener('abort', this.#tell)
  }
}

/**
 * @internal Calls back once the signal is aborted, unless what it gives is called before. Node warns of more than ten
 * listeners, but one signal may be for thousands of connections; so they have one between them.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const waiting = everyone.get(signal) ?? new Waiting(signal)
  everyone.set(signal, waiting)
  waiting.add(callback)
  return () => waiting.delete(callback)
}

/** @internal What `open` opens, until the signal closes it. */
export async function openUntil<T extends EventEmitter & { close(): Promise<void> }>(
  signal: AbortSignal | undefined,
  open: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return await open()
  if (signal.aborted) throw new AbortError(signal)
  const opened = await open()
  if (signal.aborted) {
    await opened.close()
    throw new AbortError(signal)
  }
  // A signal may be for many, and outlive them.
  opened.once(
    'close',
    onAbort(signal, () => void opened.close()),
  )
  return opened
}
