/** What an `AbortSignal` stops: it closes what was opened with it, and is refused work, as in Node's own calls. */
import type { EventEmitter } from 'node:events'

/** @internal What a promise is rejected with for the sake of a signal; Node does not let go of its own. */
export class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason })
  }
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
  const close = (): void => void opened.close()
  signal.addEventListener('abort', close, { once: true })
  // A signal may be for many, and outlive them.
  opened.once('close', () => signal.removeEventListener('abort', close))
  return opened
}
