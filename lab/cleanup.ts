/**
 * Namespaces and servers of a lab belong to the machine, so they outlive the runner unless it removes them. Each of
 * them registers a function here. When the runner ends without time for `close()` (by process.exit(), an uncaught error
 * or a signal), these functions run without awaiting anything. After SIGKILL the next lab removes the rest: see
 * stale.ts.
 */
const registered = new Set<() => void>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
let watching = false

function removeAll(): void {
  // Removes the newest first, so that processes go before their namespaces.
  for (const remove of [...registered].toReversed()) {
    registered.delete(remove)
    try {
      remove()
    } catch (error) {
      process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
}

function onSignal(signal: NodeJS.Signals): void {
  // Leaves the end of the process to the other listener, if there is one: `exit` follows. Otherwise sends the signal
  // again, for its usual effect.
  if (process.listenerCount(signal) > 1) return
  removeAll()
  process.removeListener(signal, onSignal)
  process.kill(process.pid, signal)
}

/** Calls `remove` when the process ends, unless the returned function was called before. */
export function removeAtExit(remove: () => void): () => void {
  if (!watching) {
    watching = true
    process.on('exit', removeAll)
    for (const signal of signals) process.on(signal, onSignal)
  }
  registered.add(remove)
  return () => registered.delete(remove)
}
