/**
 * What is to be done before a process or a worker thread ends with something of this package open.
 *
 * The kernel takes down all there is, but not in the order that peers need: closing its descriptors it ends the threads
 * that carry packets before the sockets whose last ones they are. What Node lets run is its `exit` event: after
 * `process.exit()`, an exception that nobody caught and the last thing to do, not after a signal or
 * `worker.terminate()`.
 */
const endings = new Set<(drainMs: number) => void>()

/** @internal How long clients have to acknowledge what they were sent, unless told otherwise. */
export const DRAIN_MS = 5000

/** The same after a crash, or where the process is in a hurry: an exit code other than 0 says so. */
const SHORTLY_MS = 200

function endAll(code: number): void {
  const begun = performance.now()
  const drainMs = code === 0 ? DRAIN_MS : SHORTLY_MS
  // All of them have that time together.
  for (const end of endings) end(Math.max(0, Math.ceil(begun + drainMs - performance.now())))
}

/**
 * @internal Has `end` called when this process or this thread ends, until what is returned is called. It may block for
 * as long as it is told.
 */
export function onExit(end: (drainMs: number) => void): () => void {
  // One handler for all: Node warns of more than ten.
  if (endings.size === 0) process.on('exit', endAll)
  endings.add(end)
  return () => {
    endings.delete(end)
    if (endings.size === 0) process.off('exit', endAll)
  }
}

/** @internal Exits without telling any client: what `onExit` was given is not called. */
export function exitAtOnce(code: number): never {
  endings.clear()
  process.exit(code)
}
