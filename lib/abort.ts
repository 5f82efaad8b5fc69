/** Support for `AbortSignal`: an aborted signal closes the objects opened with it, and rejects new calls, as in Node. */
import type { EventEmitter } from 'node:events'

/** @internal Rejects a promise because of a signal. Node does not export its own class. */
export class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor({ reason }: Pick<AbortSignal, 'reason'>) {
    super('The operation was aborted', { cause: reason })
  }
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

/** The callbacks that wait for one signal. */
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
 * @internal Calls `callback` when the signal is aborted. The returned function cancels that. One signal may serve
 * thousands of connections, and Node warns of more than ten listeners, so all callbacks share one listener.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const waiting = waitingFor.get(signal) ?? new Waiting(signal)
  waitingFor.set(signal, waiting)
  waiting.add(callback)
  return () => waiting.delete(callback)
}

/** @internal Opens an object by `open`, and closes it when the signal is aborted. */
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
  // A signal may outlive the object, so the callback is removed when the object closes.
  opened.once(
    'close',
    onAbort(signal, () => void opened.close()),
  )
  return opened
}
