/**
 * The bodies that the control socket gives and takes under `/v1/`. The OpenAPI document is made from them, and faithctl
 * has its types from them.
 */
import * as z from 'zod'

const count = z.int().min(0)
const bytes = count.describe('Bytes.')
const milliseconds = z.number().min(0).describe('Milliseconds.')
const time = z.iso.datetime().describe('Time in UTC.')
const counts = z.record(z.string(), count)

export const endpoint = z.strictObject({ address: z.string(), port: z.int().min(0).max(65_535) })

/** An error, as RFC 9457 describes problems. */
export const problem = z.strictObject({
  type: z.string().describe('`about:blank`: the status and `code` say which problem it is.'),
  title: z.string().describe('The name of the status.'),
  status: z.int().min(400).max(599),
  detail: z.string().describe('The fault, in a sentence.'),
  code: z.string().optional().describe('The code of the error: ERR_FAITH_… or an errno.'),
  hint: z.string().optional().describe('The remedy.'),
})

/** The protocol of both sides. */
const protocol = z.enum(['tcp', 'udp', 'icmp'])

export const session = z.strictObject({
  id: z
    .string()
    .describe('Unique within the daemon: the number of the relay and that of the session, `1-42`.'),
  interface: z.string(),
  protocol,
  client: endpoint,
  destination: endpoint.describe('The address and port that the client dialled.'),
  server: endpoint.optional(),
  state: z
    .enum(['open', 'client-closed', 'server-closed', 'ending'])
    .describe(
      'The sides that have sent their FIN; `ending`: one side is gone, and the other still gets its bytes.',
    ),
  bytesUp: bytes.describe('Bytes from the client to the server.'),
  bytesDown: bytes.describe('Bytes from the server to the client.'),
  startedAt: time,
  ageMs: milliseconds,
  idleMs: milliseconds.describe('Time since a byte moved, in milliseconds.'),
  tag: z.string().optional(),
  name: z
    .string()
    .optional()
    .describe('The name for which the DNS server of faithd had given the client the address.'),
})

/** One connection of a session, as the kernel's TCP_INFO describes it. */
export const leg = z.strictObject({
  state: z.string().describe("The kernel's name of the state: ESTABLISHED, CLOSE_WAIT …"),
  rttMs: milliseconds
    .optional()
    .describe('Smoothed round-trip time; absent before the first measurement.'),
  rttVarianceMs: milliseconds.optional(),
  minimumRttMs: milliseconds.optional(),
  congestionWindow: count.describe('Segments that may be in flight.'),
  mss: count.describe('Bytes of a segment that is sent.'),
  retransmitted: count.describe('Segments sent again since the start.'),
  lost: count.describe('Segments that are thought lost now.'),
  unacknowledged: bytes.describe('Bytes sent and not acknowledged.'),
  unsent: bytes.describe('Bytes that wait in the send buffer.'),
  unread: bytes.describe('Bytes that wait in the receive buffer.'),
  deliveryRate: count.optional().describe('Bytes a second that reach the peer, as last measured.'),
  pacingRate: count.optional().describe('Bytes a second that the kernel lets go.'),
  busyMs: milliseconds.describe('Time with bytes to send or to be acknowledged.'),
  limitedByPeerMs: milliseconds.describe(
    'Part of it in which the receive window of the peer was full.',
  ),
  limitedByBufferMs: milliseconds.describe('Part of it in which the send buffer was too small.'),
  congestionControl: z.string(),
})

export const rule = z.strictObject({
  text: z.string().describe('The rule in the grammar of faithd.conf(5).'),
  file: z.string().optional(),
  line: z
    .int()
    .min(1)
    .optional()
    .describe('The line of the rule in the file, or its number in the list.'),
})

export const sessionDetail = session.extend({
  relay: z.strictObject({ number: count, ports: z.string() }),
  rule: rule
    .optional()
    .describe('The rule that permits it by the access list in force; absent if a default does.'),
  legs: z
    .strictObject({ client: leg, server: leg })
    .optional()
    .describe('The connections of both sides; absent for a session of datagrams, which has none.'),
  slow: z
    .enum(['client', 'server', 'neither'])
    .optional()
    .describe(
      'The side that takes bytes more slowly than the other gives them, if one does; absent for datagrams.',
    ),
})

export const sessions = z.strictObject({
  sessions: z.array(session),
  matching: count.describe('Sessions that the filter lets through, also beyond `limit`.'),
  active: count.describe('Sessions in all.'),
})

export const client = z.strictObject({
  network: z.string().describe('The network that counts as one client: 2001:db8:1::/64.'),
  sessions: count,
  bytesUp: bytes.describe('Bytes of its active sessions to servers.'),
  bytesDown: bytes.describe('Bytes of its active sessions from servers.'),
  oldestMs: milliseconds.describe('Age of its oldest session.'),
  idleMs: milliseconds.describe('Time since a byte moved in any of its sessions.'),
  portBlocks: count.describe('Blocks of ports that it has; 0 without port-block.'),
})

export const clients = z.strictObject({
  clients: z.array(client),
  matching: count,
  active: count.describe('Sessions in all.'),
})

export const aborted = z.strictObject({ aborted: count.describe('Sessions that were ended.') })

const began = z.strictObject({ active: count, begun: count })

export const relay = z.strictObject({
  number: count.describe('Counts up as the daemon opens relays.'),
  ports: z.string(),
  retired: z.boolean().describe('It takes no more connections; its last sessions go on.'),
  sessions: z.strictObject({
    active: count,
    begun: count,
    byProtocol: z.strictObject({ tcp: began, udp: began, icmp: began }),
    ended: counts,
    aborted: counts.describe('Aborted sessions by cause.'),
    bytesUp: bytes,
    bytesDown: bytes,
  }),
  attempts: count.describe('Attempts under way.'),
  refused: z.strictObject({ byReason: counts, byCause: counts }),
  limits: z
    .strictObject({
      maxSessions: count,
      maxHeld: count,
      maxSessionsPerClient: count,
      maxRatePerClient: count.describe('New sessions of one client per second.'),
      maxHeldPerClient: count,
      clientPrefixLength: z
        .int()
        .min(0)
        .max(128)
        .describe('Length of the prefix that is one client.'),
    })
    .describe('Limits in effect; 0 means no limit.'),
  rules: count.describe('Rules of the access list.'),
})

const source = z.strictObject({
  address: z.string(),
  sessions: count.describe('Sessions that come from it.'),
  ports: count.describe('Ports that connections can come from, towards each server.'),
  portBlocks: count.describe('Blocks of ports that clients have.'),
  maxPortBlocks: count.describe('Blocks that the ports make; 0 without port-block.'),
})

export const faithInterface = z.strictObject({
  name: z.string(),
  prefixes: z.array(z.string()),
  steering: z.enum(['sk_lookup', 'on-demand']),
  shortcut: z.boolean(),
  workers: count,
  mtu: count,
  configured: z.boolean().describe('False for one that was made over the control socket.'),
  captured: z.strictObject({ packets: count, bytes: count }),
  returned: z.strictObject({ packets: count, bytes: count }),
  syns: z.strictObject({ held: count, beyondHold: count, beyondClientHold: count }),
  drops: counts,
  sources: z.array(source).describe('The local addresses of connections to servers.'),
  relays: z.array(relay),
})

export const interfaces = z.strictObject({ interfaces: z.array(faithInterface) })

const advertisement = z.strictObject({
  interface: z.string(),
  state: z.enum(['absent', 'advertising', 'failing', 'conflict']),
  reason: z.string().optional().describe("The kernel's reason, while it refuses to send."),
  source: z.string().optional().describe('The address that advertisements come from.'),
  sent: count.describe('Router advertisements sent.'),
  failed: count.describe('Router advertisements that the kernel refused.'),
  solicitations: count.describe('Router solicitations heard.'),
})

const dnsServer = z.strictObject({
  server: z.string().describe('The address, or the URL of one that is asked over TLS or HTTPS.'),
  queries: count.describe('Queries to it. The rest of them is under way, or another was faster.'),
  answered: count.describe('Queries that it answered, also with an error.'),
  unanswered: count.describe('Queries to which it gave no response in time.'),
  loops: count.describe('Queries that it put back to faithd.'),
  condition: z
    .enum(['good', 'failing', 'loop', 'own'])
    .describe('`loop` asks faithd what faithd asks it; `own` is faithd itself, and is not asked.'),
  trouble: z.string().optional().describe('The reason, while it is failing.'),
})

const dns64 = z.strictObject({
  addresses: z.array(z.string()).describe('The addresses that it answers at, with their ports.'),
  upstreams: z
    .array(z.string())
    .describe('The DNS servers to ask; empty if they are those of /etc/resolv.conf.'),
  servers: z
    .array(dnsServer)
    .describe('The DNS servers that are asked now, those of /etc/resolv.conf too, in their order.'),
  udpQueries: count.describe('Queries over UDP.'),
  tcpQueries: count.describe('Queries over TCP.'),
  tlsQueries: count.describe('Queries over TLS.'),
  dropped: count.describe('Messages that are no queries.'),
  rejected: count.describe('Queries that were malformed, or of a kind that it does not answer.'),
  refused: count.describe('Queries of clients outside the networks that get answers.'),
  rateLimited: count.describe('Queries over the rate of a client.'),
  overloaded: count.describe('Queries and connections refused because there were too many.'),
  synthesised: count.describe('Responses with addresses made from IPv4 addresses.'),
  denied: count.describe('AAAA records not made: no access list would let the client connect.'),
  unusable: count.describe('AAAA records not made: the prefix has no address for the server.'),
  local: count.describe('Responses about ipv4only.arpa.'),
  cached: count.describe('Responses out of the cache.'),
  cacheEvictions: count.describe('Responses that left the cache early because it was full.'),
  truncated: count.describe('Responses that did not fit into a datagram.'),
  upstreamQueries: count.describe('Queries to other DNS servers.'),
  upstreamFailures: count.describe('Queries that no other DNS server answered.'),
  loops: count.describe('Queries that another DNS server put back to this one.'),
})

export const status = z.strictObject({
  version: z.string(),
  pid: count,
  startedAt: time,
  uptimeMs: milliseconds,
  configurationFile: z.string().optional(),
  lastReload: z
    .strictObject({ at: time, applied: z.boolean(), detail: z.string() })
    .optional()
    .describe('The last reload that was asked for.'),
  keepfaith: z.boolean(),
  forwarding: z.boolean().describe('True if the host forwards IPv6.'),
  draining: z.boolean(),
  descriptors: z.strictObject({ open: count, limit: count }),
  interfaces: z.array(faithInterface),
  advertisements: z
    .array(advertisement)
    .optional()
    .describe('Interfaces on which the prefixes are advertised; absent without any.'),
  dns64: dns64.optional().describe('The DNS server; absent without one.'),
  problems: z
    .array(z.string())
    .describe('A sentence for each thing that is wrong now, with the remedy.'),
})

export const drops = z.strictObject({
  drops: z.array(
    z.strictObject({
      interface: z.string(),
      reason: z.string(),
      packets: count,
      meaning: z.string().describe('The meaning of the reason, in a sentence.'),
    }),
  ),
})

export const keepfaith = z.strictObject({ on: z.boolean() })

export const interfaceToCreate = z.strictObject({
  name: z.string().min(1).max(15),
  prefixes: z.array(z.string()).min(1).max(1024).describe('Prefixes to capture.'),
  ports: z.string().default('all').describe('Ports to relay, as the service argument names them.'),
})

export const prefix = z.strictObject({ prefix: z.string().max(64) })

export const accessLists = z.strictObject({
  accessLists: z.array(
    z.strictObject({
      interface: z.string(),
      relay: count,
      ports: z.string(),
      rules: z.array(rule),
      otherwise: z
        .string()
        .describe('The decision about a connection that no rule names, in a sentence.'),
    }),
  ),
})

export const accessTest = z.strictObject({
  interface: z.string(),
  relay: count,
  permitted: z.boolean(),
  cause: z.string().optional().describe('The cause that would turn the connection away.'),
  rule: rule.optional().describe('The rule that decides; absent if a default does.'),
  explanation: z.string().describe('The decision and its reason, in a sentence.'),
  server: endpoint.optional().describe('The server that the destination maps to.'),
  localAddress: z
    .string()
    .optional()
    .describe('The IPv4 address that the connection would come from.'),
})

/** One answer for each relay that takes the destination. */
export const accessTests = z.array(accessTest)

export const reloaded = z.strictObject({
  changes: z.array(z.string()),
  warnings: z.array(z.string()),
})

export const log = z.strictObject({
  level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']),
  format: z.enum(['text', 'json']),
})

/** The metrics in Prometheus's text format. */
export const metrics = z.string()

/** The OpenAPI document. */
export const document = z.record(z.string(), z.unknown())

/** A change of the log. A field that is left out stays as it is. */
export const logChange = log.partial()

/** A line of the stream of events. */
export const event = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('session'),
    at: time,
    session: session
      .omit({ state: true, ageMs: true, idleMs: true })
      .extend({ durationMs: milliseconds, reason: z.string() }),
  }),
  z.strictObject({
    type: z.literal('refused'),
    at: time,
    refusal: z.strictObject({
      interface: z.string(),
      protocol,
      client: endpoint,
      destination: endpoint,
      server: endpoint.optional(),
      durationMs: milliseconds,
      reason: z.string(),
      cause: z.string().optional(),
      code: z.string().optional(),
      rule: rule.optional().describe('The rule that denied it.'),
      explanation: z.string(),
    }),
  }),
  z.strictObject({
    type: z.literal('lost'),
    at: time,
    events: count.describe('Events that this reader was too slow for.'),
  }),
])

export type Endpoint = z.infer<typeof endpoint>
export type Problem = z.infer<typeof problem>
export type Session = z.infer<typeof session>
export type Leg = z.infer<typeof leg>
export type SessionDetail = z.infer<typeof sessionDetail>
export type Sessions = z.infer<typeof sessions>
export type Client = z.infer<typeof client>
export type Clients = z.infer<typeof clients>
export type Status = z.infer<typeof status>
export type FaithInterfaceStatus = z.infer<typeof faithInterface>
export type RelayStatus = z.infer<typeof relay>
export type Drops = z.infer<typeof drops>
export type AccessLists = z.infer<typeof accessLists>
export type AccessTest = z.infer<typeof accessTest>
export type AccessTests = z.infer<typeof accessTests>
export type Reloaded = z.infer<typeof reloaded>
export type Log = z.infer<typeof log>
export type Event = z.infer<typeof event>
