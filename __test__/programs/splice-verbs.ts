/** Splices captured sockets, one at a time or as they arrive. */
import { once } from 'node:events'
import { connect, createServer, type Server, Socket } from 'node:net'
import * as tls from 'node:tls'
import {
  FaithListener,
  FaithSocket,
  type FaithSplice,
  type FaithSpliceEnd,
  type FaithSpliceOptions,
  type FaithSpliceServer,
} from '../../index.js'
import { Reader } from '../../lab/programs/stream.js'
import { keep, recall } from './kept.js'

const controllers = new Map<string, AbortController>()

/** The option with the signal of that name; empty without a name. */
export function until(name?: string): { signal?: AbortSignal } {
  if (name === undefined) return {}
  const controller = controllers.get(name) ?? new AbortController()
  controllers.set(name, controller)
  return { signal: controller.signal }
}

/** Byte counts of a splice. */
export type SpliceBytes = Pick<FaithSplice, 'bytesUp' | 'bytesDown'>

const splices: FaithSplice[] = []

function keptSplice(kept: number): FaithSplice {
  const splice = splices[kept]
  if (splice === undefined) throw new Error(`${kept} is not a splice`)
  return splice
}

const faithSocket = (id: number): FaithSocket => recall(id, FaithSocket)

/** Reads the first bytes and puts them back, in pieces: Node keeps them as they were put back. */
async function peek(socket: Socket): Promise<string> {
  for (;;) {
    const head = socket.read() as Buffer | null
    if (head !== null) {
      socket.unshift(head.subarray(1))
      socket.unshift(head.subarray(0, 1))
      return head.toString('latin1')
    }
    await new Promise((resolve) => socket.once('readable', resolve))
  }
}

/** The head of an HTTP request, left in the socket. */
async function headOf(socket: Socket): Promise<string> {
  let head = Buffer.alloc(0)
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    head = Buffer.concat([head, chunk as Buffer])
    if (head.includes('\r\n\r\n')) break
  }
  socket.unshift(head)
  return head.toString('latin1')
}

async function spliceByHost(
  socket: FaithSocket,
  servers: Record<string, FaithSpliceServer>,
): Promise<void> {
  const server = servers[/^host: (\S+)/im.exec(await headOf(socket))?.[1] ?? '']
  if (server === undefined) socket.resetAndDestroy()
  else await socket.spliceTo({ allowAny: true, ...server })
}

async function echoed(address: string, port: number, text: string): Promise<boolean> {
  const socket = connect({ host: address, port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  socket.end(`${text}\n`)
  return (await new Reader(socket).line()) === text
}

/** TLS with a shared key, which needs no certificate. */
const shared = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
const key = Buffer.alloc(32, 'faith')

async function listens(server: Server, at: number | string): Promise<Server> {
  server.unref().listen(at)
  await once(server, 'listening')
  return server
}

/** A connection of this program with itself: one end is returned, the other echoes everything. */
const itself = {
  async tls(): Promise<Socket> {
    const options = { ...shared, pskCallback: () => key }
    const server = await listens(
      tls.createServer(options, (one) => one.pipe(one)),
      0,
    )
    const { port } = server.address() as { port: number }
    const socket = tls.connect({
      ...shared,
      port,
      pskCallback: () => ({ psk: key, identity: 'faith' }),
      checkServerIdentity: () => undefined,
    })
    await once(socket, 'secureConnect')
    return socket
  },

  async unix(): Promise<Socket> {
    // An abstract path belongs to the network namespace and leaves no file.
    const path = '\0faithd'
    await listens(
      createServer((one) => one.pipe(one)),
      path,
    )
    const socket = connect(path)
    await once(socket, 'connect')
    return socket
  },
}

export const spliceVerbs = {
  /** Makes a connection of this program with itself; the other end echoes everything. */
  dialItself: async (kind: keyof typeof itself): Promise<number> => keep(await itself[kind]()),

  peek: (id: number): Promise<string> => peek(recall(id, Socket)),

  /** The server of a connection that the program stands before. */
  upstream(id: number): number {
    const { upstream } = faithSocket(id)
    if (upstream === undefined) throw new Error(`${id} has no upstream`)
    return keep(upstream)
  },

  /** Splices to a server, which may have any address, until the signal of that name is aborted. */
  spliceTo: (id: number, server: FaithSpliceServer, signal?: string): Promise<FaithSpliceEnd> =>
    faithSocket(id).spliceTo({ allowAny: true, ...server, ...until(signal) }),

  /** Splices to a socket in the same way. */
  spliceToSocket: (
    id: number,
    other: number,
    options: FaithSpliceOptions,
    signal?: string,
  ): Promise<FaithSpliceEnd> =>
    faithSocket(id).spliceTo(recall(other, Socket), { ...options, ...until(signal) }),

  /** Starts a splice to a server, and keeps the promise. */
  beginSplice(id: number, server: FaithSpliceServer): number {
    const splice = faithSocket(id).spliceTo({ allowAny: true, ...server })
    // Ignores a failure for now: the spec asks for the end later.
    splice.catch(() => undefined)
    return splices.push(splice) - 1
  },

  /** Waits until a started splice is connected; returns its byte counts then. */
  async spliceConnected(kept: number): Promise<SpliceBytes> {
    await keptSplice(kept).connected
    return spliceVerbs.spliceBytes(kept)
  },

  spliceBytes(kept: number): SpliceBytes {
    const { bytesUp, bytesDown } = keptSplice(kept)
    return { bytesUp, bytesDown }
  },

  abortSplice: (kept: number): void => keptSplice(kept).abort(),

  spliceEnd: (kept: number): Promise<FaithSpliceEnd> => keptSplice(kept),

  /** Aborts the signal of that name, for present and future splices. */
  abortSplices(name: string): void {
    until(name)
    controllers.get(name)?.abort(new Error('as told'))
  },

  /**
   * Peeks at the first bytes of that many connections and splices them, until the signal of that name is aborted;
   * counts how they ended.
   */
  async spliceEach(id: number, server: FaithSpliceServer, count: number, signal?: string) {
    const ends: Promise<FaithSpliceEnd>[] = []
    for await (const socket of recall(id, FaithListener)) {
      socket.on('error', () => undefined)
      ends.push(
        peek(socket).then(() => socket.spliceTo({ allowAny: true, ...server, ...until(signal) })),
      )
      if (ends.length === count) break
    }
    const counts: Record<string, number> = {}
    for (const { reason } of await Promise.all(ends)) counts[reason] = (counts[reason] ?? 0) + 1
    return counts
  },

  /** Splices the connections of a listener by the host in their HTTP requests. */
  async spliceByHost(id: number, servers: Record<string, FaithSpliceServer>): Promise<void> {
    for await (const socket of recall(id, FaithListener)) {
      socket.on('error', () => undefined)
      void spliceByHost(socket, servers)
    }
  },

  /** Opens that many connections at once; returns how many got their own text back. */
  async echoes(address: string, port: number, count: number): Promise<number> {
    const texts = Array.from({ length: count }, (_, index) => `this is ${index} of ${count}`)
    const answers = await Promise.all(texts.map((text) => echoed(address, port, text)))
    return answers.filter(Boolean).length
  },

  /** Writes until the other side, which does not read, takes no more; returns the number of unsent bytes. */
  async fill(id: number, text: string): Promise<number> {
    const socket = recall(id, Socket)
    let still = 0
    for (let before = -1; still < 10; before = socket.writableLength) {
      still = socket.writableLength === before && before > 0 ? still + 1 : 0
      while (socket.writableLength === 0) socket.write(text)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return socket.writableLength
  },

  setEncoding: (id: number): void => void recall(id, Socket).setEncoding('utf8'),
}
