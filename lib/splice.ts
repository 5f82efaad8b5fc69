/** Captured sockets given back: JavaScript has seen enough, and Rust carries the rest. */
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
 * How a splice goes on, and until when.
 *
 * @group Listener and sockets
 */
export interface FaithSpliceOptions {
  /** How long the splice may carry nothing, in milliseconds; 0 for ever. Default 1800000, half an hour. */
  idleTimeoutMs?: number
  /**
   * Declare a silent peer dead after this long: one that leaves keep-alive probes unanswered, in milliseconds, 2000 to
   * 64800000; kept to the second. When one peer has reset, the other may take nothing of what is left for it for as long.
   * Default 120000, two minutes.
   */
  keepAliveTimeoutMs?: number
  /**
   * Ends the splice when it is aborted: both sides are reset, and it ends as `aborted`. Before it has begun, as while its
   * server is connected, the promise is rejected with an `AbortError` and the socket remains what it is. Default: it goes
   * on until either side ends, or the interface.
   */
  signal?: AbortSignal
}

/**
 * The server a socket is spliced to, and how. The program has decided, so no access list is asked. A special-purpose address,
 * an address of this host and a loopback address are denied with `ERR_FAITH_DENIED`, unless `allowAny` is `true`:
 * {@link FaithRouteServer} says which addresses these are.
 *
 * @group Listener and sockets
 */
export interface FaithSpliceServer extends FaithSpliceOptions {
  /**
   * An IPv4 address; an IPv6 address without scope or brackets, and not an IPv4-mapped one; or a host name, whose first IPv4
   * address is taken, looked up as `dns.lookup` does.
   */
  host: string
  /** Its port, 1 to 65535. */
  port: number
  /**
   * Whether the server may have any address: a private or another special-purpose one, one of this host's own, or a loopback
   * one. Set it where clients cannot choose `host`. Default `false`.
   */
  allowAny?: boolean
  /**
   * The address of this host that the connection comes from, of the same family as `host`. Default: what the routing table
   * chooses.
   */
  localAddress?: string
  /**
   * The version of the PROXY protocol in which the server is told the client's IPv6 address and the one it dialled.
   * Default: it is not told.
   */
  proxyProtocol?: 1 | 2
  /** How long the server may take to answer, in milliseconds. Default 10000. */
  connectTimeoutMs?: number
}

/**
 * A splice that has ended.
 *
 * @group Listener and sockets
 */
export interface FaithSpliceEnd {
  /** Bytes carried from the client to the server, those included that JavaScript had read and not consumed. */
  bytesUp: number
  /** Bytes carried from the server to the client; what JavaScript wrote before is not among them. */
  bytesDown: number
  /** How it ended: `closed` when both sides had said all they had to say. */
  reason: FaithSessionEndReason
  /** From when Rust had both connections to the end, in milliseconds. */
  durationMs: number
}

/**
 * A splice, from the call of `spliceTo()` of a {@link FaithSocket} on: the promise of its end, with its state so far. What `then()`,
 * `catch()` and `finally()` return is a promise without that.
 *
 * @group Listener and sockets
 */
export interface FaithSplice extends Promise<FaithSpliceEnd> {
  /**
   * Resolves when the splice begins: the server is connected, what was written before is sent, and Node is done with the
   * sockets. Rejects as the splice itself does where that does not begin; a rejection that no code handles here is no
   * unhandled rejection.
   */
  readonly connected: Promise<void>
  /** Bytes carried from the client to the server so far; 0 before it begins, and all of them after its end. */
  readonly bytesUp: number
  /** Bytes carried from the server to the client so far, likewise. */
  readonly bytesDown: number
  /**
   * Ends it as its `signal` does: both sides are reset, and it ends as `aborted`. Before it has begun, the promise is
   * rejected with an `AbortError` and the socket remains what it is. After its end it does nothing.
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

/** A server to connect to, or a socket, and what the splice goes by. */
interface Target {
  server: (NamedServer & { connectTimeoutMs: number }) | Socket
  timeouts: { idleTimeoutMs: number; keepAliveTimeoutMs: number }
  signal: AbortSignal | undefined
}

/** A splice that has begun. It is no promise itself, so as not to be waited for where it begins. */
interface Begun {
  ended: ReturnType<NativeInterface['splice']>
}

/** A captured socket that is to be spliced. */
interface Captured {
  faith: NativeInterface
  connection: NativeConnection
  socket: Socket
  /** Whether the socket still has that connection. */
  isCaptured: boolean
}

/** One splice, until it has begun and until it has ended. */
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

  /** Connects and begins. */
  async begin(to: unknown, options: unknown): Promise<Begun> {
    if (!this.#captured.isCaptured) throw notCaptured()
    const { server, timeouts, signal } = readTarget(to, options)
    if (server === this.#captured.socket) throw wrong('a socket cannot be spliced to itself')
    if (signal?.aborted) throw new AbortError(signal)
    this.#forgetSignal = signal && onAbort(signal, () => this.abort(signal.reason))
    return await this.#splice(server, timeouts)
  }

  /** Waits for its end. */
  async end(begun: Promise<Begun>): Promise<FaithSpliceEnd> {
    try {
      const { bytesUp, bytesDown, durationMs, reason } = unwrap(await (await begun).ended)
      return { bytesUp, bytesDown, reason: toSessionEndReason(reason), durationMs }
    } finally {
      this.#forgetSignal?.()
    }
  }

  /** Takes what is to be spliced from Node, and begins. */
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
      // Nothing may come between here and the end of the sockets: neither a byte to be read nor one to be written.
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
      // What was stopped failed in some way of its own.
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

  /** What comes of `work`, unless the splice is aborted before. */
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

/** @internal Splices a captured socket to its end. Whatever is wrong rejects the promise. */
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
  if (options !== undefined) throw wrong('the options of a server are given with it')
  const read = new OptionReader(CALL, TO_SERVER, target)
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

function wrong(message: string): FaithError {
  return new FaithError('ERR_FAITH_ARGUMENT', `${CALL}: ${message}`)
}
