/**
 * How captured sockets read.
 *
 * Theory of operation: for each read Node allocates 64 KiB and cuts them down to what has come, which for a small
 * message costs more than all else that streams do about it. With `onread` it reads into memory of ours. Reading and
 * telling of it are one step, so one block does for all sockets: what has come is copied out of it, which is cheap while
 * it is little. A socket whose read has filled the block has a block of its own for its next one, and what comes there
 * is handed on as it is, unless that would hold far more memory than it has bytes.
 */

/** The `onread` of `net.Socket`: where it reads to, and who is told. */
export interface Reading {
  /** Asked before the first read and after each: where the next one goes. Without an answer, where the last one went. */
  buffer(): Buffer | undefined
  /** Takes what has come; whether more is wanted. */
  callback(length: number, block: Uint8Array): boolean
}

/** As much as Node reads at a time. */
const BLOCK = 65_536

const shared = Buffer.allocUnsafeSlow(BLOCK)
const sharedMemory = shared.buffer

/** @internal The reading of a socket, whose `push` is that of its stream. */
export function readingBy(push: (chunk: Buffer) => boolean): Reading {
  let next: Buffer | undefined = shared
  return {
    buffer: () => {
      const block = next
      next = undefined
      return block
    },
    callback: (length, block) => {
      const own = block === shared ? undefined : (block as Buffer)
      if (length === BLOCK) next = Buffer.allocUnsafeSlow(BLOCK)
      else if (own !== undefined) next = shared
      return push(own === undefined ? copied(sharedMemory, length) : trimmed(own, length))
    },
  }
}

/** The beginning of a block that nobody else will read to. */
function trimmed(block: Buffer, length: number): Buffer {
  return length < BLOCK / 2 ? copied(block.buffer, length) : block.subarray(0, length)
}

function copied(memory: ArrayBufferLike, length: number): Buffer {
  const chunk = Buffer.allocUnsafe(length)
  chunk.set(new Uint8Array(memory, 0, length))
  return chunk
}
