/**
 * Runs the addon several times in one process: in the main thread, in two worker threads, and as a second copy of its
 * file in the main thread. Each has an interface, and greets clients of port 80 of its prefix with the interface's
 * name. The argument is the path for the second copy. The program prints `ready`. At the first input line it ends the
 * threads and prints `terminated`; at the second it ends.
 */
import { copyFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { createFaithInterface, setKeepfaith } from '../../index.js'
import type { native as addon, NativeConnection } from '../../lib/native.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

const settings = (index: number) => ({
  name: `faith${index}`,
  prefixes: [`64:ff9b:1:${index}::/96`],
  workers: 2,
})

async function greet(index: number) {
  setKeepfaith(true)
  const faith = await createFaithInterface(settings(index))
  const listener = await faith.listen({ port: 80 })
  listener.on('connection', (socket) => {
    socket.on('error', () => undefined).end(`${faith.name}\n`)
  })
  return faith
}

/** Keeps objects from being collected, which would end them; the library does not hold them. */
const kept: object[] = []

const nothing = () => undefined

/** Does the same with another copy of the addon's file, without its TypeScript. */
async function greetByCopy(index: number, file: string): Promise<void> {
  const original = readdirSync(root).find((name) => name.endsWith('.node'))
  copyFileSync(`${root}/${original}`, file)
  const copy = createRequire(import.meta.url)(file) as typeof addon
  if (copy.getKeepfaith()) throw new Error('it is not a copy')
  copy.setKeepfaith(true)
  const more = { mtu: 65_535, routes: true, unsupported: 'drop', steering: 'auto', shortcut: true }
  const faith = await copy.createInterface({ ...settings(index), ...more }, nothing, nothing)
  if (!('listen' in faith)) throw new Error(faith.message)
  const ports = [{ first: 80, last: 80 }]
  const options = { ports, backlog: 16, mapping: 'rfc6052', mappings: [] }
  const answer = (batch: NativeConnection[]): void => {
    for (const { socket } of batch) new Socket({ fd: socket.take() }).end(`${faith.name}\n`)
  }
  const listener = await faith.listen(options, answer, nothing)
  if (!('close' in listener)) throw new Error(listener.message)
  kept.push(faith, listener)
}

if (isMainThread) {
  const threads = [1, 2].map((index) => {
    return new Worker(fileURLToPath(import.meta.url), { workerData: index })
  })
  const ready = threads.map((thread) => new Promise((resolve) => thread.once('message', resolve)))
  const faith = await greet(0)
  await greetByCopy(3, process.argv[2] ?? '')
  await Promise.all(ready)
  let told = 0
  createInterface({ input: process.stdin }).on('line', () => {
    told += 1
    if (told === 1) {
      void Promise.all(threads.map((thread) => thread.terminate())).then(() =>
        process.stdout.write('terminated\n'),
      )
    } else {
      void faith.close().then(() => process.exit())
    }
  })
  process.stdout.write('ready\n')
} else {
  await greet(workerData as number)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- only windows have that, not threads
  parentPort?.postMessage('ready')
}
