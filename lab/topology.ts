/**
 * The wires. Hosts are network namespaces, links are veth pairs made straight into them, so that
 * nothing shows in the machine's own namespace and no name but the namespaces' must be unique.
 *
 *   client eth0 ──────────────────────── lan0 router wan0 ──────── eth0 server
 *   2001:db8:1::2          2001:db8:1::1      198.51.100.1         198.51.100.2, .3
 *
 * and with `edge` one more router, whose link to the client is a narrow one with `clientMtu`:
 *
 *   client eth0 ── lan0 edge wan0 ────── lan0 router
 *   2001:db8:1::2  2001:db8:1::1 2001:db8:2::2  2001:db8:2::1
 */
import { readdirSync } from 'node:fs'
import { threadId } from 'node:worker_threads'

import { runNow } from './run-now.js'
import { mine } from './stale.js'

/** The lab's fixed addresses: documentation ranges of RFC 3849 and RFC 5737, and one for benchmarks of RFC 2544. */
export const addresses = {
  client: '2001:db8:1::2',
  /** The next hop of the client; with an edge router this is that one's. */
  gateway: '2001:db8:1::1',
  /** The client's IPv4 address and its next hop's, with `ipv4Client`. */
  clientIPv4: '192.0.2.2',
  gatewayIPv4: '192.0.2.1',
  routerIPv4: '198.51.100.1',
  server: '198.51.100.2',
  serverSecond: '198.51.100.3',
} as const

/** The prefix the lab's clients reach IPv4 through, RFC 6052's well-known one. */
export const faithPrefix = '64:ff9b::/96'

/** The address under which a client dials an IPv4 address through `faithPrefix`. */
export function captured(ipv4: string = addresses.server): string {
  return `64:ff9b::${ipv4}`
}

export interface Topology {
  edge?: boolean
  clientMtu?: number
  ipv4Client?: boolean
}

export type Role = 'client' | 'edge' | 'router' | 'server'

interface HostPlan {
  /** sysctl to value; the path below /proc/sys. */
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

/** Whether there is a router between client and router. */
function hasEdge({ edge = false, clientMtu }: Topology): boolean {
  return edge || clientMtu !== undefined
}

/** Namespaces of a new lab by role; the names are of this process, this thread and this lab alone. */
export function nameHosts(options: Topology): Map<Role, string> {
  made += 1
  const roles: Role[] = [
    'client',
    ...(hasEdge(options) ? (['edge'] as const) : []),
    'router',
    'server',
  ]
  return new Map(roles.map((role) => [role, `${mine}${threadId}-${made}-${role}`]))
}

/** Makes the namespaces and links, and gives the hosts addresses and routes. */
export function build(names: Map<Role, string>, options: Topology): void {
  const veth = (from: Role, fromDevice: string, to: Role, toDevice: string) =>
    `link add ${fromDevice} netns ${names.get(from)} type veth peer name ${toDevice} netns ${names.get(to)}`
  ipBatch([
    ...[...names.values()].map((name) => `netns add ${name}`),
    veth('client', 'eth0', names.has('edge') ? 'edge' : 'router', 'lan0'),
    ...(names.has('edge') ? [veth('edge', 'wan0', 'router', 'lan0')] : []),
    veth('router', 'wan0', 'server', 'eth0'),
  ])
  const plans = plan(options)
  for (const [role, name] of names) {
    const { sysctls = {}, commands } = plans[role]
    setSysctls(name, { ...everyHost, ...sysctls })
    ipBatch(['link set lo up', ...commands], name)
  }
}

/** Kills what still runs in a namespace: programs that left the process group they were started in. */
export function killRemaining(name: string): void {
  for (const pid of runNow('ip', ['netns', 'pids', name]).split(/\s+/).filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
}

/**
 * Removes the namespaces, and with them the links and whatever still runs there. That another runner
 * removes the same ones meanwhile, because they are stale, is no error.
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

/** The network namespaces with a name, as `ip netns` lists them. */
export function namespaces(): string[] {
  try {
    return readdirSync('/run/netns')
  } catch {
    return []
  }
}

const everyHost = {
  // Addresses are usable at once; there is nobody to collide with.
  'net/ipv6/conf/all/accept_dad': 0,
  'net/ipv6/conf/default/accept_dad': 0,
  'net/ipv6/conf/all/accept_ra': 0,
  // Thousands of short sessions between the same two addresses leave as many ports in TIME_WAIT.
  'net/ipv4/ip_local_port_range': '1024 65535',
  'net/ipv4/tcp_tw_reuse': 1,
}

function plan(options: Topology): Record<Role, HostPlan> {
  const { clientMtu, ipv4Client = false } = options
  const viaEdge = hasEdge(options)
  const forwarding = {
    'net/ipv6/conf/all/forwarding': 1,
    'net/ipv4/ip_forward': ipv4Client ? 1 : 0,
  }
  const withIPv4 = (...commands: string[]) => (ipv4Client ? commands : [])
  const narrow = clientMtu !== undefined
  const narrowed = (device: string) => (narrow ? [`link set ${device} mtu ${clientMtu}`] : [])
  // The client must not give the narrow link away in the MSS it announces, or nobody needs to discover it.
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
      sysctls: forwarding,
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
      ],
    },
    server: {
      commands: [
        'link set eth0 up',
        `addr add ${addresses.server}/24 dev eth0`,
        `addr add ${addresses.serverSecond}/24 dev eth0`,
        // The real internet knows no way back to an IPv6-only network; only the forwarding baseline needs one.
        ...withIPv4(`route add 192.0.2.0/24 via ${addresses.routerIPv4}`),
      ],
    },
  }
}

function ipBatch(commands: string[], namespace?: string): void {
  const where = namespace === undefined ? [] : ['-n', namespace]
  runNow('ip', [...where, '-batch', '-'], commands.join('\n'))
}

/** /proc/sys shows the namespace of whoever looks, so one that is inside must write. */
function setSysctls(namespace: string, sysctls: Record<string, string | number>): void {
  const writes = Object.entries(sysctls).map(([path, value]) => `echo ${value} >/proc/sys/${path}`)
  runNow('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-e'], writes.join('\n'))
}
