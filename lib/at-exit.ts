/**
 * Closes the open objects of this package before a process or a worker thread ends.
 *
 * The kernel would clean up by itself, but it ends the pump's threads before it closes the sockets, so final segments
 * would be lost. Node emits `exit` after `process.exit()`, after an uncaught exception, and when nothing is left to do.
 * It does not emit it after a signal or `worker.terminate()`.
 */
const endings = new Set<(drainMs: number) => void>()

/** @internal Default time for clients to acknowledge their last bytes. */
export const DRAIN_MS = 5000

/** The same after a crash or an early exit, which an exit code other than 0 shows. */
const SHORTLY_MS = 200

function endAll(code: number): void {
  const begun = performance.now()
  const drainMs = code === 0 ? DRAIN_MS : SHORTLY_MS
  // All interfaces share that time.
  for (const end of endings) end(Math.max(0, Math.ceil(begun + drainMs - performance.now())))
}

/**
 * @internal Calls `end` when this process or this thread ends. `end` may block for `drainMs`. The returned function
 * cancels the call.
 */
export function onExit(end: (drainMs: number) => void): () => void {
  // Node warns of more than ten handlers, so all share one.
  if (endings.size === 0) process.on('exit', endAll)
  endings.add(end)
  return () => {
    endings.delete(end)
    if (endings.size === 0) process.off('exit', endAll)
  }
}

/** @internal Exits at once, without the callbacks of `onExit`: clients are told nothing. */
export function exitAtOnce(code: number): never {
  endings.clear()
  process.exit(code)
}
