/**
 * Relays for whose connections JavaScript decides, or which it takes itself.
 *
 * Theory of operation: the addon holds the client's SYN, or its first datagrams, and asks, many questions to a call, each
 * by its number. The router gives each question exactly one answer: the verdict of `route`, or `null` if there is none,
 * which refuses the client. Questions that the addon withdraws, because their clients are gone, get no answer, and neither do those that are open
 * when the relay closes. The addon has the same time limit, so a busy event loop leaves no client waiting, and a late
 * answer has no effect. The router's own limit is there to report a slow `route` to the program.
 */
import { isIPv6 } from 'node:net'
import type { FaithEndpoint, FaithDestination } from './endpoint.js'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import type { NativeQuestion, NativeRelay, NativeVerdict } from './native.js'
import { type OptionNames, OptionReader, show } from './option-reader.js'
import { type FaithProtocol, toProtocol } from './protocol.js'
import {
  IDLE_MS,
  OUTGOING_OPTIONS,
  readOutgoing,
  readServer,
  resolve,
  SERVER_OPTIONS,
} from './server.js'
import { requireSockets } from './socket.js'
import { Asked, withinLimit } from './within.js'

/**
 * A connection about which a {@link FaithRoute} decides, or a session of datagrams. The client of a connection usually still
 * waits for the answer to its SYN. The first four datagrams of a session wait, and the relay drops further ones.
 *
 * @group Relay and route
 */
export interface FaithRouteConnection {
  /** A number that counts up. The connection's `session` or `refused` event and {@link FaithRelay.sessions} have the same. */
  readonly id: number
  /** `tcp`, or `udp` or `icmp` for datagrams and pings. */
  readonly protocol: FaithProtocol
  /** The client. The identifier of pings takes the place of its port. */
  client: FaithEndpoint
  /**
   * The address and port that the client dialled, and the IPv4 server by `mappings` and `mapping`, if they find one. Pings have
   * port 0.
   */
  destination: FaithDestination
  /**
   * A signal that is aborted when the verdict is no longer needed: the client is gone, `routeTimeoutMs` is over, or the
   * relay closes. Its `reason` is an error that says which. It is not aborted after the route has given its verdict.
   */
  readonly signal: AbortSignal
}

/**
 * Settings of a verdict for one connection. Each replaces the relay's own. Datagrams take neither `privilegedLocalPort` nor
 * `proxyProtocol`.
 *
 * @group Relay and route
 */
export interface FaithRouteOptions {
  /**
   * The address of this host that the connection comes from, of the server's family: IPv4 with `proceed`. Default: with
   * `proceed`, the address that the deciding rule of the access list names; otherwise, or if it names none, one of the
   * relay's `localAddresses`.
   */
  localAddress?: string
  /** `true` connects from a privileged port, 600 to 1023, as `privilegedLocalPort` of a relay does. Default: the relay's. */
  privilegedLocalPort?: boolean
  /** The version of the PROXY protocol that tells the server the client's address. Default: the relay's. */
  proxyProtocol?: 1 | 2
  /**
   * Longest time that the session may carry no byte, in milliseconds; 0 is no limit. Default: the relay's `idleTimeoutMs`. A
   * session of datagrams counts from the client's last one, and its default is that of `udp`.
   */
  idleTimeoutMs?: number
  /**
   * Most bytes that the session may carry, in both directions together, 1 to 2^53 - 1. When it has carried more, the relay
   * resets client and server, and the session ends as `max-bytes`. The relay counts after the kernel has moved bytes, so a
   * fast session may carry some MiB more. Default: no limit.
   */
  maxBytes?: number
  /**
   * A mark that `session` and `refused` events and `relay.sessions()` give back as `tag`: a string of at most 256 bytes in
   * UTF-8. Default: none.
   */
  tag?: string
}

/**
 * A verdict: the connection goes to the IPv4 server that the dialled address maps to, if the relay's access list and limits
 * permit it. This is the same as `undefined`, but with options.
 *
 * @group Relay and route
 */
export interface FaithRouteProceed extends FaithRouteOptions {
  /** Always `true`. */
  proceed: true
  /** Distinguishes it from a {@link FaithRouteServer}. */
  host?: never
  /** Distinguishes it from a {@link FaithRouteReject}. */
  reject?: never
  /** Distinguishes it from a {@link FaithRouteSocket}. */
  socket?: never
}

/**
 * A verdict: the connection proceeds as with {@link FaithRouteProceed}, and this program stands between client and server.
 *
 * The relay judges the connection, connects its server and joins them as for any session. But it emits the `connection`
 * event with a {@link FaithSocket} for the client, whose `upstream` is the connected server. The program gets every byte of
 * either, and passes on what it wants to: an FTP gateway or a filter, for example. Both sockets stay open until the program
 * ends them: it passes ends and errors on. `socket.spliceTo(socket.upstream)` has Rust carry the rest.
 *
 * The session counts towards the limits, is in {@link FaithRelay.sessions}, has a record, and ends when the socket does. Its
 * `idleTimeoutMs`, `maxBytes` and bytes are those of the client's side. The session takes two more descriptors, and a pair
 * of sockets over 127.0.0.1. If the relay has no `connection` listener, the verdict is an error, and the client is refused.
 * Datagrams cannot have it.
 *
 * @group Relay and route
 */
export interface FaithRouteBetween extends FaithRouteOptions {
  /** Always `true`. */
  proceed: true
  /** Always `true`. */
  socket: true
  /** Distinguishes it from a {@link FaithRouteServer}. */
  host?: never
  /** Distinguishes it from a {@link FaithRouteReject}. */
  reject?: never
}

/**
 * A verdict: the connection goes to this server. The route has decided, so no rule of the access list denies it. But a
 * client must not reach the router or its private networks because a route passed on the address that the client dialled.
 * So the relay denies a special-purpose address (cause `special-purpose`), an address of this host (`own-address`) and,
 * without `allowLoopback`, a loopback address (`loopback`). A rule of the access list that opens the address to the client
 * permits it, and so does `allowAny: true`.
 *
 * The same holds for IPv6 servers, which no rule can open. Special-purpose blocks are those that IANA's registry does not
 * call globally reachable, and multicast. `::1` and `::` are loopback addresses. An address inside a prefix that this
 * process captures counts as one of this host, because the connection would come back. An address in `64:ff9b::/96` or
 * `2002::/16`, which stands for an IPv4 address, is judged by that address too, and rules that open that address open it.
 *
 * Datagrams go to IPv4 servers alone. Their client sees the answers come from the address and port that it dialled. Pings
 * ignore `port`.
 *
 * @group Relay and route
 */
export interface FaithRouteServer extends FaithRouteOptions {
  /**
   * The server: an IPv4 address; an IPv6 address without scope or brackets that is not IPv4-mapped; or a host name, of
   * which the relay takes the first IPv4 address. It looks names up as `dns.lookup` does, within `routeTimeoutMs`.
   */
  host: string
  /** The server's port, 1 to 65535. */
  port: number
  /**
   * `true` lets the server have any address: a private or other special-purpose one, one of this host's own, or a loopback
   * one. Set it only if clients cannot choose `host`. Default `false`.
   */
  allowAny?: boolean
  /** Distinguishes it from a {@link FaithRouteProceed}. */
  proceed?: never
  /** Distinguishes it from a {@link FaithRouteReject}. */
  reject?: never
  /** Distinguishes it from a {@link FaithRouteSocket}. */
  socket?: never
}

/**
 * A verdict: the connection is refused.
 *
 * @group Relay and route
 */
export interface FaithRouteReject {
  /**
   * The answer to the client.
   *
   * | reject | on the wire | the client's error | `reason` of the refusal |
   * |---|---|---|---|
   * | `refused` | RST; for UDP, ICMPv6 port unreachable | `ECONNREFUSED` | `refused` |
   * | `unreachable` | ICMPv6 address unreachable | `EHOSTUNREACH` | `unreachable` |
   * | `prohibited` | ICMPv6 administratively prohibited | `EACCES` | `denied` |
   * | `drop` | nothing | `ETIMEDOUT`, after its last SYN | `denied` |
   *
   * A client whose handshake was completed before the verdict, because `connectFirst` is off or `maxHeld` SYNs were held,
   * is reset. A client beyond `maxHeldPerClient` usually waits instead: its SYN gets no answer while the route decides about
   * its other SYNs. A dropped client repeats its SYN for about two minutes, without a new question to the route. The next
   * datagram of a refused client is a new question.
   */
  reject: 'refused' | 'unreachable' | 'prohibited' | 'drop'
  /** The same as {@link FaithRouteOptions.tag}. The `refused` event gives it back. */
  tag?: string
  /** Distinguishes it from a {@link FaithRouteProceed}. */
  proceed?: never
  /** Distinguishes it from a {@link FaithRouteServer}. */
  host?: never
  /** Distinguishes it from a {@link FaithRouteSocket}. */
  socket?: never
}

/**
 * A verdict: this program takes the connection. The relay accepts it and emits it as a {@link FaithSocket} by the
 * `connection` event of {@link FaithRelayEvents}, like a listener. It connects no server.
 *
 * Such a connection is no session. The relay's access list and limits do not apply to it and do not count it. It has no
 * `session` event; `stats().handedOver` counts it. It survives the relay's close, until the interface closes. If the relay
 * has no `connection` listener, the verdict is an error, and the client is refused. Datagrams cannot have it:
 * {@link FaithInterface.bindUdp} takes those.
 *
 * @group Relay and route
 */
export interface FaithRouteSocket {
  /** Always `true`. */
  socket: true
  /** Distinguishes it from a {@link FaithRouteProceed}. */
  proceed?: never
  /** Distinguishes it from a {@link FaithRouteServer}. */
  host?: never
  /** Distinguishes it from a {@link FaithRouteReject}. */
  reject?: never
}

const REJECTS: readonly FaithRouteReject['reject'][] = [
  'refused',
  'unreachable',
  'prohibited',
  'drop',
]

/**
 * The decision of a route about a connection.
 *
 * @group Relay and route
 */
export type FaithRouteVerdict =
  FaithRouteProceed | FaithRouteBetween | FaithRouteServer | FaithRouteReject | FaithRouteSocket

const ROUTE_OPTIONS: OptionNames<FaithRouteOptions> = {
  ...OUTGOING_OPTIONS,
  privilegedLocalPort: true,
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
 * Decides where a connection goes, or a session of datagrams. `undefined` leaves it to the relay's mappings and access
 * list, as `{ proceed: true }` does.
 *
 * The relay asks up to `maxUndecided` questions side by side, without waiting for earlier ones. Meanwhile the client waits:
 * the relay holds its SYN without an answer. If a route throws, rejects, gives no verdict within `routeTimeoutMs` or gives
 * an invalid one, the relay refuses that client alone and reports the failure; see the `error` event of
 * {@link FaithRelayEvents}.
 *
 * @group Relay and route
 */
export type FaithRoute = (
  connection: FaithRouteConnection,
) => FaithRouteVerdict | undefined | Promise<FaithRouteVerdict | undefined>

/** @internal The part of the addon that a {@link Router} needs. */
export type Answering = Pick<NativeRelay, 'answer'>

/** @internal The part of the relay that a {@link Router} needs. */
export interface Routed {
  /** Tells whether the relay has a `connection` listener. */
  isHeard(): boolean
  report(error: FaithError): void
}

/** @internal Puts the questions of one relay to its route, and passes the verdicts on. */
export class Router {
  readonly #route: FaithRoute
  readonly #timeoutMs: number
  readonly #relay: Answering
  readonly #routed: Routed
  /** The connections whose clients wait for the verdict, by id. */
  readonly #open = new Map<number, Undecided>()
  #closed = false

  constructor(route: FaithRoute, timeoutMs: number, relay: Answering, routed: Routed) {
    this.#route = route
    this.#timeoutMs = timeoutMs
    this.#relay = relay
    this.#routed = routed
  }

  /** Puts each question to the route. Returns at once and never throws. */
  ask(questions: readonly NativeQuestion[]): void {
    if (this.#closed) return
    for (const question of questions) void this.#settle(new Undecided(question))
  }

  /** Drops these questions, whose clients are gone: neither answers nor reports them. */
  withdraw(ids: readonly number[]): void {
    for (const id of ids) this.#drop(id, 'the client has gone')
  }

  /** Drops all questions, present and future: no client waits any more. */
  close(): void {
    this.#closed = true
    for (const id of this.#open.keys()) this.#drop(id, 'the relay is closed')
  }

  #drop(id: number, why: string): void {
    const connection = this.#open.get(id)
    this.#open.delete(id)
    if (connection !== undefined) Asked.abort(connection, new Error(why))
  }

  async #settle(connection: Undecided): Promise<void> {
    const { id } = connection
    this.#open.set(id, connection)
    try {
      const verdict = await withinLimit(this.#timeoutMs, connection, () => this.#decide(connection))
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
    // Calls it without a receiver, so that the router is not its `this`.
    const route = this.#route
    return await readVerdict(await route(connection), connection.protocol)
  }
}

/** A connection that waits for its verdict. The route gets it as a {@link FaithRouteConnection}. */
class Undecided extends Asked implements FaithRouteConnection {
  readonly id: number
  readonly protocol: FaithProtocol
  readonly client: FaithEndpoint
  readonly destination: FaithDestination

  constructor(question: NativeQuestion) {
    super()
    this.id = question.id
    this.protocol = toProtocol(question.protocol)
    this.client = { address: question.client, port: question.clientPort }
    this.destination = { address: question.destination, port: question.destinationPort }
    const { ipv4, ipv4Port } = question
    if (ipv4 !== undefined) this.destination.ipv4 = ipv4
    if (ipv4Port !== undefined) this.destination.ipv4Port = ipv4Port
  }
}

/** @internal Checks a route's answer, resolves its host name, and gives it the addon's shape. */
export async function readVerdict(
  answer: unknown,
  protocol: FaithProtocol = 'tcp',
): Promise<NativeVerdict> {
  if (answer === undefined) return {}
  if (typeof answer !== 'object' || answer === null) {
    const message = `the verdict must be an object or undefined, got ${show(answer)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  const read = new OptionReader('the verdict', VERDICT, answer)
  if (protocol !== 'tcp') refuseOfConnections(read, protocol)
  // A verdict that says two things is a mistake, so neither of them counts.
  if (read.unchecked('reject') !== undefined) {
    read.alone('reject', 'tag')
    return { reject: read.oneOf('reject', REJECTS), ...readTag(read) }
  }

  const isTaken = read.unchecked('socket') !== undefined
  if (isTaken) requireTrue(read, 'socket')
  if (read.unchecked('proceed') !== undefined) {
    requireTrue(read, 'proceed')
    read.alone('proceed', 'socket', ...OPTIONS)
    const outgoing = readOutgoing(read, 4, 'the server that the dialled address means')
    const between = isTaken ? { proceed: true, socket: true } : {}
    return { ...outgoing, ...readTerms(read), ...readTag(read), ...between }
  }

  if (isTaken) {
    read.alone('socket')
    return { socket: true }
  }

  if (read.unchecked('host') === undefined && read.unchecked('port') === undefined) {
    const message = 'the verdict has none of `proceed`, `host`, `reject`, `socket`'
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  const server = readServer(read)
  if (protocol !== 'tcp' && isIPv6(server.host)) {
    throw read.refuse('host', `an IPv4 server for ${protocol}`, server.host)
  }
  const options = { ...readTerms(read), ...readTag(read) }
  return { ...(await resolve(server)), ...options }
}

type VerdictReader = OptionReader<keyof FaithRouteServer>

/** Refuses the parts of a verdict that datagrams cannot have. */
function refuseOfConnections(read: VerdictReader, protocol: FaithProtocol): void {
  for (const name of ['socket', 'proxyProtocol', 'privilegedLocalPort'] as const) {
    if (read.unchecked(name) === undefined) continue
    const message = `the verdict: \`${name}\` is for connections of TCP, and this one is about ${protocol}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message, {
      hint: 'look at `protocol` of the connection',
    })
  }
}

function requireTrue(read: VerdictReader, name: 'proceed' | 'socket'): void {
  const given = read.boolean(name, true)
  if (!given) throw read.refuse(name, 'true', given)
}

function readTerms(
  read: VerdictReader,
): Pick<NativeVerdict, 'idleTimeoutMs' | 'maxBytes' | 'privilegedLocalPort'> {
  const terms: ReturnType<typeof readTerms> = {}
  if (read.unchecked('privilegedLocalPort') !== undefined) {
    terms.privilegedLocalPort = read.boolean('privilegedLocalPort', false)
  }
  if (read.unchecked('idleTimeoutMs') !== undefined) {
    terms.idleTimeoutMs = read.integer('idleTimeoutMs', IDLE_MS)
  }
  if (read.unchecked('maxBytes') !== undefined) terms.maxBytes = read.integer('maxBytes', BYTES)
  return terms
}

function readTag(read: VerdictReader): { tag?: string } {
  if (read.unchecked('tag') === undefined) return {}
  const tag = read.string('tag')
  const bytes = Buffer.byteLength(tag)
  if (bytes <= LONGEST_TAG) return { tag }
  throw read.refuse('tag', `a string of at most ${LONGEST_TAG} bytes`, `${bytes} bytes`)
}

/** @internal The error of a connection for which the relay has no `connection` listener. */
export function unheard(): FaithError {
  return new FaithError('ERR_FAITH_ARGUMENT', 'the relay has no `connection` listener', {
    hint: "listen to the relay's `connection` event",
  })
}

/** @internal The error that reports a client refused because its route failed. */
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
