/** Plain TCP, for the clients of a lab and for the sockets of a faith listener. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, Socket } from 'node:net'
import { Duplex, Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { Ending } from '../../lab/programs/ending.js'
import { digest, generate, Reader, send, type Arrived } from '../../lab/programs/stream.js'
import type { Greeting } from './faith-verbs.js'
import { all, keep, recall } from './kept.js'

const socket = (id: number): Socket => recall(id, Socket)
const outcomes = new WeakMap<Socket, Promise<void>>()
const readers = new WeakMap<Socket, Reader>()
const endings = new WeakMap<Socket, Ending>()

function reader(id: number): Reader {
  const known = readers.get(socket(id)) ?? new Reader(socket(id), endings.get(socket(id)))
  readers.set(socket(id), known)
  return known
}

function dial(address: string, port: number, localPort?: number): Socket {
  const from = localPort === undefined ? {} : { localPort }
  const dialled = connect({ host: address, port, ...from, allowHalfOpen: true })
  const outcome = once(dialled, 'connect').then(() => undefined)
  // Keeps a failure before `connected` from ending the program; `connected` still reports it.
  outcome.catch(() => undefined)
  dialled.on('error', () => undefined)
  outcomes.set(dialled, outcome)
  endings.set(dialled, new Ending(dialled))
  return dialled
}

/** Ends a socket so that it never sends anything again. */
function drop(dropped: Socket): void {
  const isPlainTcp = dropped.remotePort !== undefined && !(dropped instanceof TLSSocket)
  // Destroys a connecting socket, because a reset would wait until it is connected.
  if (dropped.connecting || !isPlainTcp) dropped.destroy()
  else dropped.resetAndDestroy()
}

async function greeting(address: string, port: number): Promise<Greeting> {
  const dialled = dial(address, port)
  try {
    await outcomes.get(dialled)
    const line = await new Reader(dialled).line()
    if (line === undefined) throw Object.assign(new Error('no greeting'), { code: 'EOF' })
    return JSON.parse(line) as Greeting
  } finally {
    dialled.destroy()
  }
}

export const socketVerbs = {
  /** Starts to connect, from the given local port or one the kernel chooses. */
  dial: (address: string, port: number, localPort?: number): number =>
    keep(dial(address, port, localPort)),

  /** Waits until the connection is established; rejects if it fails. */
  async connected(id: number): Promise<void> {
    await outcomes.get(socket(id))
  },

  /** The greeting of the listener on the other side, which then ends the connection. */
  greeting,

  /** The greetings of the listeners on the other side, port by port, or the code of the error. */
  async greetings(address: string, ports: number[]): Promise<(Greeting | string)[]> {
    const answers: (Greeting | string)[] = []
    const next = ports.entries()
    const lane = async (): Promise<void> => {
      for (const [index, port] of next) {
        answers[index] = await greeting(address, port).catch(
          (error: NodeJS.ErrnoException) => error.code ?? error.message,
        )
      }
    }
    await Promise.all(Array.from({ length: 16 }, lane))
    return answers
  },

  /** The state of a socket. */
  look(id: number) {
    const { connecting, bytesRead, bytesWritten, destroyed } = socket(id)
    const { localAddress, remoteAddress, localPort, remotePort } = socket(id)
    return {
      connecting,
      destroyed,
      bytesRead,
      bytesWritten,
      local: { address: localAddress, port: localPort },
      remote: { address: remoteAddress, port: remotePort },
    }
  },

  write: (id: number, text: string): void => void socket(id).write(text),
  line: (id: number): Promise<string | undefined> => reader(id).line(),

  /** Writes a stream of that name and size; returns its hash. */
  send: (id: number, name: string, bytes: number): Promise<string> => send(socket(id), name, bytes),

  /** Reads that many bytes, or fewer if the other side ends before. */
  receive: (id: number, bytes?: number): Promise<Arrived> => reader(id).hash(bytes),

  end: (id: number): void => void socket(id).end(),
  reset: (id: number): void => void socket(id).resetAndDestroy(),
  destroy: (id: number): void => void socket(id).destroy(),

  /** Waits until a socket has been idle for that many milliseconds, then disables its timeout. */
  async timesOut(id: number, ms: number): Promise<void> {
    socket(id).setTimeout(ms)
    await once(socket(id), 'timeout')
    socket(id).setTimeout(0)
  },

  /** Reads to the end and writes a stream of that name and size, through web streams. */
  async viaWebStreams(id: number, name: string, bytes: number) {
    const { readable, writable } = Duplex.toWeb(socket(id))
    const generated = Readable.toWeb(Readable.from(generate(name, bytes)))
    const hash = createHash('sha256')
    let received = 0
    const reading = async (): Promise<void> => {
      for await (const chunk of readable as AsyncIterable<Uint8Array>) {
        received += chunk.length
        hash.update(chunk)
      }
    }
    await Promise.all([reading(), generated.pipeTo(writable)])
    return { received: { bytes: received, sha256: hash.digest('hex') }, sent: digest(name, bytes) }
  },

  drop: (id: number): void => drop(socket(id)),

  /** Waits until this side has closed. */
  async closed(id: number): Promise<void> {
    if (!socket(id).closed) await once(socket(id), 'close')
  },

  dropAll: (): void => all(Socket).forEach(drop),
}
