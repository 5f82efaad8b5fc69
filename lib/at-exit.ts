/**
 * What is to be done before a process or a worker thread ends with something of this package open.
 *
 * The kernel takes down all there is, but not in the order that peers need: closing its descriptors it ends the threads
 * that carry packets before the sockets whose last ones they are. What Node lets run is its `exit` event: after
 * `process.exit()`, an exception that nobody caught and the last thing to do, not after a signal or
 * `worker.terminate()`.
 */
const endings = new Set<() => void>()

function endAll(): void {
  for (const end of endings) end()
}

/** @internal Has `end` called when this process or this thread ends, until what is returned is called. */
export function onExit(end: () => void): () => void {
  // One handler for all: Node warns of more than ten.
  if (endings.size === 0) process.on('exit', endAll)
  endings.add(end)
  return () => {
    endings.delete(end)
    if (endings.size === 0) process.off('exit', endAll)
  }
}
