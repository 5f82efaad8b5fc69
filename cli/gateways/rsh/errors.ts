/**
 * The second connection of rsh, for the errors of the command: the server connects to a listener of this host, and the
 * gateway connects to the client from the address that the client dialled.
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { FaithError, type FaithSplice } from '../../../index.js'
import { callClient } from '../call.js'
import type { Place } from '../gateway.js'
import { recordEnd, recordFailure } from '../record.js'
import { isPrivileged, PRIVILEGED } from './error-port.js'

/** The ends of the first connection. */
export interface Ends {
  /** The client's IPv6 address. */
  client: string
  /** The IPv6 address that the client dialled. */
  destination: string
  /** The server's IPv4 address. */
  server: string
  /** The IPv4 address of this host from which the first connection comes. */
  source: string
}

/** Waits for one connection of the server, and joins it with the client. */
export class ErrorConnection {
  /** The port to which the server is to connect. */
  readonly port: number
  /** Rejects with the reason if the connection is not made. Otherwise it stays pending. */
  readonly failed: Promise<never>
  readonly #ends: Ends
  readonly #place: Place
  readonly #listener: Server
  readonly #timer: NodeJS.Timeout
  #splice: FaithSplice | undefined
  readonly #aborted = new AbortController()
  #fail: (error: unknown) => void = () => undefined

  private constructor(ends: Ends, listening: [Server, number], clientPort: number, place: Place) {
    this.#ends = ends
    this.#place = place
    ;[this.#listener, this.port] = listening
    this.failed = new Promise((_resolve, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => undefined)
    this.#timer = setTimeout(() => {
      this.#listener.close()
      this.#fail(new Error('the server did not make its second connection'))
    }, place.connectTimeoutMs)
    this.#listener.on('connection', (server) => this.#accept(server, clientPort))
  }

  /**
   * Begins to wait for the server, on behalf of the client's port.
   *
   * @throws `EACCES` without the right to a privileged port; `EADDRINUSE` if none is free
   */
  static async open(ends: Ends, clientPort: number, place: Place): Promise<ErrorConnection> {
    return new ErrorConnection(ends, await listen(ends.source), clientPort, place)
  }

  /** Bytes that it has carried so far. */
  get bytes(): number {
    return (this.#splice?.bytesUp ?? 0) + (this.#splice?.bytesDown ?? 0)
  }

  /** Waits no longer. A connection that has come goes on. */
  close(): void {
    clearTimeout(this.#timer)
    this.#listener.close()
  }

  /** Resets it, and waits no longer. */
  abort(): void {
    this.close()
    this.#aborted.abort()
    this.#splice?.abort()
  }

  #accept(server: Socket, clientPort: number): void {
    server.on('error', () => server.destroy())
    const { remoteAddress, remotePort = 0 } = server
    // Another host, or a user of the server without privilege, must not reach the client.
    const isServer = remoteAddress === this.#ends.server && isPrivileged(remotePort)
    if (!isServer || !this.#listener.listening) return void server.resetAndDestroy()
    this.close()
    void this.#join(server, remotePort, clientPort)
  }

  async #join(server: Socket, fromPort: number, port: number): Promise<void> {
    const { client: to, destination: from, server: address } = this.#ends
    const { log, connectTimeoutMs } = this.#place
    const made = {
      name: 'rsh',
      use: 'rsh errors',
      client: { address: to, port },
      server: { address, port: fromPort },
    } as const
    try {
      const { signal } = this.#aborted
      const client = { from, fromPort, to, port, connectTimeoutMs, signal }
      const { splice } = await callClient(server, client, this.#place, 0)
      this.#splice = splice
      recordEnd(log, made, await splice)
    } catch (error) {
      server.resetAndDestroy()
      recordFailure(log, made, error)
      this.#fail(error)
    }
  }
}

/** Listens on the highest privileged port of an address that is free. */
async function listen(host: string): Promise<[Server, number]> {
  for (let port = PRIVILEGED.last; port >= PRIVILEGED.first; port -= 1) {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
    try {
      server.listen({ host, port, exclusive: true, backlog: 4 })
      await once(server, 'listening')
      return [server, port]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
  throw new FaithError('EADDRINUSE', `every privileged port of ${host} is taken`)
}
