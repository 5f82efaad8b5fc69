/** The options of a relay, read once, at the public edge, into the addon's form. */
import { isIPv4 } from 'node:net'
import { type AccessList, accessListText, LIST } from './access-list.js'
import { readAddress } from './listener-options.js'
import { MAPPING_OPTIONS, type MappingOptions, readMappings } from './mapping.js'
import { unwrap } from './failure.js'
import { FaithError } from './errors.js'
import {
  type NativeLocalService,
  type NativeRelayOptions,
  type NativeUdpOptions,
  native,
} from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import { parsePorts, PORT_OPTIONS, type PortOptions, type PortSpec, readPorts } from './ports.js'
import { type FaithProtocol, PROTOCOLS } from './protocol.js'
import type { FaithRoute } from './route.js'
import {
  CONNECT_OPTIONS,
  LASTING_OPTIONS,
  readConnectTimeout,
  readLastingTimeouts,
  readLocalAddress,
} from './server.js'
import { type FaithUdpOptions, readUdpOptions } from './udp-options.js'

/**
 * Destinations that this program serves itself, behind the relay's mappings.
 *
 * @group Relay and route
 */
export type FaithLocalService = PortOptions & {
  /** Their IPv4 address. Default: every address of this host, but loopback ones. */
  address?: string
}

/**
 * Options of {@link FaithInterface.relay}, without the ports. All durations are in milliseconds, and their names end in
 * `Ms`.
 *
 * @group Relay and route
 */
export interface FaithRelaySettings extends MappingOptions {
  /** One address inside a prefix of the interface. Default: every address of every prefix. */
  address?: string
  /** Maximum number of connections that wait to be accepted, 1 to 65535, as in listen(2). Default 4096. */
  backlog?: number

  /**
   * The protocols that are relayed, on the same ports: `'tcp'`, `'udp'`; and `'icmp'`, which has no ports. One relay of
   * an interface may have `'icmp'`. Default `['tcp']`. Packets of another one are
   * answered as {@link FaithInterfaceOptions.unsupported} says.
   */
  protocols?: readonly FaithProtocol[]
  /** The options for datagrams, if `protocols` has `'udp'` or `'icmp'`. Default: the defaults of each. */
  udp?: FaithUdpOptions

  /** The permitted clients and destinations. Default: every client, to public addresses. */
  accessList?: AccessList
  /**
   * `true` lets the access list permit 127.0.0.0/8 and 0.0.0.0, and a `route` name `::1`: the router's own loopback.
   * Default `false`.
   */
  allowLoopback?: boolean

  /**
   * The fate of connections whose destination is one of this host's own IPv4 addresses. `refuse` (default) denies them,
   * unless a rule of the access list permits that very address. `host` connects to that address, so that the host's own
   * listeners serve them, under the rules of the access list for public addresses. To such a listener the client seems to
   * be this host itself: it must not trust the host's addresses. A loopback address is denied as before.
   */
  local?: 'refuse' | 'host'
  /**
   * Destinations whose connections the relay gives to the program, by the `connection` event of
   * {@link FaithRelayEvents}. They go before `local`. The access list judges them as public addresses, and they are no
   * sessions, as with {@link FaithRouteSocket}. Default: none.
   *
   * ```ts
   * const relay = await faith.relay({ ports: 'all', localServices: [{ port: 13 }] })
   * relay.on('connection', (socket) => {
   *   socket.on('error', () => socket.destroy()).resume()
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.end(`${new Date().toString()}\n`)
   * })
   * ```
   */
  localServices?: readonly FaithLocalService[]

  /**
   * `true` connects the server before the client's handshake is answered. So the client sees a refusal, an unreachable
   * server or a denial as such, not as a reset connection. Default `true`.
   */
  connectFirst?: boolean
  /**
   * Maximum number of SYNs held while their servers are connected, 1 to 4294967295. Further SYNs are answered at once,
   * and their servers are connected when the client has completed its handshake. Held SYNs get at most half of the
   * descriptors that the process may open; `relay.stats().maxHeld` gives the effective limit. Default 4096; with a
   * `route`, 4096 plus `maxUndecided`.
   */
  maxHeld?: number
  /**
   * Maximum number of held SYNs of one client. Further SYNs are answered at once. While half of the held SYNs or more
   * wait for `route`, further SYNs are dropped instead: the client's kernel sends them again after 1, 3 and 7 seconds,
   * so they wait until the route has decided. Default 256; with a `route`, 256 plus `maxUndecided`.
   */
  maxHeldPerClient?: number
  /** Time for a server to answer, in milliseconds. Default 10000. */
  connectTimeoutMs?: number
  /** End a session after this long without a byte, in milliseconds; 0 means never. Default 1800000, half an hour. */
  idleTimeoutMs?: number
  /**
   * Declare a silent peer dead after this long, in milliseconds, 2000 to 64800000, to the second. A silent peer is a
   * client or a server that answers no keep-alive probes. After one side has reset, the relay also gives up the other
   * when it acknowledges none of its last bytes for this time. Default 120000, two minutes.
   */
  keepAliveTimeoutMs?: number

  /**
   * Maximum number of sessions at once; 0 (default) means no limit. A client takes a place when it has completed its
   * handshake. Held SYNs may be forged, so they take none. A client without a place is refused. If other clients take
   * the last places during its handshake, it is reset right after it was connected.
   */
  maxSessions?: number
  /** Maximum number of sessions of one client at once, counted like `maxSessions`; 0 (default) means no limit. */
  maxSessionsPerClient?: number
  /**
   * Maximum number of new sessions of one client per second, counted like `maxSessions`; 0 (default) means no limit. A
   * client that has begun none for a second may begin this many at once. Then the allowance refills one session each
   * 1/`maxRatePerClient` of a second. The relay holds SYNs of the client at the same rate, and answers further ones at
   * once.
   */
  maxRatePerClient?: number
  /**
   * Length of the IPv6 prefix that counts as one client, 0 to 128, for `maxSessionsPerClient`, `maxRatePerClient`,
   * `maxHeldPerClient`, `localAddresses` and `portBlockSize`. Default 64, the network of one subscriber (RFC 6177).
   */
  clientPrefixLength?: number

  /**
   * Sends the server a PROXY header of this version, with the client's IPv6 address and the dialled address. Default:
   * no header.
   */
  proxyProtocol?: 1 | 2
  /**
   * Addresses of this host to connect from, if the access list names none. The ones of the server's family apply.
   * Default, and if none is of that family: the routing table chooses.
   *
   * Each client (a network of `clientPrefixLength` bits) keeps one address of each family (RFC 6888 REQ-2), also after
   * the relay is opened anew. If that address has no port left for a server, or the host has lost it, the connection
   * comes from the next address in the client's own order, and `stats().localAddressFallbacks` counts it. Each address
   * has the ports of `net.ipv4.ip_local_port_range` for each server, and all clients share them.
   */
  localAddresses?: readonly string[]
  /**
   * Number of ports in a client's block, 1 to 65535; 0 (default) means no blocks. All connections of a client (a network
   * of `clientPrefixLength` bits) then leave from blocks of ports that no other client has, so a record for each block
   * tells the client of an address, a port and a time (RFC 6888, RFC 7422). It needs `localAddresses`.
   *
   * A client gets a block of its local address with its first connection, and a further one when its blocks have no port
   * left for a server. A port serves connections to different servers at once, so a client rarely needs a second block.
   * Blocks are cut from `net.ipv4.ip_local_port_range`: 512 ports make 55 blocks of each address, unless that is widened.
   * If no block is left, new clients are refused (`no-port-block`). A client never loses a block to another one.
   *
   * Any host can forge a SYN, so a client completes its handshake before it gets its first block, and sees a server that
   * refuses this connection as a reset. Relays of one process share the ports of an address; other programs of this host
   * should connect from other addresses. Sockets of this program (`connection`, `spliceTo`) do not come from blocks.
   */
  portBlockSize?: number
  /**
   * Maximum number of blocks of one client, 1 to 65535. A client whose blocks have no port left for a server is refused
   * (`max-ports-per-client`). Default 4.
   */
  portBlocksPerClient?: number
  /**
   * Time for which a block stays its client's after its last connection has ended, in milliseconds, 1000 to 4294967295.
   * Default 120000, two minutes (RFC 6888 REQ-8).
   */
  portBlockRestMs?: number
  /**
   * `true` connects from a port below 1024, which rsh and old NFS servers require. It needs CAP_NET_BIND_SERVICE. Each
   * local address has 424 such ports for each server, 600 to 1023 (rresvport(3)), minus those that local programs
   * listen on. Default `false`.
   */
  privilegedLocalPort?: boolean
  /** `true` gives packets to the server the DSCP (RFC 2474) of the client's SYN. Default `false`. */
  copyDscp?: boolean

  /**
   * A function that decides about each connection while its SYN is held: it names a server, rejects the connection, or
   * takes it for this program. Default: mappings and access list decide, and no JavaScript runs per connection.
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
   *     // The gateway has a private address, so `allowAny` is needed. No client can choose it.
   *     return { host: tenant.gateway, port: destination.port, allowAny: true, proxyProtocol: 2 }
   *   },
   * })
   * relay.on('connection', (socket) => {
   *   socket.on('error', () => socket.destroy()).resume()
   *   socket.setTimeout(30_000, () => socket.destroy())
   *   socket.end(`${socket.destination.ipv4} has no finger service\n`)
   * })
   * relay.on('error', (error) => console.error(error.message, error.cause))
   * ```
   */
  route?: FaithRoute
  /**
   * The ports about whose connections and datagrams `route` is asked: a port, a range or a list. For others, and for pings,
   * the mappings and the access list decide, and no JavaScript runs. Default: all ports of the relay, and pings.
   */
  routePorts?: PortSpec | readonly PortSpec[]
  /**
   * Time for `route` to decide about a connection, in milliseconds, 1 to 2147483647. Default 5000. A forged SYN keeps a
   * place of `maxUndecided` for that long, and clients beyond `maxUndecided` are answered before the route has decided.
   */
  routeTimeoutMs?: number
  /**
   * Maximum number of SYNs that wait for `route` at once, 1 to 4294967295. Clients beyond it are answered first, which
   * proves that their SYNs are not forged, and then wait for the route. At most `maxUndecided` of these wait too;
   * further ones are reset and end as `limit`. As many sessions of datagrams wait as well, at most a quarter of them
   * from one client network; the first datagram of a further one is answered with ICMPv6 address unreachable. Default
   * 1024 for every 5 seconds of `routeTimeoutMs`, at most 16384: about 200 new connections a second, if each decision
   * takes its full time.
   */
  maxUndecided?: number

  /**
   * `true` emits `session` and `refused` events, and publishes them on the channels `faithd:session` and
   * `faithd:refused`. Default `true`. A relay with very many short sessions is faster with `false`.
   * {@link FaithRelay.stats} counts them in both cases.
   */
  sessionEvents?: boolean

  /** A signal that closes the relay when aborted, like `close()` without drain. Default: none. */
  signal?: AbortSignal
}

/**
 * Options of {@link FaithInterface.relay}.
 *
 * @group Relay and route
 */
export type FaithRelayOptions = FaithRelaySettings & PortOptions

/**
 * Settings that an open relay can change; those that are left out stay as they are.
 *
 * @group Relay and route
 */
export interface FaithRelayUpdate extends Pick<
  FaithRelaySettings,
  | 'mapping'
  | 'mappings'
  | 'maxHeld'
  | 'maxHeldPerClient'
  | 'connectTimeoutMs'
  | 'idleTimeoutMs'
  | 'keepAliveTimeoutMs'
  | 'maxSessions'
  | 'maxSessionsPerClient'
  | 'maxRatePerClient'
  | 'clientPrefixLength'
  | 'local'
  | 'localAddresses'
  | 'localServices'
  | 'portBlockSize'
  | 'portBlocksPerClient'
  | 'portBlockRestMs'
  | 'privilegedLocalPort'
  | 'sessionEvents'
  | 'udp'
> {
  /** As {@link FaithRelaySettings.proxyProtocol}; 0 for no header. Default: as before. */
  proxyProtocol?: 0 | 1 | 2
}

const UPDATE: OptionNames<FaithRelayUpdate> = {
  ...MAPPING_OPTIONS,
  ...CONNECT_OPTIONS,
  ...LASTING_OPTIONS,
  maxHeld: true,
  maxHeldPerClient: true,
  maxSessions: true,
  maxSessionsPerClient: true,
  maxRatePerClient: true,
  clientPrefixLength: true,
  proxyProtocol: true,
  local: true,
  localAddresses: true,
  localServices: true,
  portBlockSize: true,
  portBlocksPerClient: true,
  portBlockRestMs: true,
  privilegedLocalPort: true,
  sessionEvents: true,
  udp: true,
}

const LOCAL_SERVICE: OptionNames<FaithLocalService> = { ...PORT_OPTIONS, address: true }

const OPTIONS: OptionNames<FaithRelayOptions> = {
  ...PORT_OPTIONS,
  ...UPDATE,
  address: true,
  backlog: true,
  protocols: true,
  accessList: true,
  allowLoopback: true,
  connectFirst: true,
  copyDscp: true,
  route: true,
  routePorts: true,
  routeTimeoutMs: true,
  maxUndecided: true,
  signal: true,
}

const ANY = { min: 0, max: MOST }
const SOME = { min: 1, max: MOST }
/** The longest time of setTimeout(). */
const TIMER_MS = { min: 1, max: 2_147_483_647 }

/** The largest default of `maxUndecided`, because each undecided connection takes some kilobytes. */
const MOST_UNDECIDED = 16_384

/** @internal The checked options of `faith.relay`, with defaults. */
export interface RelayOptions {
  settings: NativeRelayOptions & { routeTimeoutMs: number }
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
  // A client that waits for the route has no server yet, so it gets a place beside those of `maxHeld`.
  const undecided = route === undefined ? 0 : maxUndecided
  const routePorts = readRoutePorts(read)
  const settings = {
    ports: readPorts(read),
    ...readProtocols(call, read),
    ...readAddress(read),
    backlog: read.integer('backlog', { min: 1, max: 65_535 }, 4096),
    ...readMappings(call, read),
    // Only an absent option means an empty list: a `null` list, lost on its way, must not permit everything.
    accessList: accessList === undefined ? '' : accessListText(call, accessList),
    accessListName: LIST,
    allowLoopback: read.boolean('allowLoopback', false),
    connectFirst: read.boolean('connectFirst', true),
    maxHeld: read.integer('maxHeld', SOME, Math.min(4096 + undecided, MOST)),
    maxHeldPerClient: read.integer('maxHeldPerClient', SOME, Math.min(256 + undecided, MOST)),
    ...readConnectTimeout(read),
    ...readLastingTimeouts(read),
    maxSessions: read.integer('maxSessions', ANY, 0),
    maxSessionsPerClient: read.integer('maxSessionsPerClient', ANY, 0),
    maxRatePerClient: read.integer('maxRatePerClient', ANY, 0),
    clientPrefixLength: read.integer('clientPrefixLength', { min: 0, max: 128 }, 64),
    proxyProtocol:
      read.unchecked('proxyProtocol') === undefined ? 0 : read.oneOf('proxyProtocol', [1, 2]),
    localAddresses: read.list('localAddresses', [], (address) =>
      readLocalAddress(read, 'localAddresses', address),
    ),
    localHost: read.oneOf('local', ['refuse', 'host'], 'refuse') === 'host',
    localServices: read.list('localServices', [], (service) => readLocalService(call, service)),
    portBlockSize: read.integer('portBlockSize', { min: 0, max: 65_535 }, 0),
    portBlocksPerClient: read.integer('portBlocksPerClient', { min: 1, max: 65_535 }, 4),
    portBlockRestMs: read.integer('portBlockRestMs', { min: 1000, max: MOST }, 120_000),
    privilegedLocalPort: read.boolean('privilegedLocalPort', false),
    copyDscp: read.boolean('copyDscp', false),
    sessionEvents: read.boolean('sessionEvents', true),
    routeTimeoutMs,
    maxUndecided,
    ...routePorts,
  }
  const signal = read.signal('signal')
  return { settings, route, signal }
}

/**
 * @internal Gives a relay's options with the settings of an update in their places, but without the access list, which
 * `setAccessList` changes.
 */
export function updatedOptions(given: FaithRelayOptions, update: unknown): FaithRelayOptions {
  const call = 'relay.update'
  const read = new OptionReader(call, UPDATE, update)
  const changes = Object.entries(UPDATE)
    .map(([name]) => [name, read.unchecked(name as keyof FaithRelayUpdate)] as const)
    .filter(([, value]) => value !== undefined)
  const { accessList: _, ...kept } = given
  const updated = { ...kept, ...Object.fromEntries(changes) } as Record<string, unknown>
  if (updated['proxyProtocol'] === 0) delete updated['proxyProtocol']
  return updated as unknown as FaithRelayOptions
}

/** @internal Checks options as `faith.relay` does, without an interface. */
export function checkRelayOptions(options: FaithRelayOptions): void {
  unwrap(native.checkRelayOptions(readRelayOptions(options).settings))
}

/** Gives the number of connections within the time limit of a route, at 1024 in 5 seconds. */
function undecidedWithin(routeTimeoutMs: number): number {
  return Math.min(1024 * Math.ceil(routeTimeoutMs / 5000), MOST_UNDECIDED)
}

function readLocalService(call: string, service: unknown): NativeLocalService {
  const read = new OptionReader(`${call}: \`localServices\``, LOCAL_SERVICE, service)
  const ports = readPorts(read)
  const address = read.unchecked('address')
  if (address === undefined) return { ports }
  if (typeof address !== 'string' || !isIPv4(address)) {
    throw read.refuse('address', 'an IPv4 address', address)
  }
  return { ports, address }
}

function readRoutePorts(read: OptionReader<'routePorts'>): Pick<NativeRelayOptions, 'routePorts'> {
  const ports = read.unchecked('routePorts')
  if (ports === undefined) return {}
  if (ports === null) throw read.refuse('routePorts', 'a port, a range or a list', ports)
  return { routePorts: parsePorts(ports) }
}

/** Reads the protocols, and the options for datagrams if they are among these. */
function readProtocols(
  call: string,
  read: OptionReader<'protocols' | 'udp'>,
): { tcp: boolean; udp?: NativeUdpOptions } {
  const protocols = read.list<FaithProtocol>('protocols', ['tcp'], (given) => {
    const protocol = PROTOCOLS.find((known) => known === given)
    if (protocol === undefined)
      throw read.refuse('protocols', "an array of 'tcp', 'udp' and 'icmp'", given)
    return protocol
  })
  if (protocols.length === 0) throw read.refuse('protocols', 'at least one protocol', protocols)
  const given = read.unchecked('udp')
  const options =
    given === undefined ? undefined : readUdpOptions(`${call}: \`udp\``, given, protocols)
  if (!protocols.includes('udp') && !protocols.includes('icmp')) {
    if (options === undefined) return { tcp: true }
    throw new FaithError(
      'ERR_FAITH_ARGUMENT',
      `${call}: \`udp\` does not go without its protocol`,
      {
        hint: "add 'udp' or 'icmp' to `protocols`",
      },
    )
  }
  return { tcp: protocols.includes('tcp'), udp: options ?? readUdpOptions(call, {}, protocols) }
}

function readRoute(read: OptionReader<'route'>): FaithRoute | undefined {
  const route = read.unchecked('route')
  if (route === undefined || typeof route === 'function') return route as FaithRoute | undefined
  throw read.refuse('route', 'a function', route)
}
