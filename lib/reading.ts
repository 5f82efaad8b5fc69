/**
 * How captured sockets read.
 *
 * Theory of operation: for each read Node allocates 64 KiB and cuts them down to what has come, which for a small
 * message costs more than all else that streams do about it. With `onread` it reads into memory of ours. Reading and
 * telling of it are one step, so one block does for all sockets, and what has come is copied out of it.
 *
 * It is the same block for ever. Node would take another one for the next read, in what is called when a read is done;
 * but where anything throws while that is called, a listener or what was put off to the next tick, and the process goes
 * on all the same, it forgets the new block and reads to the old one, which somebody may have by then.
 *
 * A chunk goes by `push`, after which a stream has itself called back to see whether it should read on. Of a socket that
 * flows and has nothing stored the answer is known, so its chunks are emitted at once: an echo is done a tenth faster.
 */
import type { Readable } from 'node:stream'

/** The `onread` of `net.Socket`. */
export interface Reading {
  /** Where each read goes. */
  buffer: Uint8Array
  /** Takes what has come; whether more is wanted. */
  callback(length: number): boolean
}

/** As long as what Node reads at a time. */
const shared = Buffer.allocUnsafeSlow(65_536)
const sharedMemory = shared.buffer

/** @internal The reading of a socket, which there is none of before it has read. */
export function readingOf(socket: () => Readable): Reading {
  return {
    buffer: shared,
    callback: (length) => handOn(socket(), copied(length)),
  }
}

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
    stream.listenerCount('data') > 0
  if (!flows) return stream.push(chunk)
  stream.emit('data', chunk)
  return true
}

/** The beginning of what was read last. */
function copied(length: number): Buffer {
  const chunk = Buffer.allocUnsafe(length)
  chunk.set(new Uint8Array(sharedMemory, 0, length))
  return chunk
}
