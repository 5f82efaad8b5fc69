/**
 * Makes captured sockets read into shared memory.
 *
 * Theory of operation: for each read Node allocates 64 KiB and shrinks the block to the bytes read. For a small message
 * this costs more than all other work of streams. Captured sockets read into one shared block instead, and their chunks
 * are copied out of it. One block is enough for all sockets, because libuv reads and reports in one step.
 *
 * Each chunk has memory of its own, like the chunks of Node's sockets. So the program may transfer a chunk to a thread
 * or to a byte stream, without other chunks.
 *
 * After `push` a stream schedules a callback to see if it should read on. A flowing socket with an empty buffer always
 * wants more, so its chunks are emitted directly: an echo is then a tenth faster. If a tool has replaced `push` or
 * `read` to observe them, each chunk is pushed.
 */
import type { Readable } from 'node:stream'
import { lender, readsUnobserved } from './inside-node.js'

/** Node's own size of a read. */
const shared = Buffer.allocUnsafeSlow(65_536)
const sharedMemory = shared.buffer

/** @internal Makes captured sockets read into shared memory; `undefined` if Node lacks the parts for it. */
export const reading = lender(shared, (socket, length) => handOn(socket, copied(length)))

/**
 * Gives an open stream its next chunk, and tells if it wants more. The first chunk is pushed, so that the stream sets
 * `readableDidRead`.
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

/** Copies the first bytes of the last read. */
function copied(length: number): Buffer {
  const chunk = Buffer.allocUnsafeSlow(length)
  chunk.set(new Uint8Array(sharedMemory, 0, length))
  return chunk
}
