/**
 * Takes a live connection away from Node.
 *
 * Theory of operation: the descriptor and Node's buffers (read but not consumed, written but not sent) must move in one
 * step, between two turns of the event loop. Until then the socket belongs to Node, and goes on working if the handover
 * is cancelled. First, reading stops, so that new bytes of the client stay in the kernel, and the handover waits until
 * all written bytes are sent. Then the addon duplicates the descriptor, the handover takes the readable buffer, and
 * destroys the socket. Node closes its own descriptor; the peer notices nothing while the duplicate is open. The
 * `close()` of a handle calls back before the socket emits `close`, so the handover delays that callback until the
 * splice has ended.
 */
import type { Socket } from 'node:net'
import { FaithError } from './errors.js'
import { type Handle, handleOf } from './inside-node.js'

const NOTHING = Buffer.alloc(0)
const leaving = new WeakSet<Socket>()

/** The handover of one socket. */
export class Handover {
  readonly #call: string
  readonly #socket: Socket
  readonly #handle: Handle
  readonly #wasFlowing: boolean

  /**
   * Stops reading.
   *
   * @throws {@link FaithError} `ERR_FAITH_SOCKET`
   */
  constructor(call: string, socket: Socket) {
    this.#call = call
    this.#socket = socket
    if (leaving.has(socket)) throw this.#refuse('it is spliced already')
    this.#requireUsable()
    // The decoder may hold bytes, and does not give them back.
    if (socket.readableEncoding !== null) throw this.#refuse('it has an encoding')
    const handle = handleOf(socket)
    if (socket.connecting) throw this.#refuse('it is not connected yet', 'wait for its `connect`')
    // TLS sockets and pipes have handles of other classes.
    if (handle === null || handle.constructor.name !== 'TCP' || handle.fd < 0) {
      throw this.#refuse('it is not plain TCP')
    }
    this.#handle = handle
    this.#wasFlowing = socket.readableFlowing === true
    leaving.add(socket)
    socket.pause()
    handle.readStop()
    // The stream does not restart a handle that it believes is reading.
    handle.reading = true
  }

  /** The descriptor of the connection. */
  get descriptor(): number {
    return this.#handle.fd
  }

  /**
   * Tells if written bytes wait in Node.
   *
   * @throws {@link FaithError} `ERR_FAITH_SOCKET` when the socket was ended or destroyed in the meantime
   */
  isBusy(): boolean {
    this.#requireUsable()
    return this.#socket.writableLength > 0
  }

  /** Waits until all bytes written so far are sent, or have failed. */
  async written(): Promise<void> {
    const socket = this.#socket
    while (socket.writableCorked > 0) socket.uncork()
    await new Promise<void>((resolve) => socket.write(NOTHING, () => resolve()))
  }

  /** Takes the bytes that were read but not consumed. After this the handover cannot be cancelled. */
  rest(): Buffer {
    // read() emits `data`, and handlers must not see these bytes.
    this.#socket.removeAllListeners('data')
    const rest: Buffer[] = []
    // Since Node 26 read() gives one buffer at a time, and on an empty stream it would start to read.
    while (this.#socket.readableLength > 0) {
      const buffer: unknown = this.#socket.read()
      if (!Buffer.isBuffer(buffer)) break
      rest.push(buffer)
    }
    return Buffer.concat(rest)
  }

  /** Destroys the socket. It emits `close` after `ended` has settled. */
  leave(ended: Promise<unknown>): void {
    const handle = this.#handle
    const close = handle.close.bind(handle)
    handle.close = (callback) => {
      // In a tick of its own, so that an error thrown by a handler is an uncaught exception, as usual.
      const told = (): void => process.nextTick(() => callback?.())
      close(() => void ended.then(told, told))
    }
    this.#socket.destroy()
  }

  /** Gives the socket back to the program, which can use it as before. */
  cancel(): void {
    const socket = this.#socket
    leaving.delete(socket)
    if (socket.destroyed) return
    if (!socket.readableEnded) this.#handle.readStart()
    // Without a `data` handler a flowing stream would lose the bytes that the program put back.
    const loses = socket.readableLength > 0 && socket.listenerCount('data') === 0
    if (this.#wasFlowing && !loses) socket.resume()
  }

  #requireUsable(): void {
    const { destroyed, errored, writableEnded } = this.#socket
    // The interface is closed, and took its sockets with it.
    if (errored instanceof FaithError && errored.code === 'ERR_FAITH_CLOSED') throw errored
    if (destroyed) throw this.#refuse('it is closed', undefined, errored ?? undefined)
    if (writableEnded) throw this.#refuse('it has ended writing')
  }

  #refuse(why: string, hint?: string, cause?: Error): FaithError {
    const message = `${this.#call}: the socket cannot be spliced: ${why}`
    return new FaithError('ERR_FAITH_SOCKET', message, { hint, cause })
  }
}
