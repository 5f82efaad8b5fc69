/**
 * Taking a connection away from Node while it goes on.
 *
 * Theory of operation: a descriptor and what Node holds of its stream, read and not yet seen or written and not yet
 * sent, must change hands at one moment, between two turns of the event loop. Until then the socket is Node's, and
 * usable again when nothing comes of it: reading rests, so that what the client says stays in the kernel, and what was
 * written is waited for. Then a second descriptor is taken, the readable buffer with it, and the socket destroyed: Node
 * closes its own descriptor, which says nothing to the peer as long as there is another. The `close()` of a handle calls
 * back before the socket emits `close`.
 */
import type { Socket } from 'node:net'
import { FaithError } from './errors.js'
import { type Handle, handleOf } from './inside-node.js'

const NOTHING = Buffer.alloc(0)
const leaving = new WeakSet<Socket>()

/** A socket that is about to leave Node. */
export class Handover {
  readonly #call: string
  readonly #socket: Socket
  readonly #handle: Handle
  readonly #wasFlowing: boolean

  /**
   * Lets reading rest.
   *
   * @throws {@link FaithError} `ERR_FAITH_SOCKET`
   */
  constructor(call: string, socket: Socket) {
    this.#call = call
    this.#socket = socket
    if (leaving.has(socket)) throw this.#refuse('it is spliced already')
    this.#requireUsable()
    // The bytes cannot be had back from the decoder.
    if (socket.readableEncoding !== null) throw this.#refuse('it has an encoding')
    const handle = handleOf(socket)
    if (socket.connecting) throw this.#refuse('it is not connected yet', 'wait for its `connect`')
    // What TLS and pipes have there is called otherwise, and is not the connection or not TCP.
    if (handle === null || handle.constructor.name !== 'TCP' || handle.fd < 0) {
      throw this.#refuse('it is not plain TCP')
    }
    this.#handle = handle
    // Where nobody listens any more, flowing would lose what was put back.
    this.#wasFlowing = socket.readableFlowing === true && socket.listenerCount('data') > 0
    leaving.add(socket)
    socket.pause()
    handle.readStop()
    // The stream does not start again what it takes for started.
    handle.reading = true
  }

  /** The descriptor of the connection. */
  get descriptor(): number {
    return this.#handle.fd
  }

  /**
   * Whether something waits to be written.
   *
   * @throws {@link FaithError} `ERR_FAITH_SOCKET` when the socket was ended or destroyed in the meantime
   */
  isBusy(): boolean {
    this.#requireUsable()
    return this.#socket.writableLength > 0
  }

  /** Waits until what is to be written now is written, or cannot be any more. */
  async written(): Promise<void> {
    const socket = this.#socket
    while (socket.writableCorked > 0) socket.uncork()
    await new Promise<void>((resolve) => socket.write(NOTHING, () => resolve()))
  }

  /** Takes what was read and not seen. There is no way back. */
  rest(): Buffer {
    // Whoever listened would see it, as read() emits it.
    this.#socket.removeAllListeners('data')
    const rest: Buffer[] = []
    // Since Node 26 it gives one buffer at a time; with nothing left it would ask for more.
    while (this.#socket.readableLength > 0) {
      const buffer: unknown = this.#socket.read()
      if (!Buffer.isBuffer(buffer)) break
      rest.push(buffer)
    }
    return Buffer.concat(rest)
  }

  /** Ends the socket, which emits `close` when `ended` is settled. */
  leave(ended: Promise<unknown>): void {
    const handle = this.#handle
    const close = handle.close.bind(handle)
    handle.close = (callback) => {
      // By itself, so that what a listener throws is an uncaught exception, as it is everywhere.
      const told = (): void => process.nextTick(() => callback?.())
      close(() => void ended.then(told, told))
    }
    this.#socket.destroy()
  }

  /** Gives the socket back, to go on as before. */
  cancel(): void {
    leaving.delete(this.#socket)
    if (this.#socket.destroyed) return
    if (!this.#socket.readableEnded) this.#handle.readStart()
    if (this.#wasFlowing) this.#socket.resume()
  }

  #requireUsable(): void {
    const { destroyed, errored, writableEnded } = this.#socket
    // Of an interface that is closed there is no socket left to splice.
    if (errored instanceof FaithError && errored.code === 'ERR_FAITH_CLOSED') throw errored
    if (destroyed) throw this.#refuse('it is closed', undefined, errored ?? undefined)
    if (writableEnded) throw this.#refuse('it has ended writing')
  }

  #refuse(why: string, hint?: string, cause?: Error): FaithError {
    const message = `${this.#call}: the socket cannot be spliced: ${why}`
    return new FaithError('ERR_FAITH_SOCKET', message, { hint, cause })
  }
}
