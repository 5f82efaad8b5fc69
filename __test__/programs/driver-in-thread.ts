/**
 * Runs the driver in a worker thread. The main thread has its own interface, main0, and greets clients of port 80 of
 * 64:ff9b:2::/96 with its name. It passes its input to the driver, except `terminate`: then it ends the thread and
 * prints `terminated`. When its input ends, it closes its interface and ends.
 */
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { createFaithInterface, setKeepfaith } from '../../index.js'

setKeepfaith(true)
const faith = await createFaithInterface({ name: 'main0', prefixes: ['64:ff9b:2::/96'] })
const listener = await faith.listen({ port: 80 })
listener.on('connection', (socket) => {
  socket.on('error', () => undefined).end(`${faith.name}\n`)
})

const thread = new Worker(fileURLToPath(new URL('driver.ts', import.meta.url)), { stdin: true })

async function terminate(): Promise<void> {
  await thread.terminate()
  process.stdout.write('terminated\n')
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line === 'terminate') void terminate()
    else thread.stdin?.write(`${line}\n`)
  })
  .on('close', () => {
    thread.stdin?.end()
    void faith.close()
  })
