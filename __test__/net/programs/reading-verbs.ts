/** How a captured socket reads, as the driver sees it. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { FaithSocket } from '../../../index.js'
import { recall } from './kept.js'

const socket = (id: number): FaithSocket => recall(id, FaithSocket)

/** How large the memory is that Node cuts small buffers from. */
const pool = Buffer.allocUnsafe(1).buffer.byteLength

/** A chunk that was read: its bytes, and those of the memory that it holds for itself. */
interface Chunk {
  bytes: number
  memory: number
}

export const readingVerbs = {
  pauseSocket: (id: number): void => void socket(id).pause(),

  /** Keeps so many bytes as they come, and looks at them when they are all there. */
  async chunks(id: number, bytes: number): Promise<{ sha256: string; chunks: Chunk[] }> {
    const read: Buffer[] = []
    await new Promise<void>((resolve) => {
      let missing = bytes
      const keep = (chunk: Buffer): void => {
        read.push(chunk)
        missing -= chunk.length
        if (missing > 0) return
        socket(id).off('data', keep)
        resolve()
      }
      socket(id).on('data', keep)
    })
    const hash = createHash('sha256')
    for (const chunk of read) hash.update(chunk)
    const chunks = read.map(({ length, buffer }) => {
      return { bytes: length, memory: buffer.byteLength === pool ? length : buffer.byteLength }
    })
    return { sha256: hash.digest('hex'), chunks }
  },

  /** Reads so many times a byte, with turns of the event loop in between; the most that was read and not consumed. */
  async nibble(id: number, times: number): Promise<number> {
    await once(socket(id), 'readable')
    let most = 0
    for (let index = 0; index < times; index += 1) {
      socket(id).read(1)
      await setImmediate()
      most = Math.max(most, socket(id).readableLength)
    }
    return most
  },
}
