/** Driver verbs for reading from a captured socket. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { FaithSocket } from '../../index.js'
import { waitFor } from '../../lab/index.js'
import { recall } from './kept.js'

const socket = (id: number): FaithSocket => recall(id, FaithSocket)

/** Size of the memory from which Node cuts small buffers. */
const pool = Buffer.allocUnsafe(1).buffer.byteLength

/** A chunk that was read: its length, and the length of the memory it holds. */
interface Chunk {
  bytes: number
  memory: number
}

function hashOf(chunks: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

/** Waits for that many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await setImmediate()
}

export const readingVerbs = {
  pauseSocket: (id: number): void => void socket(id).pause(),

  /** Keeps that many bytes as they arrive, and describes the chunks once all are there. */
  async chunks(id: number, bytes: number): Promise<{ sha256: string; chunks: Chunk[] }> {
    const read: Buffer[] = []
    await new Promise<void>((resolve) => {
      let missing = bytes
      const keep = (chunk: Buffer): void => {
        read.push(chunk)
        missing -= chunk.length
        if (missing > 0) return
        // Pauses, so that bytes before the next listener are not lost.
        socket(id).off('data', keep).pause()
        resolve()
      }
      socket(id).on('data', keep).resume()
    })
    const chunks = read.map(({ length, buffer }) => {
      return { bytes: length, memory: buffer.byteLength === pool ? length : buffer.byteLength }
    })
    return { sha256: hashOf(read), chunks }
  },

  /**
   * Keeps that many bytes as they arrive. The listener throws at every third chunk, and every third time later, in a
   * tick.
   */
  async throwing(
    id: number,
    bytes: number,
  ): Promise<{ sha256: string; thrown: number; told: number }> {
    const read: Buffer[] = []
    let [missing, thrown, told] = [bytes, 0, 0]
    const fail = (): never => {
      thrown += 1
      throw new Error('thrown by a listener')
    }
    const note = (): void => void (told += 1)
    process.on('uncaughtException', note)
    socket(id).on('data', (chunk: Buffer) => {
      read.push(chunk)
      missing -= chunk.length
      if (read.length % 3 === 1) process.nextTick(fail)
      if (read.length % 3 === 2) fail()
    })
    await waitFor('the bytes', () => missing <= 0)
    process.off('uncaughtException', note)
    return { sha256: hashOf(read), thrown, told }
  },

  /** Reads that many bytes by a listener that pauses at each chunk; returns the maximum that was stored meanwhile. */
  async pausing(id: number, bytes: number): Promise<{ sha256: string; most: number }> {
    const read: Buffer[] = []
    let [missing, most] = [bytes, 0]
    const rest = async (): Promise<void> => {
      socket(id).pause()
      await turns(read.length % 20)
      most = Math.max(most, socket(id).readableLength)
      if (missing > 0) socket(id).resume()
    }
    const keep = (chunk: Buffer): void => {
      read.push(chunk)
      missing -= chunk.length
      void rest()
    }
    socket(id).on('data', keep).resume()
    await waitFor('the bytes', () => missing <= 0)
    socket(id).off('data', keep)
    return { sha256: hashOf(read), most }
  },

  /** Reads to the end as base64. Every piece but the last must end on a multiple of three bytes. */
  async text(id: number): Promise<string> {
    let text = ''
    socket(id).setEncoding('base64')
    socket(id).on('data', (chunk: string) => (text += chunk))
    socket(id).resume()
    await once(socket(id), 'end')
    return text
  },

  /**
   * Reads one byte that many times, with turns of the event loop between; returns the maximum read and not consumed.
   */
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
