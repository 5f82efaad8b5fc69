/**
 * What the lab makes is the machine's, not the process's: a namespace or a server outlives the runner
 * unless someone removes it. Everything that needs removing registers here and is removed, without
 * awaiting anything, when the runner ends in a way that leaves no time for `close()`: process.exit(),
 * an uncaught error, a signal. (A SIGKILL leaves none at all; see stale.ts.)
 */
const registered = new Set<() => void>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
let watching = false

function removeAll(): void {
  // Newest first, so that processes go before the namespaces they live in.
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
  // Someone else who listens decides how the process ends, and `exit` follows. Alone, we owe the signal
  // its usual effect.
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
