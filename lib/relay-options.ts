/** How a relay works: its options, read once, at the public edge, into what the addon takes. */
import { isIPv4 } from 'node:net'
import { type AccessList, accessListText, LIST } from './access-list.js'
import { readAddress } from './listener.js'
import { MAPPING_OPTIONS, type MappingOptions, readMappings } from './mapping.js'
import type { NativeRelayOptions } from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import { PORT_OPTIONS, type PortOptions, readPorts } from './ports.js'
import type { FaithRoute } from './route.js'
import {
  CONNECT_OPTIONS,
  LASTING_OPTIONS,
  readConnectTimeout,
  readLastingTimeouts,
} from './server.js'

/**
 * How a relay captures, judges and carries connections: everything but its ports. Every duration is in milliseconds, and
 * its name ends in `Ms`.
 *
 * @group Relay and route
 */
export interface FaithRelaySettings extends MappingOptions {
  /** One address inside a prefix of the interface. Default: every address of every prefix. */
  address?: string
  /** How many connections may wait to be accepted, 1 to 65535, as in listen(2). Default 4096. */
  backlog?: number

  /** Who may be relayed where. Default: every client, to public addresses. */
  accessList?: AccessList
  /** Whether 127.0.0.0/8, the router's own loopback, may be a destination. Default `false`. */
  allowLoopback?: boolean

  /**
   * Whether the server is connected before the client's handshake is answered, so that a refusal, an unreachable
   * server or a denial reaches the client as itself. Default `true`.
   */
  connectFirst?: boolean
  /**
   * How many SYNs may be held while their servers are connected, 1 to 4294967295; further ones are answered at once,
   * and their servers are connected when the client has completed its handshake. They get half of the descriptors that the
   * process may open at most: `relay.stats().maxHeld` says how many there may be. Default 4096, and with a `route` those
   * of `maxUndecided` besides.
   */
  maxHeld?: number
  /**
   * How many of them may come from one client; further ones are answered at once. While `route` has not decided about half
   * of them or more, further ones are dropped instead: the client's kernel sends them again after 1, 3 and 7 seconds, and
   * so they wait until the route has decided. Default 256, and with a `route` those of `maxUndecided` besides.
   */
  maxHeldPerClient?: number
  /** How long a server may take to answer, in milliseconds. Default 10000. */
  connectTimeoutMs?: number
  /** How long a session may carry nothing, in milliseconds; 0 for ever. Default 1800000, half an hour. */
  idleTimeoutMs?: number
  /**
   * Declare a silent peer dead after this long: a client or a server that leaves keep-alive probes unanswered, in
   * milliseconds, 2000 to 64800000; kept to the second. When one side has reset, the other may take nothing of what is
   * left for it for as long. Default 120000, two minutes.
   */
  keepAliveTimeoutMs?: number

  /**
   * How many sessions there may be at once; 0 (default) for any number. A client takes its place when it has completed
   * its handshake: held SYNs, which may be forged, take none. So a client that finds no place is refused, or is reset
   * right after it was connected where others took the last places in between.
   */
  maxSessions?: number
  /** How many sessions one client may have at once, counted likewise; 0 (default) for any number. */
  maxSessionsPerClient?: number
  /**
   * How many sessions one client may begin per second, counted likewise; 0 (default) for any number. As many of its SYNs
   * are held per second; further ones are answered at once.
   */
  maxRatePerClient?: number
  /**
   * How many leading bits of their IPv6 addresses make two clients one for `maxSessionsPerClient`, `maxRatePerClient`
   * and `maxHeldPerClient`, and have one of `localAddresses`, 0 to 128. Default 64, what one subscriber has (RFC 6177).
   */
  clientPrefixLength?: number

  /**
   * The version of the PROXY protocol in which the server is told the client's IPv6 address and the one it dialled.
   * Default: it is not told.
   */
  proxyProtocol?: 1 | 2
  /**
   * IPv4 addresses of this host that connections come from, where the access list names none. Default: what the routing
   * table chooses.
   *
   * A client, which is a network of `clientPrefixLength` bits, keeps one of them (RFC 6888 REQ-2), also after the relay
   * was opened anew. When that one has no port left towards a server, or is not the host's any more, the connection
   * comes from the next address in the client's own order, and `stats().localAddressFallbacks` counts it. Each address has
   * the ports of `net.ipv4.ip_local_port_range` towards each server. All clients share each address's ports towards a
   * server.
   */
  localAddresses?: readonly string[]
  /**
   * Whether connections come from a port below 1024, as rsh and old NFS servers ask for; it needs CAP_NET_BIND_SERVICE.
   * Each local address has 424 such ports towards each server, 600 to 1023 (rresvport(3)), less those that local programs
   * listen on. Default `false`.
   */
  privilegedLocalPort?: boolean
  /** Whether what goes to the server has the DSCP (RFC 2474) of the client's SYN. Default `false`. */
  copyDscp?: boolean

  /**
   * Decides, for each connection, where it goes or how it is turned away, while its SYN is held; or that this program
   * has it itself. Default: mappings and
   * access list decide, and no JavaScript runs per connection.
   *
   * ```ts
   * const tenants = new Map([['2001:db8:1::7', { gateway: '10.0.0.7' }]])
   * const relay = await faith.relay({
   *   ports: 'all',
   *   route: async ({ client, destination }) => {
   *     if (destination.port === 25) return { reject: 'prohibited' }
   *     if (destination.port === 79) return { socket: true }
   *     const tenant = tenants.get(client.address)
   *     if (tenant === undefined) return undefined
   *     // The gateway has a private address, and no client chooses it.
   *     return { host: tenant.gateway, port: destination.port, allowAny: true, proxyProtocol: 2 }
   *   },
   * })
   * relay.on('connection', (socket) => {
   *   socket.on('error', () => socket.destroy()).resume()
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.end(`nobody is at ${socket.destination.ipv4}\n`)
   * })
   * relay.on('error', (error) => console.error(error.message, error.cause))
   * ```
   */
  route?: FaithRoute
  /**
   * How long `route` may take over one connection, in milliseconds, 1 to 2147483647. Default 5000. Forged SYNs keep a
   * place among `maxUndecided` for that long, and clients past it are answered before the route has decided.
   */
  routeTimeoutMs?: number
  /**
   * How many SYNs may wait for `route` at once, 1 to 4294967295. The clients of further ones are answered first, which
   * proves that their SYNs are not forged, and then wait for the route: as many again, and further ones are reset and end
   * as `limit`. Default 1024 for every 5 seconds of `routeTimeoutMs`, 16384 at the most: about 200 new connections a second,
   * if each takes its time.
   */
  maxUndecided?: number

  /**
   * Whether `session` and `refused` events are emitted, and told on the channels `faithd:session` and `faithd:refused`.
   * Default `true`. A relay for very many short sessions is faster without, and {@link FaithRelay.stats} counts them all
   * the same.
   */
  sessionEvents?: boolean

  /** Closes the relay when it is aborted, as `close()` does without drain. Default: only `close()` does. */
  signal?: AbortSignal
}

/**
 * Which ports a relay takes, and how it captures, judges and carries connections.
 *
 * @group Relay and route
 */
export type FaithRelayOptions = FaithRelaySettings & PortOptions

const OPTIONS: OptionNames<FaithRelayOptions> = {
  ...PORT_OPTIONS,
  ...MAPPING_OPTIONS,
  ...CONNECT_OPTIONS,
  ...LASTING_OPTIONS,
  address: true,
  backlog: true,
  accessList: true,
  allowLoopback: true,
  connectFirst: true,
  maxHeld: true,
  maxHeldPerClient: true,
  maxSessions: true,
  maxSessionsPerClient: true,
  maxRatePerClient: true,
  clientPrefixLength: true,
  proxyProtocol: true,
  localAddresses: true,
  privilegedLocalPort: true,
  copyDscp: true,
  route: true,
  routeTimeoutMs: true,
  maxUndecided: true,
  sessionEvents: true,
  signal: true,
}

const ANY = { min: 0, max: MOST }
const SOME = { min: 1, max: MOST }
/** setTimeout() takes no more. */
const TIMER_MS = { min: 1, max: 2_147_483_647 }

/** Each takes some kilobytes. */
const MOST_UNDECIDED = 16_384

/** @internal What `faith.relay` was given, checked, with defaults filled in. */
export interface RelayOptions {
  settings: NativeRelayOptions & { routeTimeoutMs: number }
  sessionEvents: boolean
  route: FaithRoute | undefined
  signal: AbortSignal | undefined
}

/** @internal */
export function readRelayOptions(options: unknown): RelayOptions {
  const call = 'faith.relay'
  const read = new OptionReader(call, OPTIONS, options)
  const accessList = read.unchecked('accessList')
  const route = readRoute(read)
  const routeTimeoutMs = read.integer('routeTimeoutMs', TIMER_MS, 5000)
  const maxUndecided = read.integer('maxUndecided', SOME, undecidedWithin(routeTimeoutMs))
  // A client that waits for the route has no server yet, so it must not use a place of `maxHeld`.
  const undecided = route === undefined ? 0 : Math.min(maxUndecided, MOST_UNDECIDED)
  const settings = {
    ports: readPorts(read),
    ...readAddress(read),
    backlog: read.integer('backlog', { min: 1, max: 65_535 }, 4096),
    ...readMappings(call, read),
    // Only a list that was left out is empty: one that got lost on its way here must not permit everything.
    accessList: accessList === undefined ? '' : accessListText(call, accessList),
    accessListName: LIST,
    allowLoopback: read.boolean('allowLoopback', false),
    connectFirst: read.boolean('connectFirst', true),
    maxHeld: read.integer('maxHeld', SOME, 4096 + undecided),
    maxHeldPerClient: read.integer('maxHeldPerClient', SOME, 256 + undecided),
    ...readConnectTimeout(read),
    ...readLastingTimeouts(read),
    maxSessions: read.integer('maxSessions', ANY, 0),
    maxSessionsPerClient: read.integer('maxSessionsPerClient', ANY, 0),
    maxRatePerClient: read.integer('maxRatePerClient', ANY, 0),
    clientPrefixLength: read.integer('clientPrefixLength', { min: 0, max: 128 }, 64),
    proxyProtocol:
      read.unchecked('proxyProtocol') === undefined ? 0 : read.oneOf('proxyProtocol', [1, 2]),
    localAddresses: read.list('localAddresses', [], (address) => readLocalAddress(read, address)),
    privilegedLocalPort: read.boolean('privilegedLocalPort', false),
    copyDscp: read.boolean('copyDscp', false),
    routeTimeoutMs,
    maxUndecided,
  }
  const sessionEvents = read.boolean('sessionEvents', true)
  const signal = read.signal('signal')
  return { settings, sessionEvents, route, signal }
}

/** How many connections come within a route's time limit at a rate of 1024 in 5 seconds. */
function undecidedWithin(routeTimeoutMs: number): number {
  return Math.min(1024 * Math.ceil(routeTimeoutMs / 5000), MOST_UNDECIDED)
}

function readLocalAddress(read: OptionReader<'localAddresses'>, address: unknown): string {
  if (typeof address === 'string' && isIPv4(address)) return address
  throw read.refuse('localAddresses', 'an array of IPv4 addresses', address)
}

function readRoute(read: OptionReader<'route'>): FaithRoute | undefined {
  const route = read.unchecked('route')
  if (route === undefined || typeof route === 'function') return route as FaithRoute | undefined
  throw read.refuse('route', 'a function', route)
}
