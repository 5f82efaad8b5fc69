/**
 * Data connections of active FTP: the server connects to a listener of this host, and the gateway connects to the client
 * from the address that the client dialled.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { FaithSplice } from '../../../index.js'
import { callClient } from '../call.js'
import type { Place } from '../gateway.js'
import { recordEnd, recordFailure } from '../record.js'
import type { Named } from './addresses.js'

/** The ends of the control connection. */
export interface Ends {
  /** The client's IPv6 address. */
  client: string
  /** The IPv6 address that the client dialled. */
  destination: string
  /** The server's IPv4 address. */
  server: string
  /** The IPv4 address of this host from which the control connection comes. */
  source: string
}

/** Time for the server to connect, in milliseconds. RFC 6384 section 12 wants 30 s at least. */
const WAIT_MS = 30_000
const CONNECT_MS = 10_000

/** Waits for one connection of the server, and joins it with the client. */
export class ActiveData {
  readonly #ends: Ends
  readonly #named: Named
  readonly #place: Place
  readonly #listener: Server
  readonly #timer: NodeJS.Timeout
  #splice: FaithSplice | undefined
  #reached: Promise<void> | undefined

  private constructor(ends: Ends, named: Named, place: Place) {
    this.#ends = ends
    this.#named = named
    this.#place = place
    this.#listener = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    this.#listener.on('connection', (server) => this.#accept(server))
    this.#listener.on('error', () => this.close())
    this.#timer = setTimeout(() => this.close(), WAIT_MS)
  }

  /** Begins to wait. */
  static async open(ends: Ends, named: Named, place: Place): Promise<ActiveData> {
    const data = new ActiveData(ends, named, place)
    await new Promise<void>((resolve, reject) => {
      data.#listener.once('error', reject)
      data.#listener.listen({ host: ends.source, port: 0, backlog: 4 }, () => resolve())
    })
    return data
  }

  /** The port to which the server is to connect. */
  get port(): number {
    const address = this.#listener.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** True while the server may connect. */
  get isOpen(): boolean {
    return this.#listener.listening
  }

  /** Resolves when the client is connected, or cannot be; `undefined` before the server has connected. */
  get reached(): Promise<void> | undefined {
    return this.#reached
  }

  /** Bytes that the data connection has carried so far. */
  get bytes(): number {
    return (this.#splice?.bytesUp ?? 0) + (this.#splice?.bytesDown ?? 0)
  }

  /** Waits no longer. A connection that has come goes on. */
  close(): void {
    clearTimeout(this.#timer)
    this.#listener.close()
  }

  #accept(server: Socket): void {
    server.on('error', () => server.destroy())
    // Another host must not get into the client's transfer, nor to the client.
    if (server.remoteAddress !== this.#ends.server) return void server.resetAndDestroy()
    this.close()
    this.#reached = this.#reach(server)
  }

  /** Connects to the client, and has Rust carry the rest. Resolves when the client is connected, or cannot be. */
  async #reach(server: Socket): Promise<void> {
    const { client, destination } = this.#ends
    const { address: to, port: toPort } = this.#named
    const { relay, log, idleTimeoutMs } = this.#place
    const port = server.remotePort ?? 20
    const made = {
      name: 'ftp',
      use: 'FTP data',
      client: this.#named,
      server: { address: this.#ends.server, port },
    } as const
    const failed = (error: unknown): void => {
      server.resetAndDestroy()
      recordFailure(log, made, error)
    }
    try {
      const { permitted, cause } = relay.permits({
        client,
        destination: { address: destination, port },
      })
      if (!permitted) throw new Error(`the access list denies it (${cause})`)
      const { splice } = await callClient(
        server,
        { from: destination, fromPort: port, to, port: toPort, connectTimeoutMs: CONNECT_MS },
        this.#place,
        idleTimeoutMs,
      )
      this.#splice = splice
      splice.then((ended) => recordEnd(log, made, ended), failed)
    } catch (error) {
      failed(error)
    }
  }
}
