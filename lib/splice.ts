/** Captured sockets that JavaScript gives back, for Rust to carry the rest. */
import { Socket } from 'node:net'
import { AbortError, onAbort } from './abort.js'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import { Handover } from './handover.js'
import { type NativeConnection, type NativeInterface, type NativeLeg, native } from './native.js'
import { type OptionNames, OptionReader, readable } from './option-reader.js'
import {
  CONNECT_OPTIONS,
  LASTING_OPTIONS,
  type NamedServer,
  readConnectTimeout,
  readLastingTimeouts,
  readServer,
  resolve,
  SERVER_OPTIONS,
} from './server.js'
import { type FaithSessionEndReason, toSessionEndReason } from './session.js'

/**
 * The timeouts and the signal of a splice.
 *
 * @group Listener and sockets
 */
export interface FaithSpliceOptions {
  /** Longest time that the splice may carry no byte, in milliseconds; 0 is no limit. Default 1800000, half an hour. */
  idleTimeoutMs?: number
  /**
   * Declare a silent peer dead after this long: one that leaves data or keep-alive probes unanswered. In milliseconds, 2000
   * to 64800000, kept to the second. It also limits how long a peer may acknowledge no more of its last bytes after the
   * other has reset. Default 120000, two minutes.
   */
  keepAliveTimeoutMs?: number
  /**
   * Aborting this signal ends the splice: both sides are reset, and the splice ends as `aborted`. Before the splice has
   * begun, as while its server is being connected, the promise is rejected with an `AbortError`, and the socket stays
   * usable. Default: none; the splice goes on until both sides have ended, one fails, or the interface closes.
   */
  signal?: AbortSignal
}

/**
 * The server to which a socket is spliced, with its options. The program has decided, so no access list applies. Without
 * `allowAny`, a special-purpose address, an address of this host and a loopback address are denied with
 * `ERR_FAITH_DENIED`; see {@link FaithRouteServer} for these addresses.
 *
 * @group Listener and sockets
 */
export interface FaithSpliceServer extends FaithSpliceOptions {
  /**
   * The server: an IPv4 address; an IPv6 address without scope or brackets that is not IPv4-mapped; or a host name, whose
   * first IPv4 address is looked up as `dns.lookup` does.
   */
  host: string
  /** The server's port, 1 to 65535. */
  port: number
  /**
   * `true` lets the server have any address: a private or other special-purpose one, one of this host's own, or a loopback
   * one. Set it only if clients cannot choose `host`. Default `false`.
   */
  allowAny?: boolean
  /**
   * The address of this host that the connection comes from, of the same family as `host`. Default: the routing table
   * chooses.
   */
  localAddress?: string
  /**
   * The version of the PROXY protocol that tells the server the client's IPv6 address and the address it dialled. Default:
   * no header.
   */
  proxyProtocol?: 1 | 2
  /** Longest time that the server may take to answer, in milliseconds. Default 10000. */
  connectTimeoutMs?: number
}

/**
 * A splice that has ended.
 *
 * @group Listener and sockets
 */
export interface FaithSpliceEnd {
  /** Bytes carried from the client to the server, including those that Node had read but the program had not consumed. */
  bytesUp: number
  /** Bytes carried from the server to the client, without those that the program wrote before the splice. */
  bytesDown: number
  /** The reason for its end: `closed` if both sides ended their streams. */
  reason: FaithSessionEndReason
  /** Time from the moment Rust had both connections to the end, in milliseconds. */
  durationMs: number
}

/**
 * A splice that `spliceTo()` of a {@link FaithSocket} began: the promise of its end, with its present state. `then()`,
 * `catch()` and `finally()` return a plain promise without that state.
 *
 * @group Listener and sockets
 */
export interface FaithSplice extends Promise<FaithSpliceEnd> {
  /**
   * Resolves when the splice begins: the server is connected, earlier writes are sent, and Node is done with the sockets.
   * If the splice cannot begin, it rejects like the splice itself. A rejection that no code handles here is no unhandled
   * rejection.
   */
  readonly connected: Promise<void>
  /** Bytes carried from the client to the server so far: 0 before the splice begins, and all of them after its end. */
  readonly bytesUp: number
  /** Bytes carried from the server to the client so far, likewise. */
  readonly bytesDown: number
  /**
   * Ends the splice as its `signal` does: both sides are reset, and the splice ends as `aborted`. Before the splice has
   * begun, the promise is rejected with an `AbortError`, and the socket stays usable. After the end it does nothing.
   */
  abort(): void
}

const CALL = 'socket.spliceTo'
const OPTIONS: OptionNames<FaithSpliceOptions> = { ...LASTING_OPTIONS, signal: true }
const TO_SERVER: OptionNames<FaithSpliceServer> = {
  ...SERVER_OPTIONS,
  ...CONNECT_OPTIONS,
  ...OPTIONS,
}
const NOTHING = Buffer.alloc(0)

/** A server to connect to or a socket, with the checked options of the splice. */
interface Target {
  server: (NamedServer & { connectTimeoutMs: number }) | Socket
  timeouts: { idleTimeoutMs: number; keepAliveTimeoutMs: number }
  signal: AbortSignal | undefined
}

/** A splice that has begun. It is no promise itself, because `await` would then wait for its end. */
interface Begun {
  ended: ReturnType<NativeInterface['splice']>
}

/** A captured socket to be spliced. */
interface Captured {
  faith: NativeInterface
  connection: NativeConnection
  socket: Socket
  /** `true` while the socket still has that connection. */
  isCaptured: boolean
}

/** One splice, from the call to its end. */
class Splicing {
  readonly handle = new native.NativeSpliceHandle()
  readonly #captured: Captured
  #aborted: AbortError | undefined
  #interrupt: (() => void) | undefined
  #forgetSignal: (() => void) | undefined

  constructor(captured: Captured) {
    this.#captured = captured
  }

  abort(reason?: unknown): void {
    this.#aborted ??= new AbortError({ reason })
    this.handle.stop()
    this.#interrupt?.()
  }

  /** Connects if needed, and begins. */
  async begin(to: unknown, options: unknown): Promise<Begun> {
    if (!this.#captured.isCaptured) throw notCaptured()
    const { server, timeouts, signal } = readTarget(to, options)
    if (server === this.#captured.socket) throw wrong('a socket cannot be spliced to itself')
    if (signal?.aborted) throw new AbortError(signal)
    this.#forgetSignal = signal && onAbort(signal, () => this.abort(signal.reason))
    return await this.#splice(server, timeouts)
  }

  /** Waits for the end. */
  async end(begun: Promise<Begun>): Promise<FaithSpliceEnd> {
    try {
      const { bytesUp, bytesDown, durationMs, reason } = unwrap(await (await begun).ended)
      return { bytesUp, bytesDown, reason: toSessionEndReason(reason), durationMs }
    } finally {
      this.#forgetSignal?.()
    }
  }

  /** Takes the connections from Node, and begins. */
  async #splice(server: Target['server'], timeouts: Target['timeouts']): Promise<Begun> {
    const { faith, connection, socket } = this.#captured
    const leaving: Handover[] = []
    const connected: NativeLeg[] = []
    try {
      leaving.push(new Handover(CALL, socket))
      if (server instanceof Socket) leaving.push(new Handover(CALL, server))
      else connected.push(await this.#connect(server))

      const busy = (): Handover[] => leaving.filter((one) => one.isBusy())
      for (let waiting = busy(); waiting.length > 0; waiting = busy()) {
        await this.#unlessAborted(Promise.all(waiting.map((one) => one.written())))
      }
      if (this.#aborted) throw this.#aborted
      // From here to the end of the sockets no other code may run: it could read or write a byte.
      const taken = unwrap(native.takeSockets(leaving.map((one) => one.descriptor)))
      const [up = NOTHING, down = NOTHING] = leaving.map((one) => one.rest())
      const legs = [...taken, ...connected]
      const options = { ...timeouts, up, down }
      const ended = faith.splice(connection, options, legs, this.handle)
      for (const one of leaving) one.leave(ended)
      return { ended }
    } catch (error) {
      for (const leg of connected) leg.close()
      for (const one of leaving) one.cancel()
      // A stopped step fails with an error of its own, which says less.
      throw this.#aborted ?? error
    }
  }

  async #connect(server: NamedServer & { connectTimeoutMs: number }): Promise<NativeLeg> {
    const { connectTimeoutMs } = server
    const found = resolve(server).catch((cause: NodeJS.ErrnoException) => {
      const { code = 'ENOTFOUND', errno, syscall } = cause
      throw new FaithError(code, `${CALL}: ${cause.message}`, { errno, syscall, cause })
    })
    const options = { ...(await this.#unlessAborted(found)), connectTimeoutMs }
    const { faith, connection } = this.#captured
    return unwrap(await faith.connect(connection, options, this.handle))
  }

  /** Waits for `work`, unless the splice is aborted first. */
  async #unlessAborted<T>(work: Promise<T>): Promise<T> {
    const aborted = new Promise<never>((_resolve, reject) => {
      this.#interrupt = () => reject(this.#aborted)
    })
    if (this.#aborted) this.#interrupt?.()
    try {
      return await Promise.race([work, aborted])
    } finally {
      this.#interrupt = undefined
    }
  }
}

/** @internal Splices a captured socket until its end. Every error rejects the promise. */
export function splice(captured: Captured, to: unknown, options: unknown): FaithSplice {
  const splicing = new Splicing(captured)
  const { handle } = splicing
  const begun = splicing.begin(to, options)
  const connected = begun.then(() => undefined)
  // The promise of the end is rejected for the same reason.
  connected.catch(() => undefined)
  return Object.defineProperties(splicing.end(begun), {
    connected: { value: connected },
    bytesUp: { get: () => handle.bytesUp },
    bytesDown: { get: () => handle.bytesDown },
    abort: { value: () => splicing.abort() },
  }) as FaithSplice
}

function readTarget(target: unknown, options?: unknown): Target {
  if (isSocket(target)) {
    const read = new OptionReader(CALL, OPTIONS, options === undefined ? {} : options)
    return { server: target, ...readOptions(read) }
  }
  if (options !== undefined) {
    const message = 'a server is one argument, with its options inside'
    throw wrong(message, 'write spliceTo({ host, port })')
  }
  const read = new OptionReader(CALL, TO_SERVER, target, 'the server')
  const server = { ...readServer(read), ...readConnectTimeout(read) }
  return { server, ...readOptions(read) }
}

function isSocket(target: unknown): target is Socket {
  return readable(`${CALL}: the target`, () => target instanceof Socket)
}

function readOptions(read: OptionReader<keyof FaithSpliceOptions>): Omit<Target, 'server'> {
  const timeouts = readLastingTimeouts(read)
  const signal = read.signal('signal')
  return { timeouts, signal }
}

function notCaptured(): FaithError {
  const message = `${CALL}: the socket cannot be spliced: it has another connection by now`
  return new FaithError('ERR_FAITH_SOCKET', message)
}

function wrong(message: string, hint?: string): FaithError {
  return new FaithError('ERR_FAITH_ARGUMENT', `${CALL}: ${message}`, { hint })
}
