import { setTimeout as pause } from 'node:timers/promises'

/** How long the lab waits for anything before it calls it stuck, in milliseconds. */
export const patience = 20_000

/**
 * Asks again and again until `condition` gives something truthy, and returns that.
 *
 * @param what - completes the sentence "gave up waiting for …"
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeout = patience, interval = 10 }: { timeout?: number; interval?: number } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeout
  for (;;) {
    const answer = await condition()
    if (answer) return answer
    if (performance.now() > deadline)
      throw new Error(`gave up waiting for ${what} after ${timeout} ms`)
    await pause(interval)
  }
}
