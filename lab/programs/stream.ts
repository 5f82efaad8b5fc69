// The stream that the transfer programs send. The same name gives the same stream, no part of it repeats, and
// generating it keeps up with the network. A lost, doubled or moved byte changes its hash, and so does one from the
// other direction.
import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Ending } from './ending.js'

const chunkSize = 256 * 1024

/** Yields the next bytes of the stream, chunk by chunk, `bytes` in all. */
export function* generate(name: string, bytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(name).digest()
  const keystream = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  const zeros = Buffer.alloc(chunkSize)
  for (let left = bytes; left > 0; left -= chunkSize) {
    yield keystream.update(left < chunkSize ? zeros.subarray(0, left) : zeros)
  }
}

/** The hash of a generated stream. */
export function digest(name: string, bytes: number): string {
  const hash = createHash('sha256')
  for (const chunk of generate(name, bytes)) hash.update(chunk)
  return hash.digest('hex')
}

/** Writes a generated stream at the pace of the socket; returns its hash. */
export async function send(socket: Socket, name: string, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  for (const chunk of generate(name, bytes)) {
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  return hash.digest('hex')
}

/** The peer's report; its fields depend on the command. */
export interface Report {
  received?: Arrived
  sent?: string
  ended?: string
}

export interface Arrived {
  bytes: number
  sha256: string
}

/**
 * Reads a socket as its only reader: lines, counted bytes, or all of it. An error of the socket rejects the current
 * read and every later one.
 */
export class Reader {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #ending: Ending | undefined
  #rest: Buffer = Buffer.alloc(0)

  /** Given the `ending` of the socket, treats a reset that Node reports as an end as an error too. */
  constructor(socket: Socket, ending?: Ending) {
    this.#chunks = socket.iterator({ destroyOnReturn: false })
    this.#ending = ending
  }

  /** Reads one line without its end; undefined after the end of the stream. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf(10)
      if (end >= 0) {
        const line = this.#rest.subarray(0, end).toString()
        this.#rest = this.#rest.subarray(end + 1)
        return line
      }
      const chunk = await this.#arrive()
      if (chunk === undefined) return undefined
      this.#rest = Buffer.concat([this.#rest, chunk])
    }
  }

  /** Reads one line of JSON, the form of the lab peer's answers. */
  async report(): Promise<Report> {
    const line = await this.line()
    if (line === undefined) throw new Error('the peer ended before it reported')
    return JSON.parse(line) as Report
  }

  /** Count and hash of the next `limit` bytes, or of all bytes before the stream ends. */
  async hash(limit = Infinity): Promise<Arrived> {
    const hash = createHash('sha256')
    let bytes = 0
    while (bytes < limit) {
      const chunk = await this.#next()
      if (chunk === undefined) break
      const wanted = chunk.subarray(0, Math.min(chunk.length, limit - bytes))
      this.#rest = chunk.subarray(wanted.length)
      hash.update(wanted)
      bytes += wanted.length
    }
    return { bytes, sha256: hash.digest('hex') }
  }

  async #next(): Promise<Buffer | undefined> {
    if (this.#rest.length > 0) {
      const rest = this.#rest
      this.#rest = Buffer.alloc(0)
      return rest
    }
    return await this.#arrive()
  }

  async #arrive(): Promise<Buffer | undefined> {
    const { value, done } = await this.#chunks.next()
    if (!done) return value
    if (this.#ending?.wasReset) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
    return undefined
  }
}
