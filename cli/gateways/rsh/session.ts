/**
 * One rsh session. The client first names the port on which it waits for the connection of the errors. The gateway names a
 * port of its own to the server instead. Rust carries all other bytes.
 *
 * The relay does not end an idle session, because it would not see the errors. The gateway does, if neither connection has
 * carried a byte for the idle timeout.
 */
import type { Socket } from 'node:net'
import type { FaithSocket, FaithSplice } from '../../../index.js'
import type { Place } from '../gateway.js'
import { logFailure } from '../record.js'
import { readErrorPort } from './error-port.js'
import { ErrorConnection } from './errors.js'

/** The longest time of setInterval(). */
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Looks per idle timeout. */
const LOOKS = 4

/** Stands between a client and its rsh server until both are closed. */
export class RshSession {
  readonly #client: FaithSocket
  readonly #server: Socket
  readonly #place: Place
  #errors: ErrorConnection | undefined
  #splice: FaithSplice | undefined

  private constructor(client: FaithSocket, server: Socket, place: Place) {
    this.#client = client
    this.#server = server
    this.#place = place
    for (const side of [client, server]) side.on('error', () => this.#reset())
  }

  /** Carries a session to its end. */
  static async serve(client: FaithSocket, server: Socket, place: Place): Promise<void> {
    const session = new RshSession(client, server, place)
    const forget = session.#watch()
    try {
      await session.#carry()
    } catch (error) {
      logFailure(place.log, 'debug', `rsh: the session of [${client.remoteAddress}] ended`, error)
      session.#reset()
    } finally {
      forget()
      session.#errors?.close()
    }
  }

  async #carry(): Promise<void> {
    const [client, server] = [this.#client, this.#server]
    const port = await this.#firstBytes()
    if (port !== 0) {
      this.#errors = await this.#open(port)
      server.write(`${this.#errors.port}\0`)
    }
    const { keepAliveTimeoutMs } = this.#place
    this.#splice = client.spliceTo(server, { idleTimeoutMs: 0, keepAliveTimeoutMs })
    const ended = this.#splice
    const end = await Promise.race([ended, this.#errors?.failed ?? ended])
    // The relay has ended the session, or the client has: nothing else would end the second connection.
    if (end.reason === 'client-reset' || end.reason === 'client-gone') this.#errors?.abort()
  }

  /** Reads the port at the beginning of the stream. If it is 0, the server is to read it as well. */
  async #firstBytes(): Promise<number> {
    const client = this.#client
    let read = Buffer.alloc(0)
    for await (const chunk of client.iterator({ destroyOnReturn: false })) {
      read = Buffer.concat([read, chunk as Buffer])
      const first = readErrorPort(read)
      if (first === 'incomplete') continue
      if (first === 'malformed') throw new Error('its first bytes name no privileged port')
      const rest = first.port === 0 ? read : read.subarray(first.length)
      if (rest.length > 0) client.unshift(rest)
      return first.port
    }
    throw new Error('the client has ended before it named a port')
  }

  async #open(port: number): Promise<ErrorConnection> {
    const { remoteAddress: client, localAddress: destination } = this.#client
    const { remoteAddress: server = '', localAddress: source = '' } = this.#server
    const ends = { client, destination, server, source }
    try {
      return await ErrorConnection.open(ends, port, this.#place)
    } catch (error) {
      logFailure(this.#place.log, 'warn', 'rsh: cannot listen for a second connection', error)
      throw error
    }
  }

  #reset(): void {
    this.#errors?.abort()
    this.#splice?.abort()
    // A spliced socket is destroyed already.
    for (const side of [this.#client, this.#server]) if (!side.destroyed) side.resetAndDestroy()
  }

  /** Ends the session once it has carried no byte for the idle timeout. The returned function stops that. */
  #watch(): () => void {
    const idleMs = this.#place.idleTimeoutMs
    if (idleMs === 0) return () => undefined
    let [bytes, active] = [-1, performance.now()]
    const look = (): void => {
      const { bytesUp = 0, bytesDown = 0 } = this.#splice ?? {}
      const now = bytesUp + bytesDown + (this.#errors?.bytes ?? 0)
      if (now !== bytes) [bytes, active] = [now, performance.now()]
      else if (performance.now() - active >= idleMs) this.#reset()
    }
    const timer = setInterval(look, Math.min(Math.ceil(idleMs / LOOKS), LONGEST_TIMER_MS))
    return () => clearInterval(timer)
  }
}
