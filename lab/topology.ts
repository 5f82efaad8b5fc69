/**
 * The topology. Hosts are network namespaces; links are veth pairs created directly inside them. So nothing
 * appears in the machine's own namespace, and only the namespaces' names must be unique.
 *
 *   client eth0 ──────────────────────── lan0 router wan0 ──────── eth0 server
 *   2001:db8:1::2          2001:db8:1::1      198.51.100.1         198.51.100.2, .3
 *                                             2001:db8:3::1        2001:db8:3::2     with `ipv6Server`
 *
 * `edge` adds one more router; `clientMtu` narrows its link to the client:
 *
 *   client eth0 ── lan0 edge wan0 ────── lan0 router
 *   2001:db8:1::2  2001:db8:1::1 2001:db8:2::2  2001:db8:2::1
 *
 * `hops` puts three IPv4 routers in a row between the router and the server; `serverMtu` narrows the last link:
 *
 *   router wan0 ──── lan0 hop1 wan0 ────── lan0 hop2 wan0 ────── lan0 hop3 wan0 ──────── eth0 server
 *   198.51.100.1  198.51.100.254 198.18.1.1  198.18.1.2 198.18.1.5  198.18.1.6 203.0.113.1  203.0.113.2
 */
import { readdirSync } from 'node:fs'
import { threadId } from 'node:worker_threads'

import { runNow } from './run-now.js'
import { mine } from './stale.js'

/** The lab's fixed addresses: documentation ranges of RFC 3849 and RFC 5737, and one for benchmarks of RFC 2544. */
export const addresses = {
  client: '2001:db8:1::2',
  /** The client's next hop: the router, or the edge router in a lab that has one. */
  gateway: '2001:db8:1::1',
  /** With `ipv4Client`: the client's IPv4 address and its next hop's. */
  clientIPv4: '192.0.2.2',
  gatewayIPv4: '192.0.2.1',
  routerIPv4: '198.51.100.1',
  server: '198.51.100.2',
  serverSecond: '198.51.100.3',
  /** With `hops`: the server, and the routers before it. */
  farServer: '203.0.113.2',
  hops: ['198.51.100.254', '198.18.1.2', '198.18.1.6'],
  /** The IPv6 addresses of the router and the server on their link, with `ipv6Server`. */
  routerIPv6: '2001:db8:3::1',
  serverIPv6: '2001:db8:3::2',
} as const

/** The prefix that leads the lab's clients to IPv4: the well-known one of RFC 6052. */
export const faithPrefix = '64:ff9b::/96'

/** The address that a client dials to reach an IPv4 address through `faithPrefix`. */
export function captured(ipv4: string = addresses.server): string {
  return `64:ff9b::${ipv4}`
}

export interface Topology {
  edge?: boolean
  clientMtu?: number
  ipv4Client?: boolean
  ipv6Server?: boolean
  hops?: boolean
  serverMtu?: number
}

/** The routers of a lab with `hops`, in their order from the router to the server. */
export const hopRoles = ['hop1', 'hop2', 'hop3'] as const

export type Role = 'client' | 'edge' | 'router' | (typeof hopRoles)[number] | 'server'

interface HostPlan {
  /** Maps a sysctl, as a path below /proc/sys, to its value. */
  sysctls?: Record<string, string | number>
  /** Commands for `ip -batch`. */
  commands: string[]
}

/** The link between the edge router and the router. */
const between = {
  edge: '2001:db8:2::2',
  router: '2001:db8:2::1',
  edgeIPv4: '198.18.0.2',
  routerIPv4: '198.18.0.1',
} as const

let made = 0

/** True if an edge router stands between client and router. */
function hasEdge({ edge = false, clientMtu }: Topology): boolean {
  return edge || clientMtu !== undefined
}

/** True if routers stand between router and server. */
function hasHops({ hops = false, serverMtu }: Topology): boolean {
  return hops || serverMtu !== undefined
}

/** Namespaces of a new lab by role. The names are unique to this process, thread and lab. */
export function nameHosts(options: Topology): Map<Role, string> {
  made += 1
  const roles: Role[] = [
    'client',
    ...(hasEdge(options) ? (['edge'] as const) : []),
    'router',
    ...(hasHops(options) ? hopRoles : []),
    'server',
  ]
  return new Map(roles.map((role) => [role, `${mine}${threadId}-${made}-${role}`]))
}

/** Makes the namespaces and links, and gives the hosts their addresses and routes. */
export function build(names: Map<Role, string>, options: Topology): void {
  const veth = (from: Role, fromDevice: string, to: Role, toDevice: string) =>
    `link add ${fromDevice} netns ${names.get(from)} type veth peer name ${toDevice} netns ${names.get(to)}`
  ipBatch([
    ...[...names.values()].map((name) => `netns add ${name}`),
    veth('client', 'eth0', names.has('edge') ? 'edge' : 'router', 'lan0'),
    ...(names.has('edge') ? [veth('edge', 'wan0', 'router', 'lan0')] : []),
    ...(hasHops(options)
      ? [
          veth('router', 'wan0', 'hop1', 'lan0'),
          veth('hop1', 'wan0', 'hop2', 'lan0'),
          veth('hop2', 'wan0', 'hop3', 'lan0'),
          veth('hop3', 'wan0', 'server', 'eth0'),
        ]
      : [veth('router', 'wan0', 'server', 'eth0')]),
  ])
  const plans = plan(options)
  for (const [role, name] of names) {
    const { sysctls = {}, commands } = plans[role]
    setSysctls(name, { ...everyHost, ...sysctls })
    ipBatch(['link set lo up', ...commands], name)
  }
}

/** Kills the remaining programs of a namespace: those that left their process group. */
export function killRemaining(name: string): void {
  for (const pid of runNow('ip', ['netns', 'pids', name]).split(/\s+/).filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // The process has ended by itself.
    }
  }
}

/**
 * Removes the namespaces together with their links and remaining programs. Another runner may remove the same stale
 * ones meanwhile; that is no error.
 */
export function remove(names: Iterable<string>): void {
  const present = () => {
    const all = new Set(namespaces())
    return [...names].filter((name) => all.has(name))
  }
  for (const name of present()) {
    try {
      killRemaining(name)
      runNow('ip', ['netns', 'del', name])
    } catch (error) {
      if (present().includes(name)) throw error
    }
  }
}

/** Names of network namespaces, as `ip netns` lists them. */
export function namespaces(): string[] {
  try {
    return readdirSync('/run/netns')
  } catch {
    return []
  }
}

const everyHost = {
  // Makes addresses usable at once; no other host can have the same.
  'net/ipv6/conf/all/accept_dad': 0,
  'net/ipv6/conf/default/accept_dad': 0,
  'net/ipv6/conf/all/accept_ra': 0,
  // Thousands of short sessions between the same two addresses leave as many ports in TIME_WAIT.
  'net/ipv4/ip_local_port_range': '1024 65535',
  'net/ipv4/tcp_tw_reuse': 1,
}

function plan(options: Topology): Record<Role, HostPlan> {
  const { clientMtu, ipv4Client = false, ipv6Server = false } = options
  const viaEdge = hasEdge(options)
  const forwarding = {
    'net/ipv6/conf/all/forwarding': 1,
    'net/ipv4/ip_forward': ipv4Client ? 1 : 0,
  }
  const hops = hasHops(options)
  const narrowedServer = (device: string) =>
    options.serverMtu === undefined ? [] : [`link set ${device} mtu ${options.serverMtu}`]
  /** A router between router and server. */
  const hop = (lan: string, wan: string, back: string | undefined, on: string | undefined) => ({
    // Linux sends a host an error a second, which are too few for a traceroute.
    sysctls: { 'net/ipv4/ip_forward': 1, 'net/ipv4/icmp_ratelimit': 0 },
    commands: [
      ...(on === undefined ? narrowedServer('wan0') : []),
      'link set lan0 up',
      'link set wan0 up',
      `addr add ${lan} dev lan0`,
      `addr add ${wan} dev wan0`,
      ...(back === undefined ? [] : [`route add 198.51.100.0/24 via ${back}`]),
      ...(on === undefined ? [] : [`route add default via ${on}`]),
    ],
  })
  const withIPv4 = (...commands: string[]) => (ipv4Client ? commands : [])
  const withIPv6 = (address: string, device: string) =>
    ipv6Server ? [`addr add ${address}/64 dev ${device} nodad`] : []
  const narrow = clientMtu !== undefined
  const narrowed = (device: string) => (narrow ? [`link set ${device} mtu ${clientMtu}`] : [])
  // Keeps the narrow link out of the MSS that the client announces, so that the path MTU must be discovered.
  const advertised = narrow ? ' advmss 1440' : ''
  const atGateway = [
    `addr add ${addresses.gateway}/64 dev lan0 nodad`,
    ...withIPv4(`addr add ${addresses.gatewayIPv4}/24 dev lan0`),
  ]
  return {
    client: {
      commands: [
        ...narrowed('eth0'),
        'link set eth0 up',
        `addr add ${addresses.client}/64 dev eth0 nodad`,
        `route add ::/0 via ${addresses.gateway}${advertised}`,
        ...withIPv4(
          `addr add ${addresses.clientIPv4}/24 dev eth0`,
          `route add default via ${addresses.gatewayIPv4}`,
        ),
      ],
    },
    edge: {
      sysctls: forwarding,
      commands: [
        ...narrowed('lan0'),
        'link set lan0 up',
        'link set wan0 up',
        ...atGateway,
        `addr add ${between.edge}/64 dev wan0 nodad`,
        `route add ::/0 via ${between.router}`,
        ...withIPv4(
          `addr add ${between.edgeIPv4}/30 dev wan0`,
          `route add default via ${between.routerIPv4}`,
        ),
      ],
    },
    router: {
      sysctls: { ...forwarding, ...(hops ? { 'net/ipv6/icmp/ratelimit': 0 } : {}) },
      commands: [
        'link set lan0 up',
        'link set wan0 up',
        ...(viaEdge
          ? [
              `addr add ${between.router}/64 dev lan0 nodad`,
              `route add 2001:db8:1::/64 via ${between.edge}`,
              ...withIPv4(
                `addr add ${between.routerIPv4}/30 dev lan0`,
                `route add 192.0.2.0/24 via ${between.edgeIPv4}`,
              ),
            ]
          : atGateway),
        `addr add ${addresses.routerIPv4}/24 dev wan0`,
        ...withIPv6(addresses.routerIPv6, 'wan0'),
        ...(hops ? [`route add default via ${addresses.hops[0]}`] : []),
      ],
    },
    hop1: hop('198.51.100.254/24', '198.18.1.1/30', undefined, '198.18.1.2'),
    hop2: hop('198.18.1.2/30', '198.18.1.5/30', '198.18.1.1', '198.18.1.6'),
    hop3: hop('198.18.1.6/30', '203.0.113.1/24', '198.18.1.5', undefined),
    server: {
      commands: [
        ...narrowedServer('eth0'),
        'link set eth0 up',
        ...(hops
          ? [`addr add ${addresses.farServer}/24 dev eth0`, 'route add default via 203.0.113.1']
          : [
              `addr add ${addresses.server}/24 dev eth0`,
              `addr add ${addresses.serverSecond}/24 dev eth0`,
            ]),
        ...withIPv6(addresses.serverIPv6, 'eth0'),
        // Only the baseline of plain forwarding needs a way back to the client; the real Internet has none.
        ...withIPv4(`route add 192.0.2.0/24 via ${addresses.routerIPv4}`),
      ],
    },
  }
}

function ipBatch(commands: string[], namespace?: string): void {
  const where = namespace === undefined ? [] : ['-n', namespace]
  runNow('ip', [...where, '-batch', '-'], commands.join('\n'))
}

/** Writes from inside the namespace: /proc/sys shows the namespace of the reading process. */
function setSysctls(namespace: string, sysctls: Record<string, string | number>): void {
  const writes = Object.entries(sysctls).map(([path, value]) => `echo ${value} >/proc/sys/${path}`)
  runNow('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-e'], writes.join('\n'))
}
