/**
 * Relays whose connections JavaScript sends on their way, or takes itself.
 *
 * Theory of operation: the addon holds the client's SYN and asks, many questions to a call, each by its number. Every
 * one gets exactly one answer of ours: what `route` said, or, if that came to nothing, none, which refuses the client.
 * A question that the addon withdraws, because its client has gone, gets none, and neither do those that are open when the
 * relay closes. The addon keeps the same time limit by itself, so that a busy event loop leaves no client hanging; what is answered
 * after it is for nobody. Ours is there so that whoever wrote the route hears of it.
 */
import type { FaithEndpoint, FaithDestination } from './endpoint.js'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import type { NativeQuestion, NativeRelay, NativeVerdict } from './native.js'
import { type OptionNames, OptionReader, show } from './option-reader.js'
import {
  IDLE_MS,
  OUTGOING_OPTIONS,
  readOutgoing,
  readServer,
  resolve,
  SERVER_OPTIONS,
} from './server.js'
import { requireSockets } from './socket.js'

/**
 * A connection whose way a {@link FaithRoute} decides; its client still waits for the answer to its SYN.
 *
 * @group Relay and route
 */
export interface FaithRouteConnection {
  /** Counts up; the `session` or `refused` event of the connection, and {@link FaithRelay.sessions}, have the same `id`. */
  readonly id: number
  /** The client. */
  client: FaithEndpoint
  /** What the client dialled, and the server that `mappings` and `mapping` find in it, if they find one. */
  destination: FaithDestination
  /**
   * Aborted when the verdict is not needed any more: the client has gone, `routeTimeoutMs` is over, or the relay closes; its
   * `reason` is an error that says which. It is not aborted once the route has given its verdict.
   */
  readonly signal: AbortSignal
}

/**
 * How a connection is carried, where a verdict says other than the relay.
 *
 * @group Relay and route
 */
export interface FaithRouteOptions {
  /**
   * The address of this host that the connection comes from, of the server's family: IPv4 with `proceed`. Default: the one
   * that the deciding rule of the access list names, where the rules decide, or else one of the relay's `localAddresses`.
   */
  localAddress?: string
  /** The version of the PROXY protocol in which the server is told of the client. Default: as the relay's. */
  proxyProtocol?: 1 | 2
  /** How long the session may carry nothing, in milliseconds; 0 for ever. Default: the relay's `idleTimeoutMs`. */
  idleTimeoutMs?: number
  /**
   * How many bytes the session may carry, both directions together, 1 to 2^53 - 1. When it has carried more, client and
   * server are reset, and it ends as `max-bytes`. It is measured as the kernel moves bytes, so a fast
   * session may carry some MiB more. Default: any number.
   */
  maxBytes?: number
  /**
   * A mark that `session` and `refused` events and `relay.sessions()` give back as `tag`: a string of at most 256 bytes in
   * UTF-8. Default: none.
   */
  tag?: string
}

/**
 * A connection goes to the IPv4 server that the address means, as mappings, access list and limits of the relay decide: the same as
 * `undefined`, but with options.
 *
 * @group Relay and route
 */
export interface FaithRouteProceed extends FaithRouteOptions {
  /** Always `true`. */
  proceed: true
  /** Tells it from a {@link FaithRouteServer}. */
  host?: never
  /** Tells it from a {@link FaithRouteReject}. */
  reject?: never
  /** Tells it from a {@link FaithRouteSocket}. */
  socket?: never
}

/**
 * A connection goes to this server. The route has decided, so no rule of the access list denies it. But a client must not
 * reach the router or its private networks because a route passed on the address that the client dialled. So the client is
 * denied a special-purpose address (cause `special-purpose`), an address of this host (`own-address`) and a loopback
 * address without `allowLoopback` (`loopback`), unless a rule of the access list opens it to that client, or `allowAny` is
 * `true`.
 *
 * The same holds for IPv6 servers, which no rule can open: special-purpose blocks are those that IANA's registry does not
 * call globally reachable, and multicast; `::1` and `::` are loopback addresses. An address inside a prefix that this
 * process captures counts as one of this host, because the connection would come back. An address that stands for an IPv4
 * one, in `64:ff9b::/96` or `2002::/16`, is judged by that one too, and rules open it as they open that one.
 *
 * @group Relay and route
 */
export interface FaithRouteServer extends FaithRouteOptions {
  /**
   * The server: an IPv4 address; an IPv6 address without scope or brackets, and not an IPv4-mapped one; or a host name,
   * whose first IPv4 address is taken. Names are looked up as `dns.lookup` does, within `routeTimeoutMs`.
   */
  host: string
  /** Its port, 1 to 65535. */
  port: number
  /**
   * Whether the server may have any address: a private or another special-purpose one, one of this host's own, or a loopback
   * one. Set it where clients cannot choose `host`. Default `false`.
   */
  allowAny?: boolean
  /** Tells it from a {@link FaithRouteProceed}. */
  proceed?: never
  /** Tells it from a {@link FaithRouteReject}. */
  reject?: never
  /** Tells it from a {@link FaithRouteSocket}. */
  socket?: never
}

/**
 * A connection goes nowhere.
 *
 * @group Relay and route
 */
export interface FaithRouteReject {
  /**
   * What the client is told.
   *
   * | reject | on the wire | the client's error | `reason` of the session |
   * |---|---|---|---|
   * | `refused` | RST | `ECONNREFUSED` | `refused` |
   * | `unreachable` | ICMPv6 address unreachable | `EHOSTUNREACH` | `unreachable` |
   * | `prohibited` | ICMPv6 administratively prohibited | `EACCES` | `denied` |
   * | `drop` | nothing | `ETIMEDOUT`, after its last SYN | `denied` |
   *
   * A client whose handshake was answered first, for want of `connectFirst` or of room within `maxHeld`, was told that it
   * is connected, and is reset. A client without room within `maxHeldPerClient` waits with its SYN instead, while the
   * route takes its time. A dropped client sends its SYN again for two minutes or so, of which the route is not asked.
   */
  reject: 'refused' | 'unreachable' | 'prohibited' | 'drop'
  /** As {@link FaithRouteOptions.tag}; the `refused` event gives it back. */
  tag?: string
  /** Tells it from a {@link FaithRouteProceed}. */
  proceed?: never
  /** Tells it from a {@link FaithRouteServer}. */
  host?: never
  /** Tells it from a {@link FaithRouteSocket}. */
  socket?: never
}

/**
 * A connection is this program's: it is accepted, and comes to the `connection` event of {@link FaithRelayEvents} as a
 * {@link FaithSocket}, like those of a listener. No server is connected.
 *
 * It is no session. Neither the access list nor the limits of the relay are asked, nor is it counted by them; it is told
 * by no `session` event, and `stats().handedOver` counts it. When the relay closes it lives on, for as long as the
 * interface does. Where nobody listens to `connection`, this is no verdict, and the client is refused.
 *
 * @group Relay and route
 */
export interface FaithRouteSocket {
  /** Always `true`. */
  socket: true
  /** Tells it from a {@link FaithRouteProceed}. */
  proceed?: never
  /** Tells it from a {@link FaithRouteServer}. */
  host?: never
  /** Tells it from a {@link FaithRouteReject}. */
  reject?: never
}

const REJECTS: readonly FaithRouteReject['reject'][] = [
  'refused',
  'unreachable',
  'prohibited',
  'drop',
]

/**
 * What becomes of a connection.
 *
 * @group Relay and route
 */
export type FaithRouteVerdict =
  FaithRouteProceed | FaithRouteServer | FaithRouteReject | FaithRouteSocket

const ROUTE_OPTIONS: OptionNames<FaithRouteOptions> = {
  ...OUTGOING_OPTIONS,
  idleTimeoutMs: true,
  maxBytes: true,
  tag: true,
}
const OPTIONS = Object.keys(ROUTE_OPTIONS) as (keyof FaithRouteOptions)[]
const VERDICT: OptionNames<FaithRouteServer> = {
  ...SERVER_OPTIONS,
  ...ROUTE_OPTIONS,
  proceed: true,
  reject: true,
  socket: true,
}
const BYTES = { min: 1, max: Number.MAX_SAFE_INTEGER }
const LONGEST_TAG = 256

/**
 * Decides where a connection goes; `undefined` leaves it to the relay's mappings and access list, as
 * `{ proceed: true }` does.
 *
 * Questions are put side by side, however long each takes, up to `maxUndecided`. Meanwhile the client waits: the relay
 * holds its SYN and answers nothing. A route that throws, rejects, does not answer within
 * `routeTimeoutMs` or answers what is no verdict refuses that client alone, and is reported: see the `error` event of
 * {@link FaithRelayEvents}.
 *
 * @group Relay and route
 */
export type FaithRoute = (
  connection: FaithRouteConnection,
) => FaithRouteVerdict | undefined | Promise<FaithRouteVerdict | undefined>

/** @internal What a {@link Router} needs of the addon. */
export type Answering = Pick<NativeRelay, 'answer'>

/** @internal What a {@link Router} needs of the relay. */
export interface Routed {
  /** Whether somebody takes connections. */
  isHeard(): boolean
  report(error: FaithError): void
}

/** @internal Puts the questions of one relay to its route, and hands on the answers. */
export class Router {
  readonly #route: FaithRoute
  readonly #timeoutMs: number
  readonly #relay: Answering
  readonly #routed: Routed
  /** The connections whose clients wait for the verdict, by their ids. */
  readonly #open = new Map<number, Undecided>()
  #closed = false

  constructor(route: FaithRoute, timeoutMs: number, relay: Answering, routed: Routed) {
    this.#route = route
    this.#timeoutMs = timeoutMs
    this.#relay = relay
    this.#routed = routed
  }

  /** Asks for each. Returns at once; nothing is thrown, whatever becomes of them. */
  ask(questions: readonly NativeQuestion[]): void {
    if (this.#closed) return
    for (const question of questions) void this.#settle(new Undecided(question))
  }

  /** Answers and reports these no more: their clients have gone. */
  withdraw(ids: readonly number[]): void {
    for (const id of ids) this.#drop(id, 'the client has gone')
  }

  /** Answers and reports no more: no client waits. */
  close(): void {
    this.#closed = true
    for (const id of this.#open.keys()) this.#drop(id, 'the relay is closed')
  }

  #drop(id: number, why: string): void {
    const connection = this.#open.get(id)
    this.#open.delete(id)
    if (connection !== undefined) Undecided.abort(connection, new Error(why))
  }

  async #settle(connection: Undecided): Promise<void> {
    const { id } = connection
    this.#open.set(id, connection)
    try {
      const verdict = await this.#withinLimit(connection)
      if (verdict.socket) requireSockets('route')
      if (verdict.socket && !this.#routed.isHeard()) throw unheard()
      if (this.#open.has(id)) unwrap(this.#relay.answer(id, verdict))
    } catch (cause) {
      if (!this.#open.has(id)) return
      this.#relay.answer(id, null)
      this.#routed.report(routeError(connection, cause))
    } finally {
      this.#open.delete(id)
    }
  }

  async #decide(connection: FaithRouteConnection): Promise<NativeVerdict> {
    // Called on its own, so that the router is not its `this`.
    const route = this.#route
    return await readVerdict(await route(connection))
  }

  async #withinLimit(connection: Undecided): Promise<NativeVerdict> {
    const limit = this.#timeoutMs
    const late = (): Error => {
      const error = new Error(`no answer within ${limit} ms`)
      Undecided.abort(connection, error)
      return error
    }
    const began = performance.now()
    let timer: NodeJS.Timeout | undefined
    const over = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(late()), limit).unref()
    })
    try {
      const decision = await Promise.race([this.#decide(connection), over])
      // One that blocks the event loop keeps the timer from going off.
      if (performance.now() - began > limit) throw late()
      return decision
    } finally {
      clearTimeout(timer)
    }
  }
}

/** A connection that waits for its verdict. The route sees it as {@link FaithRouteConnection}. */
class Undecided implements FaithRouteConnection {
  readonly id: number
  readonly client: FaithEndpoint
  readonly destination: FaithDestination
  /** Made when a route asks for it: most do not, and it costs as much as all the rest. */
  #controller: AbortController | undefined
  #reason: Error | undefined

  constructor(question: NativeQuestion) {
    this.id = question.id
    this.client = { address: question.client, port: question.clientPort }
    this.destination = { address: question.destination, port: question.destinationPort }
    const { ipv4, ipv4Port } = question
    if (ipv4 !== undefined) this.destination.ipv4 = ipv4
    if (ipv4Port !== undefined) this.destination.ipv4Port = ipv4Port
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Aborts its signal; no method of its own, because the route has the object. */
  static abort(connection: Undecided, reason: Error): void {
    connection.#reason ??= reason
    connection.#controller?.abort(reason)
  }
}

/** @internal What a route answered, checked, as the addon takes it, with the address for the name. */
export async function readVerdict(answer: unknown): Promise<NativeVerdict> {
  if (answer === undefined) return {}
  if (typeof answer !== 'object' || answer === null) {
    const message = `the verdict must be an object or undefined, got ${show(answer)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  const read = new OptionReader('the verdict', VERDICT, answer)
  // One that says two things is a mistake, and not to be taken for either.
  if (read.unchecked('reject') !== undefined) {
    read.alone('reject', 'tag')
    return { reject: read.oneOf('reject', REJECTS), ...readTag(read) }
  }

  if (read.unchecked('socket') !== undefined) {
    requireTrue(read, 'socket')
    read.alone('socket')
    return { socket: true }
  }

  if (read.unchecked('proceed') !== undefined) {
    requireTrue(read, 'proceed')
    read.alone('proceed', ...OPTIONS)
    const outgoing = readOutgoing(read, 4, 'the server that the dialled address means')
    return { ...outgoing, ...readLimits(read), ...readTag(read) }
  }

  const server = readServer(read)
  const options = { ...readLimits(read), ...readTag(read) }
  return { ...(await resolve(server)), ...options }
}

type VerdictReader = OptionReader<keyof FaithRouteServer>

function requireTrue(read: VerdictReader, name: 'proceed' | 'socket'): void {
  const given = read.boolean(name, true)
  if (!given) throw read.refuse(name, 'true', given)
}

function readLimits(read: VerdictReader): Pick<NativeVerdict, 'idleTimeoutMs' | 'maxBytes'> {
  const limits: Pick<NativeVerdict, 'idleTimeoutMs' | 'maxBytes'> = {}
  if (read.unchecked('idleTimeoutMs') !== undefined) {
    limits.idleTimeoutMs = read.integer('idleTimeoutMs', IDLE_MS)
  }
  if (read.unchecked('maxBytes') !== undefined) limits.maxBytes = read.integer('maxBytes', BYTES)
  return limits
}

function readTag(read: VerdictReader): { tag?: string } {
  if (read.unchecked('tag') === undefined) return {}
  const tag = read.string('tag')
  const bytes = Buffer.byteLength(tag)
  if (bytes <= LONGEST_TAG) return { tag }
  throw read.refuse('tag', `a string of at most ${LONGEST_TAG} bytes`, `${bytes} bytes`)
}

/** @internal The error of connections that nobody takes. */
export function unheard(): FaithError {
  return new FaithError('ERR_FAITH_ARGUMENT', 'nobody takes connections', {
    hint: "listen to the relay's `connection` event",
  })
}

/** @internal What a client was refused for. */
export function routeError(
  { client, destination }: Record<'client' | 'destination', FaithEndpoint>,
  cause: unknown,
): FaithError {
  const which = [client, destination]
    .map(({ address, port }) => `[${address}]:${port}`)
    .join(' to ')
  const why = cause instanceof Error ? cause.message : `${show(cause)} was thrown`
  return new FaithError('ERR_FAITH_ROUTE', `route: refused ${which}: ${why}`, {
    hint: cause instanceof FaithError ? cause.hint : undefined,
    cause,
  })
}
