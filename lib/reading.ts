/**
 * How captured sockets read.
 *
 * Theory of operation: for each read Node allocates 64 KiB and cuts them down to what has come, which for a small
 * message costs more than all else that streams do about it. Captured sockets read into memory of ours, and a read and
 * the call that tells of it are one step. So one block serves all sockets, and each chunk is copied out of it.
 *
 * A chunk has memory of its own, as those of Node's sockets have: the program may transfer it to a thread, or to a byte
 * stream, and nothing else goes with it.
 *
 * A chunk goes by `push`, after which a stream has itself called back to see whether it should read on. A flowing
 * socket with an empty buffer always wants more, so its chunks are emitted at once: an echo is done a tenth faster.
 * Where `push` or `read` is not Node's, because a tool observes them, each chunk is pushed.
 */
import type { Readable } from 'node:stream'
import { lender, readsUnobserved } from './inside-node.js'

/** As long as what Node reads at a time. */
const shared = Buffer.allocUnsafeSlow(65_536)
const sharedMemory = shared.buffer

/** @internal How captured sockets read; `undefined` where they read as Node has them read. */
export const reading = lender(shared, (socket, length) => handOn(socket, copied(length)))

/**
 * Gives a stream its next chunk, where it is not destroyed and has not ended; whether it wants more. The first one is
 * pushed, so that the stream knows that it has been read.
 */
function handOn(stream: Readable, chunk: Buffer): boolean {
  const flows =
    stream.readableFlowing === true &&
    stream.readableLength === 0 &&
    stream.readableDidRead &&
    stream.readableEncoding === null &&
    stream.listenerCount('data') > 0 &&
    readsUnobserved(stream)
  if (!flows) return stream.push(chunk)
  stream.emit('data', chunk)
  return true
}

/** The beginning of what was read last. */
function copied(length: number): Buffer {
  const chunk = Buffer.allocUnsafeSlow(length)
  chunk.set(new Uint8Array(sharedMemory, 0, length))
  return chunk
}
