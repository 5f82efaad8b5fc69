/**
 * One FTP session: the control connection of a client and a server, with the gateway between them.
 *
 * A byte that the translator holds back stays in the kernel or in the one chunk that was read: each side is paused while the
 * other is slow, or while the client must wait.
 *
 * After AUTH the rest is TLS, which Rust carries. No other state leaves nothing to translate: the client may turn the
 * translation on again after ALGS DISABLE64, and send EPSV or EPRT again after the server has refused one.
 *
 * The relay does not end an idle control connection, because it would not see its data connections. The gateway does, if
 * neither has carried a byte for the idle timeout.
 */
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type FaithSocket, type FaithSplice, writeUrgent } from '../../../index.js'
import type { Place } from '../gateway.js'
import { logFailure } from '../record.js'
import { ActiveData } from './active.js'
import type { Named } from './addresses.js'
import { Control } from './control.js'
import type { Step } from './translator.js'

/** The longest time of setTimeout(). */
const LONGEST_TIMER_MS = 2 ** 31 - 1
const NOTHING = Buffer.alloc(0)

/** Stands between a client and its FTP server until both are closed. */
export class FtpSession {
  readonly #client: FaithSocket
  readonly #server: Socket
  readonly #place: Place
  readonly #control: Control
  /** Forgets the data connection that is expected, if one is. */
  #forget: (() => void) | undefined
  /** The last data connection of active mode. */
  #data: ActiveData | undefined
  #isOver = false
  /** Steps that are still to be done. */
  readonly #steps: Step[] = []
  /** True while they wait for a step that takes time. */
  #isWaiting = false
  #splice: FaithSplice | undefined
  #timer: NodeJS.Timeout | undefined
  #active = performance.now()
  /** Bytes of the splice and of the data connection when they were looked at last. */
  #carried = 0

  constructor(client: FaithSocket, server: Socket, place: Place) {
    this.#client = client
    this.#server = server
    this.#place = place
    this.#control = new Control({ client: client.remoteAddress, destination: client.localAddress })
    const control = this.#control
    this.#join(
      client,
      server,
      (bytes) => control.fromClient(bytes),
      () => control.clientEnded(),
    )
    this.#join(
      server,
      client,
      (bytes) => control.fromServer(bytes),
      () => control.serverEnded(),
    )
    server.setNoDelay(true)
    client.setNoDelay(true)
    this.#watch(place.idleTimeoutMs)
  }

  /** Carries one direction to its end, and passes ends and errors on. */
  #join(from: Socket, to: Socket, read: (bytes: Buffer) => Step[], rest: () => Step[]): void {
    from.setKeepAlive(true, this.#place.keepAliveTimeoutMs / 2)
    from.on('data', (bytes: Buffer) => {
      this.#active = performance.now()
      if (from === this.#server && this.#data !== undefined) void this.#afterData(this.#data, bytes)
      else this.#do(read(bytes))
    })
    from.on('end', () => {
      this.#do(rest())
      to.end()
    })
    from.on('drain', () => this.#regulate())
    from.on('error', () => to.resetAndDestroy())
    from.on('close', () => {
      // A spliced socket leaves Node, but its connection goes on.
      if (this.#splice !== undefined) return
      if (!to.writableEnded) to.destroy()
      this.#end()
    })
  }

  /**
   * Takes bytes of the server, once the client has the data connection that the server has made before. Otherwise the client
   * might read of the end of a transfer whose connection has not come.
   */
  async #afterData(data: ActiveData, bytes: Buffer): Promise<void> {
    this.#isWaiting = true
    this.#regulate()
    // The connection may be in this turn of the event loop, too.
    if (data.isOpen) await nextTurn()
    await data.reached
    this.#isWaiting = false
    this.#do(this.#control.fromServer(bytes))
  }

  #do(steps: readonly Step[]): void {
    this.#steps.push(...steps)
    while (!this.#isWaiting) {
      const step = this.#steps.shift()
      if (step === undefined) break
      if ('urgent' in step) void this.#interrupt(step)
      else if ('to' in step) {
        const to = step.to === 'client' ? this.#client : this.#server
        if (to.writable) to.write(step.bytes)
      } else if ('expect' in step) void this.#expect(step.expect)
      else if ('listen' in step) void this.#listen(step.listen)
      else if ('unlisten' in step) this.#forget?.()
      else if ('transparent' in step) this.#handOn()
    }
    this.#regulate()
  }

  async #interrupt({ bytes, urgent }: { bytes: Buffer; urgent: number }): Promise<void> {
    const server = this.#server
    if (!server.writable) return
    this.#isWaiting = true
    // Behind bytes that wait in Node, none could be urgent.
    await new Promise<void>((resolve) => server.write(NOTHING, () => resolve()))
    if (server.writable) {
      writeUrgent(server, bytes.subarray(0, urgent + 1))
      server.write(bytes.subarray(urgent + 1))
    }
    this.#isWaiting = false
    this.#do([])
  }

  /** Reads from either side only while the other takes what it says. */
  #regulate(): void {
    if (this.#splice !== undefined) return
    const isSlow =
      this.#isWaiting || this.#client.writableNeedDrain || this.#server.writableNeedDrain
    for (const [side, waits] of [
      [this.#client, isSlow || this.#control.isHeld],
      [this.#server, isSlow],
    ] as const) {
      if (waits) side.pause()
      else side.resume()
    }
  }

  /**
   * Has the relay expect a data connection, and no longer the one before, as the server does. The client must not learn of
   * the port before.
   */
  async #expect(port: number): Promise<void> {
    const { remoteAddress, localAddress } = this.#client
    this.#forget?.()
    const expectation = this.#place.expect(remoteAddress, localAddress, port)
    if (expectation === undefined) return
    this.#forget = expectation.end
    if (this.#isOver) expectation.end()
    this.#isWaiting = true
    await expectation.ready
    this.#isWaiting = false
    this.#do([])
  }

  /** Has the server connect to a listener of this host, and the client be called from there. */
  async #listen(named: Named): Promise<void> {
    const { remoteAddress: client, localAddress: destination } = this.#client
    const { remoteAddress: server = '', localAddress: source = '' } = this.#server
    this.#forget?.()
    try {
      const data = await ActiveData.open(
        { client, destination, server, source },
        named,
        this.#place,
      )
      this.#data = data
      this.#forget = () => data.close()
      if (this.#isOver) data.close()
      this.#do(this.#control.listening(source, data.port))
    } catch (error) {
      logFailure(this.#place.log, 'warn', `FTP: cannot listen on ${source} for the server`, error)
      this.#do(this.#control.notListening())
    }
  }

  /** Has Rust carry the rest, once what was read so far is written. */
  #handOn(): void {
    tellOnceOfTls(this.#place)
    const [client, server] = [this.#client, this.#server]
    setImmediate(() => {
      if (client.destroyed || server.destroyed) return
      for (const side of [client, server]) side.removeAllListeners('data').pause()
      this.#splice = client.spliceTo(server, { idleTimeoutMs: 0 })
      this.#splice
        .catch(() => {
          client.resetAndDestroy()
          server.resetAndDestroy()
        })
        .finally(() => this.#end())
    })
  }

  /** Looks after this time whether the session is idle. */
  #watch(afterMs: number): void {
    if (this.#place.idleTimeoutMs === 0) return
    const wait = Math.min(Math.max(afterMs, 1), LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => void this.#look(), wait)
  }

  async #look(): Promise<void> {
    const spliced = (this.#splice?.bytesUp ?? 0) + (this.#splice?.bytesDown ?? 0)
    const bytes = spliced + (this.#data?.bytes ?? 0)
    const { remoteAddress } = this.#client
    const server = this.#server.remoteAddress ?? ''
    const limit = this.#place.idleTimeoutMs
    const left = this.#active + limit - performance.now()
    if (left > 0) return this.#watch(left)
    if (bytes !== this.#carried || (await this.#place.isBusy(remoteAddress, server, limit))) {
      this.#carried = bytes
      this.#active = performance.now()
      return this.#watch(limit)
    }
    if (this.#splice !== undefined) return this.#splice.abort()
    if (this.#client.writable) this.#client.end('421 Timeout: closing the control connection\r\n')
    this.#server.end()
    // A client that ignores this is reset after the same time again.
    this.#timer = setTimeout(() => this.#client.resetAndDestroy(), Math.min(limit, 30_000))
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#forget?.()
  }
}

let isTold = false

/** Says once that data connections of FTP over TLS need a server with EPSV. */
function tellOnceOfTls({ log }: Place): void {
  if (isTold) return
  isTold = true
  log.info(
    'FTP over TLS cannot be translated: its data connections work if client and server use EPSV, or the client ignores the address of PASV',
  )
}
