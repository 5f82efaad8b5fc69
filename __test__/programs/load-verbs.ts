/** Driver verbs for many connections, large ones, and many rounds. */
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createFaithInterface, FaithInterface, FaithListener, FaithSocket } from '../../index.js'
import type { Arrived } from '../../lab/programs/stream.js'
import { recall } from './kept.js'

const endings = new Map<string, number>()
const collection = { on: false }

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** Resolves with true if the other side echoed the text. The end of the connection is counted later. */
function join(address: string, port: number, text: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, address, () => socket.write(text))
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk.toString()
      if (heard.length >= text.length) resolve(heard === text)
    })
    const count = (how: string): void => {
      resolve(false)
      endings.set(how, (endings.get(how) ?? 0) + 1)
    }
    socket.once('end', () => count('end'))
    socket.once('error', ({ code }: NodeJS.ErrnoException) => count(code ?? 'error'))
  })
}

export const loadVerbs = {
  /** Echoes everything that the clients of a listener send. */
  echoEach: (id: number): void =>
    void recall(id, FaithListener).on('connection', (socket) => {
      socket.on('error', () => undefined).pipe(socket)
    }),

  /** Opens so many connections at once, and keeps them; returns how many got their echo. */
  async crowd(address: string, port: number, count: number): Promise<number> {
    const joined = Array.from({ length: count }, (_, index) => join(address, port, `${index}\n`))
    return (await Promise.all(joined)).filter(Boolean).length
  },

  /** Ends of the crowd's connections, counted by kind. */
  endings: (): Record<string, number> => Object.fromEntries(endings),

  /** Reads to the end through a pipeline. */
  async pipeline(id: number): Promise<Arrived> {
    const socket = recall(id, FaithSocket)
    const hash = createHash('sha256')
    await pipeline(socket, hash)
    return { bytes: socket.bytesRead, sha256: hash.digest('hex') }
  },

  /** Collects garbage in every turn of the event loop until switched off. */
  async collect(on: boolean): Promise<void> {
    collection.on = on
    const collect = collector()
    void (async () => {
      for (; collection.on; await setImmediate()) collect()
    })()
  },

  /** Bytes that JavaScript holds after a full garbage collection. */
  memory(): number {
    collector()()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  },

  /** Opens and closes a listener and a relay so many times. */
  async listenRounds(id: number, count: number): Promise<void> {
    const faith = recall(id, FaithInterface)
    for (let round = 0; round < count; round += 1) {
      const [listener, relay] = await Promise.all([
        faith.listen({ ports: [80, '1000-1999'] }),
        faith.relay({ port: 81, route: () => undefined }),
      ])
      await Promise.all([listener.close(), relay.close()])
    }
  },

  /** Creates and closes an interface with a listener so many times. */
  async createRounds(count: number): Promise<void> {
    for (let round = 0; round < count; round += 1) {
      await using faith = await createFaithInterface({ workers: 2 })
      await faith.listen({ ports: 'all' })
    }
  },
}
