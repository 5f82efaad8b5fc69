/**
 * A splice in a worker thread. It takes a captured connection on port 80 and gives it to the server and the port that its
 * arguments name. It says `listening`, and `splicing` once it does; when it is told a line it ends the thread, and says
 * `terminated`.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import { createFaithInterface, setKeepfaith } from '../../index.js'

interface Server {
  host: string
  port: number
}

function say(message: string): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- windows have that, threads do not
  parentPort?.postMessage(message)
}

async function spliceOne(server: Server): Promise<void> {
  setKeepfaith(true)
  const faith = await createFaithInterface()
  const listener = await faith.listen({ port: 80 })
  say('listening')
  for await (const socket of listener) {
    void socket.spliceTo({ ...server, allowAny: true })
    const waiting = setInterval(() => {
      if (faith.stats().splices.active === 0) return
      clearInterval(waiting)
      say('splicing')
    }, 5)
  }
}

if (isMainThread) {
  const [host, port] = process.argv.slice(2)
  const thread = new Worker(fileURLToPath(import.meta.url), {
    workerData: { host, port: Number(port) },
  })
  thread.on('message', (message: string) => void process.stdout.write(`${message}\n`))
  process.stdin.on('data', () => {
    void thread.terminate().then(() => process.stdout.write('terminated\n'))
  })
} else {
  await spliceOne(workerData as Server)
}
