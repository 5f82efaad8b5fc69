/**
 * A program's own ports of datagrams, in the shape of `node:dgram`.
 *
 * Theory of operation: the addon keeps datagrams in a bounded inbox, and says once that some wait. The socket takes
 * them, many at a time, as long as a `message` handler or a step of an async iteration wants them. Those that are
 * not taken fill the inbox, and the addon drops and counts those that come then. An answer leaves from the address that its peer
 * dialled: the socket remembers the address that each of its latest peers dialled last.
 */
import type { AddressInfo } from 'node:net'
import { EventEmitter } from 'node:events'
import { openUntil } from './abort.js'
import {
  type FaithBindUdpOptions,
  type FaithUdpSendOptions,
  readBindUdpOptions,
  readEnd,
  readSendOptions,
} from './bind-udp-options.js'
import { ClientErrors } from './client-errors.js'
import type { FaithEndpoint } from './endpoint.js'
import { closedError, FaithError, INSIDE, requireInside } from './errors.js'
import { toFaithError, unwrap } from './failure.js'
import { Takers } from './iteration.js'
import { type FaithIterationOptions, readIteration } from './listener-options.js'
import type { NativeBoundUdp, NativeInterface } from './native.js'
import { show } from './option-reader.js'
import { bytesOf, type FaithUdpData, partOf } from './udp-data.js'
import { type FaithUdpMessage, type FaithUdpRemoteInfo, messagesOf } from './udp-message.js'

/**
 * The events of a {@link FaithUdpSocket}.
 *
 * @group UDP
 */
export interface FaithUdpSocketEvents {
  /** A datagram was received. */
  message: [data: Buffer, rinfo: FaithUdpRemoteInfo]
  /** The socket is bound. Emitted once, in the first turn of the event loop after {@link FaithInterface.bindUdp}. */
  listening: []
  /**
   * A datagram without a `callback` was not sent. Unlike with `node:dgram`, this is not an exception without a handler,
   * because one peer must not end the process. The first one is then a process warning.
   */
  error: [error: Error]
  /** The socket is closed, by `close()` or with its interface. */
  close: []
}

/**
 * Gets the error, or `null` and the number of bytes when the datagram is on its way.
 *
 * @group UDP
 */
export type FaithUdpSendCallback = (error: Error | null, bytes: number) => void

/**
 * The counters of a {@link FaithUdpSocket} since it was bound.
 *
 * @group UDP
 */
export interface FaithUdpSocketStats {
  /** Datagrams received, with those that wait for the program. */
  received: number
  /** Datagrams of clients that found no room, because the program is slower than they come. */
  dropped: number
  /** Datagrams sent. */
  sent: number
  /** Datagrams that found no room on their way to the host. */
  lost: number
}

/** The datagrams or groups of datagrams that are taken from the addon at once. */
const BATCH = 64

/** The most peers whose addresses are remembered. The one that was silent longest is forgotten. */
const PEERS = 65_536

/**
 * A socket for the datagrams to its ports at every address of the interface's prefixes. It has the names and shapes of
 * `dgram.Socket`, so that a program for that runs unchanged: what it sends to `rinfo.address` and `rinfo.port` leaves
 * from the address that this peer dialled. It is bound from the start and never connected, and knows no multicast.
 *
 * Take datagrams by a `message` handler or by async iteration, not both: a handler goes first. Datagrams wait until the
 * program has either, within `recvBufferSize`. A bound socket keeps the process running, unless
 * {@link FaithUdpSocket.unref} is called.
 *
 * The socket gets whole datagrams with right checksums, and its own datagrams are fragmented where a link needs it.
 *
 * @example
 * ```ts
 * const udp = await faith.bindUdp({ port: 7 })
 * for await (const { data, rinfo } of udp) {
 *   console.log(`${rinfo.address} dialled ${rinfo.destination.address}`)
 *   udp.send(data, rinfo.port, rinfo.address)
 * }
 * ```
 *
 * @group UDP
 */
export class FaithUdpSocket extends EventEmitter<FaithUdpSocketEvents> implements AsyncDisposable {
  readonly #released: (socket: FaithUdpSocket) => void
  readonly #errors = new ClientErrors(this, 'UDP socket')
  readonly #address: string | undefined
  readonly #port: number | undefined
  /** The address and port that each peer dialled last, by the peer's. The silent ones come first. */
  readonly #dialled = new Map<string, FaithEndpoint>()
  readonly #waiting: FaithUdpMessage[] = []
  readonly #takers = new Takers<FaithUdpMessage>({
    isClosed: () => this.#closing !== undefined,
    wanted: () => this.#deliver(),
  })
  #native: NativeBoundUdp | undefined
  #hasTurn = false
  #closing: Promise<void> | undefined

  private constructor(
    key: typeof INSIDE,
    address: string | undefined,
    port: number | undefined,
    released: (socket: FaithUdpSocket) => void,
  ) {
    requireInside(key, 'FaithUdpSocket', 'faith.bindUdp()')
    super()
    this.#address = address
    this.#port = port
    this.#released = released
    ;(this as EventEmitter).on('newListener', (event) => {
      // This event comes before the handler is added.
      if (event === 'message') process.nextTick(() => this.#deliver())
    })
  }

  /** @internal */
  static async open(
    faith: NativeInterface,
    options: FaithBindUdpOptions,
    released: (socket: FaithUdpSocket) => void,
  ): Promise<FaithUdpSocket> {
    const { settings, ports, signal } = readBindUdpOptions(options)
    return await openUntil(signal, async () => {
      const [{ first, last } = { first: 0, last: 1 }, ...others] = ports
      const port = first === last && others.length === 0 ? first : undefined
      const socket = new FaithUdpSocket(INSIDE, settings.address, port, released)
      socket.#native = unwrap(await faith.bindUdp(settings, () => socket.#deliver()))
      setImmediate(() => {
        if (socket.#closing === undefined) socket.emit('listening')
      })
      return socket
    })
  }

  /**
   * Sends a datagram to a client. It returns at once; the datagram leaves soon. Text is sent as UTF-8. With `offset` and
   * `length`, only that part of the bytes is sent, as in `node:dgram`.
   *
   * The datagram leaves from the address and port that this peer dialled last, in the latest datagram that the program
   * got from it. Without such a datagram it leaves from the socket's own address and port, if it has one of each.
   * Otherwise `from` must name them. The host routes the datagram, so its firewall must permit it.
   *
   * An error goes to `callback`, and to the `error` event if there is none: `EADDRNOTAVAIL` when the address that it comes
   * from is unknown, not bound or inside no prefix; `EMSGSIZE` when the data is longer than a datagram; `ENOBUFS` when too
   * many datagrams wait; `ERR_FAITH_ARGUMENT` when `address` cannot be a client's, for instance because it is inside a prefix;
   * `ERR_FAITH_KEEPFAITH`. As always with datagrams, no error does not mean that it arrives.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when an argument has the wrong type or is out of range;
   * `ERR_FAITH_CLOSED` when the socket is closed
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ ports: '7000-7009' })
   * udp.on('message', (data, { address, port, destination }) => {
   *   udp.send(data, port, address) // from the address that the client dialled
   *   const from = { address: destination.address, port: 7009 }
   *   udp.send('again', port, address, { from, hopLimit: 255 })
   * })
   * ```
   */
  send(data: FaithUdpData, port: number, address: string, callback?: FaithUdpSendCallback): void
  /**
   * Sends a datagram, as above, from an address or with header fields of its own.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 514 })
   * udp.on('message', (data, { address, port }) => {
   *   udp.send('heard', port, address, { hopLimit: 255, trafficClass: 0xb8 })
   * })
   * ```
   */
  send(
    data: FaithUdpData,
    port: number,
    address: string,
    options: FaithUdpSendOptions | undefined,
    callback?: FaithUdpSendCallback,
  ): void
  /**
   * Sends `length` octets of `data` from `offset` on, as `node:dgram` does.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 7 })
   * udp.on('message', (data, { address, port }) => {
   *   udp.send(data, 0, Math.min(data.length, 512), port, address)
   * })
   * ```
   */
  send(
    data: string | NodeJS.ArrayBufferView,
    offset: number,
    length: number,
    port: number,
    address: string,
    callback?: FaithUdpSendCallback,
  ): void
  send(data: unknown, ...rest: unknown[]): void {
    const native = this.#native
    if (this.#closing !== undefined || native === undefined) throw closedError('the UDP socket')
    let bytes = bytesOf(data)
    if (typeof rest[1] === 'number') bytes = partOf(bytes, ...rest.splice(0, 2))
    const [port, address, ...others] = rest
    const to = readEnd('udp.send', { address, port })
    const callback = typeof others[0] === 'function' ? others[0] : others[1]
    if (callback !== undefined && typeof callback !== 'function') {
      const message = `udp.send: \`callback\` must be a function, got ${show(callback)}`
      throw new FaithError('ERR_FAITH_ARGUMENT', message)
    }
    const given = typeof others[0] === 'function' ? undefined : others[0]
    const { from = this.#from(to), ...fields } = readSendOptions(given ?? {})
    const error =
      from === undefined
        ? unknownPeer(to)
        : native.send(bytes, { ...to, from: from.address, fromPort: from.port, ...fields })
    this.#sent(
      error !== null && 'failed' in error ? toFaithError(error) : error,
      bytes.byteLength,
      callback as FaithUdpSendCallback | undefined,
    )
  }

  /**
   * Gives the bound address and port, as in `node:dgram`: `::` if the socket has every address of the prefixes, and port 0
   * if it has several ports.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 53 })
   * console.log(udp.address()) // { address: '::', family: 'IPv6', port: 53 }
   * ```
   */
  address(): AddressInfo {
    return { address: this.#address ?? '::', family: 'IPv6', port: this.#port ?? 0 }
  }

  /**
   * Gives the counters since the socket was bound. After the close they stay as they were.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 123 })
   * const { received, dropped } = udp.stats()
   * console.log(`${dropped} of ${received + dropped} datagrams were dropped`)
   * ```
   */
  stats(): FaithUdpSocketStats {
    return this.#native?.stats() ?? { received: 0, dropped: 0, sent: 0, lost: 0 }
  }

  /**
   * Makes the bound socket keep the process running. This is the default.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 514 })
   * udp.unref().ref() // as before
   * ```
   */
  ref(): this {
    if (this.#closing === undefined) this.#native?.ref()
    return this
  }

  /**
   * Lets the process end while the socket is bound.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 514 })
   * udp.unref()
   * ```
   */
  unref(): this {
    if (this.#closing === undefined) this.#native?.unref()
    return this
  }

  /**
   * Gives the ports back, drops datagrams that wait for the program, and emits `close`. Datagrams that were sent before
   * leave. A second call waits for the same close.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 53 })
   * process.once('SIGTERM', async () => {
   *   await udp.close()
   *   await faith.close()
   * })
   * ```
   */
  async close(): Promise<void> {
    this.#closing ??= this.#shut()
    await this.#closing
  }

  /**
   * Closes the socket, like {@link FaithUdpSocket.close}.
   *
   * @example
   * ```ts
   * {
   *   await using udp = await faith.bindUdp({ port: 9 })
   *   console.log(udp.address().port)
   * } // closed here
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * Iterates over the datagrams, one at a time. The iteration ends when the socket closes. Leaving the loop does not
   * close the socket.
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 13 })
   * for await (const { rinfo } of udp) {
   *   udp.send(`${new Date().toISOString()}\n`, rinfo.port, rinfo.address)
   * }
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<FaithUdpMessage, undefined> {
    return this.messages()
  }

  /**
   * Iterates over the datagrams until a signal is aborted, otherwise like iterating over the socket itself. On the abort
   * the loop fails with an `AbortError`, and the socket stays bound.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `signal` is not an `AbortSignal`
   * @throws an `AbortError` with the `code` `ABORT_ERR`, from the iteration, when `signal` is aborted
   *
   * @example
   * ```ts
   * const udp = await faith.bindUdp({ port: 9 })
   * try {
   *   for await (const { data } of udp.messages({ signal: AbortSignal.timeout(60_000) })) {
   *     console.log(`${data.length} bytes`)
   *   }
   * } catch (error) {
   *   if (!(error instanceof Error) || error.name !== 'AbortError') throw error
   * }
   * ```
   */
  messages(options: FaithIterationOptions = {}): AsyncIterableIterator<FaithUdpMessage, undefined> {
    const signal = readIteration(options, 'udp.messages')
    return this.#takers.iterate(signal)
  }

  /** The address and port that a datagram to this peer leaves from. */
  #from(to: FaithEndpoint): FaithEndpoint | undefined {
    const dialled = this.#dialled.get(keyOf(to))
    if (dialled !== undefined || this.#address === undefined || this.#port === undefined) {
      return dialled
    }
    return { address: this.#address, port: this.#port }
  }

  /** Tells the outcome of a call of `send`, in a tick of its own. */
  #sent(error: Error | null, bytes: number, callback: FaithUdpSendCallback | undefined): void {
    if (callback !== undefined) process.nextTick(callback, error, error === null ? bytes : 0)
    else if (error !== null) this.#errors.report(error)
  }

  /** Delivers datagrams that wait, those of one batch of the addon in a turn of the event loop. */
  #deliver(): void {
    while (this.#isWanted()) {
      const message = this.#next()
      if (message === undefined) return
      this.#hand(message)
    }
  }

  /** Lets the event loop go on before the next batch, which then begins with what a handler that threw has left. */
  #takeTurn(): void {
    this.#hasTurn = true
    setImmediate(() => {
      this.#hasTurn = false
      if (this.#waiting.length > 0 && this.#isWanted()) this.#takeTurn()
      this.#deliver()
    })
  }

  #isWanted(): boolean {
    if (this.#closing !== undefined) return false
    return this.#takers.areWaiting || this.listenerCount('message') > 0
  }

  #next(): FaithUdpMessage | undefined {
    if (this.#waiting.length === 0 && !this.#hasTurn) {
      for (const group of this.#native?.take(BATCH) ?? []) this.#waiting.push(...messagesOf(group))
      if (this.#waiting.length > 0) this.#takeTurn()
      // The oldest comes last, where it is cheap to remove.
      this.#waiting.reverse()
    }
    return this.#waiting.pop()
  }

  #hand(message: FaithUdpMessage): void {
    const { data, rinfo } = message
    const peer = keyOf(rinfo)
    this.#dialled.delete(peer)
    this.#dialled.set(peer, rinfo.destination)
    if (this.#dialled.size > PEERS) this.#dialled.delete(this.#dialled.keys().next().value ?? '')
    if (!this.emit('message', data, rinfo)) this.#takers.give(message)
  }

  async #shut(): Promise<void> {
    this.#takers.end()
    this.#waiting.length = 0
    await this.#native?.close()
    this.#released(this)
    process.nextTick(() => this.emit('close'))
  }
}

function keyOf({ address, port }: FaithEndpoint): string {
  return `${port} ${address}`
}

/** Makes the error of a datagram to a peer that has sent none. */
function unknownPeer({ address, port }: FaithEndpoint): FaithError {
  const message = `udp.send: [${address}]:${port} has sent no datagram, so the address to send from is unknown`
  return new FaithError('EADDRNOTAVAIL', message, { hint: 'name it by `from`' })
}
