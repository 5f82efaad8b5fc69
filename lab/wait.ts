import { setTimeout as pause } from 'node:timers/promises'

/** Maximum wait of the lab for any condition, in milliseconds: long, because only a fault takes it on a busy machine. */
export const patience = 60_000

/**
 * Polls until `condition` gives something truthy, and returns that.
 *
 * @param what - completes the sentence "gave up waiting for …"; a function is called when the wait times out
 */
export async function waitFor<T>(
  what: string | (() => string),
  condition: () => T | Promise<T>,
  { timeout = patience, interval = 10 }: { timeout?: number; interval?: number } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeout
  for (;;) {
    const answer = await condition()
    if (answer) return answer
    if (performance.now() > deadline) {
      const missing = typeof what === 'string' ? what : what()
      throw new Error(`gave up waiting for ${missing} after ${timeout} ms`)
    }
    await pause(interval)
  }
}
