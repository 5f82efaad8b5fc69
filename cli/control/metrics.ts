/**
 * The metrics of faithd, in one table. The text that Prometheus scrapes and docs/metrics.md are made from it; the
 * dashboard and the alerts are checked against it.
 */
import { type FaithCause, type FaithRefusalReason, REFUSAL_NAMES } from '../../lib/refusal.js'
import {
  type Histogram,
  type Labels,
  type Metric,
  type MetricsSnapshot,
  byDirection,
  byOutcome,
  byProtocol,
  byReason,
  bySource,
  counter,
  counterOf,
  gauge,
  gaugeOf,
  histogram,
  histogramOf,
  limit,
  ofDns64,
  ofLinks,
  ofUpstreams,
  seconds,
} from './metric-kinds.js'

/** Every metric by its name. Direction `up` is from clients to servers, `down` from servers to clients. */
export const METRICS: Readonly<Record<string, Metric>> = {
  faithd_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels tell the version of faithd, and the Node and processor that it runs on.',
    labels: ['version', 'node', 'architecture'],
    read: ({ version }) => [
      { labels: { version, node: process.version, architecture: process.arch }, value: 1 },
    ],
  },
  faithd_keepfaith: gauge('1 if faithd captures connections, 0 if keepfaith is off.', (of) =>
    Number(of.keepfaith),
  ),
  faithd_ipv6_forwarding: gauge(
    '1 if the host forwards IPv6. If 0, only connections of the host itself are captured.',
    (of) => Number(of.forwarding),
  ),
  faithd_config_last_reload_successful: gauge(
    '1 if the last reload was applied, or there was none; 0 if it was refused.',
    (of) => Number(of.configuration.lastReloadApplied),
  ),
  faithd_config_last_reload_success_timestamp_seconds: gauge(
    'Unix time at which the configuration in force was applied.',
    (of) => seconds(of.configuration.appliedAt),
  ),
  faithd_sessions: gaugeOf('Sessions that go on.', (of) => of.relay.sessions.active),
  faithd_sessions_by_protocol: byProtocol('gauge', 'Sessions that go on, by protocol.', 'active'),
  faithd_sessions_begun_total: byProtocol(
    'counter',
    'Sessions that began, by protocol; `icmp` means pings.',
    'begun',
  ),
  faithd_sessions_limit: gaugeOf(
    'Most sessions that the relays take at once, by max-sessions or by descriptors; absent without a limit.',
    (of) => limit(of.limits.maxSessions),
  ),
  faithd_sessions_opened_total: byOutcome(
    'Attempts of clients: `session` if client and server were joined, otherwise the reason of the refusal.',
    ({ relay }) => ({ session: relay.sessions.begun, ...relay.refused.byReason }),
  ),
  faithd_sessions_ended_total: byReason(
    'Sessions that ended, by the reason of the end.',
    (of) => of.relay.sessions.ended,
  ),
  faithd_sessions_aborted_total: byReason(
    'Sessions that ended as aborted, by the cause.',
    (of) => of.relay.sessions.aborted,
  ),
  faithd_refusals_total: byReason(
    'Attempts refused, by the cause of the refusal, or by its reason if it has no cause.',
    (of) => ({ ...NO_REFUSALS, ...of.relay.refused.byCause }),
  ),
  faithd_attempts: gaugeOf(
    'Attempts under way: SYNs that are held, and clients without a server yet.',
    (of) => of.relay.attempts,
  ),
  faithd_connections_accepted_total: counterOf(
    'Connections of clients accepted.',
    (of) => of.relay.accepted,
  ),
  faithd_connect_duration_seconds: histogramOf(
    'Time from the SYN of a client until its server answered, of attempts that became sessions.',
    (of) => histogram(of.relay.connectDurations),
  ),
  faithd_bytes_total: byDirection('Bytes that sessions carried.', ({ relay: { sessions } }) => ({
    up: sessions.bytesUp,
    down: sessions.bytesDown,
  })),
  faithd_udp_mappings: gaugeOf(
    'Ports of clients that have datagrams relayed.',
    (of) => of.relay.udp?.mappings ?? 0,
  ),
  faithd_udp_frames_total: byDirection(
    'Frames of datagrams that were relayed. Several datagrams that the kernel has joined are one frame.',
    ({ relay: { udp } }) => ({ up: udp?.framesUp ?? 0, down: udp?.framesDown ?? 0 }),
  ),
  faithd_udp_frames_not_relayed_total: byReason(
    'Frames that did not go on: `dropped` ones of servers for which a socket had no room, `filtered` ones of servers that no client had asked, `lost` ones that the kernel did not take, `oversize` ones that were too long for their client.',
    ({ relay: { udp } }) => ({
      dropped: udp?.dropped ?? 0,
      filtered: udp?.filtered ?? 0,
      lost: udp?.lost ?? 0,
      oversize: udp?.oversize ?? 0,
    }),
  ),
  faithd_udp_frames_fragmented_total: counterOf(
    'Frames of servers that were too long for their client, and went on in fragments.',
    (of) => of.relay.udp?.fragmented ?? 0,
  ),
  faithd_udp_sockets_without_superframes_total: counterOf(
    'Sockets of clients whose way to the server takes no joined datagrams, so that each is sent by a call of its own.',
    (of) => of.relay.udp?.withoutSuperframes ?? 0,
  ),
  faithd_udp_errors_total: counterOf(
    'Errors of servers and routers about datagrams that went on to clients.',
    (of) => of.relay.udp?.errorsDown ?? 0,
  ),
  faithd_udp_errors_told_total: counterOf(
    'Errors about datagrams of servers that servers were told.',
    (of) => of.relay.udp?.errorsUp ?? 0,
  ),
  faithd_interface_packets_total: byDirection(
    'Packets between the host and the interface. A packet of several merged segments counts once.',
    ({ interface: { captured, returned } }) => ({ up: captured.packets, down: returned.packets }),
  ),
  faithd_interface_bytes_total: byDirection(
    'Bytes of these packets, IPv6 headers included.',
    ({ interface: { captured, returned } }) => ({ up: captured.bytes, down: returned.bytes }),
  ),
  faithd_packets_dropped_total: byReason(
    'Packets that the interface dropped.',
    (of) => of.interface.drops,
  ),
  faithd_icmp_unreachable_total: byOutcome(
    'ICMPv6 Destination Unreachable messages `sent` to clients, with Time Exceeded about SYNs, and those `limited` by the rate limit.',
    ({ interface: { unreachableSent, unreachableLimited } }) => ({
      sent: unreachableSent,
      limited: unreachableLimited,
    }),
  ),
  faithd_host_multicast_packets_total: counterOf(
    'Link-local multicast packets of the host itself. They do not count as dropped.',
    (of) => of.interface.hostMulticast,
  ),
  faithd_syns_held_total: counterOf(
    'SYNs held until their servers were connected.',
    (of) => of.interface.synsHeld,
  ),
  faithd_syns_not_held_total: byReason(
    'SYNs not held: `max-held` SYNs were held (`max-held`), or their client was at a limit of its own (`client`).',
    ({ interface: { synsBeyondHold, synsBeyondClientHold } }) => ({
      'max-held': synsBeyondHold,
      client: synsBeyondClientHold,
    }),
  ),
  faithd_syns_held_limit: gaugeOf(
    'Most SYNs that the relays hold at once, by max-held or by descriptors.',
    (of) => of.limits.maxHeld,
  ),
  faithd_source_fallbacks_total: counterOf(
    'Connections from another source address than the own one of their client, which had no port left or was lost.',
    (of) => of.relay.localAddressFallbacks,
  ),
  faithd_ports_used: bySource(
    'Sessions from a source address, each with a port of it. Sessions to different servers may share a port, and a ' +
      'connection that has ended may keep one for a minute, so the ports in use may be fewer or more.',
    ({ sessions }) => sessions,
  ),
  faithd_ports_limit: bySource(
    'Ports of a source address towards each server, by ip_local_port_range less ip_local_reserved_ports. Programs ' +
      'beside faithd use them too.',
    ({ ports }) => ports,
  ),
  faithd_port_blocks: bySource(
    'Blocks of ports of a source address that clients have; absent without port-block.',
    ({ portBlocks, maxPortBlocks }) => (maxPortBlocks === 0 ? undefined : portBlocks),
  ),
  faithd_port_blocks_limit: bySource(
    'Blocks that the ports of a source address make; absent without port-block.',
    ({ maxPortBlocks }) => limit(maxPortBlocks),
  ),
  faithd_shortcut: gaugeOf(
    '1 if the packets of established connections stay in the kernel; 0 if the pump passes them.',
    (of) => Number(of.interface.shortcut),
  ),
  faithd_workers: gaugeOf('Threads that capture and relay.', (of) => of.interface.workers),
  faithd_advertisements_sent_total: ofLinks(
    'counter',
    'Router advertisements of the prefixes (PREF64) that were sent.',
    ({ sent }) => sent,
  ),
  faithd_advertisements_failed_total: ofLinks(
    'counter',
    'Router advertisements that the kernel refused to send.',
    ({ failed }) => failed,
  ),
  faithd_advertising: ofLinks(
    'gauge',
    '1 while the prefixes are advertised on the interface.',
    ({ state }) => Number(state === 'advertising'),
  ),
  faithd_dns64_udp_queries_total: ofDns64('DNS queries over UDP', 'udpQueries'),
  faithd_dns64_tcp_queries_total: ofDns64('DNS queries over TCP', 'tcpQueries'),
  faithd_dns64_tls_queries_total: ofDns64('DNS queries over TLS', 'tlsQueries'),
  faithd_dns64_dropped_total: ofDns64(
    'Messages to the DNS server that were dropped because they are no queries',
    'dropped',
  ),
  faithd_dns64_rejected_total: ofDns64(
    'DNS queries that were malformed, or of a kind that the server does not answer',
    'rejected',
  ),
  faithd_dns64_refused_total: ofDns64(
    'DNS queries of clients outside the networks that get answers',
    'refused',
  ),
  faithd_dns64_rate_limited_total: ofDns64('DNS queries over the rate of a client', 'rateLimited'),
  faithd_dns64_overloaded_total: ofDns64(
    'DNS queries and connections that were refused because there were too many',
    'overloaded',
  ),
  faithd_dns64_synthesised_total: ofDns64(
    'DNS responses with addresses that were made from IPv4 addresses',
    'synthesised',
  ),
  faithd_dns64_denied_total: ofDns64(
    'AAAA records that were not made because no access list would let the client connect',
    'denied',
  ),
  faithd_dns64_unusable_total: ofDns64(
    'AAAA records that were not made because the prefix has no address for the server, as 64:ff9b::/96 for special-use ones',
    'unusable',
  ),
  faithd_dns64_local_total: ofDns64('DNS responses about ipv4only.arpa', 'local'),
  faithd_dns64_cached_total: ofDns64('DNS responses out of the cache', 'cached'),
  faithd_dns64_cache_evictions_total: ofDns64(
    'DNS responses that left the cache early because it was full',
    'cacheEvictions',
  ),
  faithd_dns64_truncated_total: ofDns64(
    'DNS responses that did not fit into a datagram',
    'truncated',
  ),
  faithd_dns64_upstream_queries_total: ofDns64('Queries to other DNS servers', 'upstreamQueries'),
  faithd_dns64_upstream_failures_total: ofDns64(
    'Queries that no other DNS server answered',
    'upstreamFailures',
  ),
  faithd_dns64_loops_total: ofDns64('Queries that another DNS server put back to faithd', 'loops'),
  faithd_dns64_upstream_asked_total: ofUpstreams(
    'counter',
    'Queries to a DNS server that faithd asks, by its address or URL',
    ({ queries }) => queries,
  ),
  faithd_dns64_upstream_answered_total: ofUpstreams(
    'counter',
    'Queries that the DNS server answered, also with an error',
    ({ answered }) => answered,
  ),
  faithd_dns64_upstream_unanswered_total: ofUpstreams(
    'counter',
    'Queries to which the DNS server gave no response in time',
    ({ unanswered }) => unanswered,
  ),
  faithd_dns64_upstream_up: ofUpstreams(
    'gauge',
    '1 while the DNS server answers; 0 if it does not, or asks faithd, or is faithd itself',
    ({ condition }) => Number(condition === 'good'),
  ),
  faithd_log_refusals_summed_total: counter(
    'Refusals that the log tells in sums only.',
    (of) => of.log.refusalsSummed,
  ),
  faithd_log_lines_lost_total: counter(
    'Lines of the log that were lost because its reader did not keep up.',
    (of) => of.log.linesLost,
  ),
  faithd_ipfix_records_sent_total: counter(
    'Records that were sent to the IPFIX collector; absent without one.',
    (of) => of.exported?.sent,
  ),
  faithd_ipfix_records_lost_total: counter(
    'Records that had no room in the queue, were not sent, or were refused by the host of the IPFIX collector; absent without one.',
    (of) => of.exported?.lost,
  ),
  faithd_control_connections: gauge(
    'Open connections to the control socket; absent without one.',
    (of) => of.control?.connections,
  ),
  faithd_control_connections_refused_total: counter(
    'Connections to the control socket beyond their limit; absent without one.',
    (of) => of.control?.refused,
  ),
  process_start_time_seconds: gauge('Unix time at which faithd started.', (of) =>
    seconds(of.startedAt),
  ),
  process_cpu_seconds_total: counter(
    'Processor time that faithd used, in user and system mode.',
    (of) => of.process.cpuSeconds,
  ),
  process_resident_memory_bytes: gauge(
    'Resident memory of faithd.',
    (of) => of.process.residentBytes,
  ),
  process_open_fds: gauge('Descriptors that faithd has open.', (of) => of.descriptors.open),
  process_max_fds: gauge('Descriptors that faithd may open.', (of) => of.descriptors.limit),
}

/** Counts from the start, because Prometheus misses the first value of a series that begins above 0. */
const NO_REFUSALS = Object.fromEntries(REFUSAL_NAMES.map((name) => [name, 0])) as Record<
  FaithCause | FaithRefusalReason,
  0
>

/** The media type of {@link metricsText}. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Gives the metrics in Prometheus's text format 0.0.4. A metric without values is left out. */
export function metricsText(snapshot: MetricsSnapshot): string {
  const families = Object.entries(METRICS).map(([name, { type, help, read }]) => {
    const samples = read(snapshot)
    if (samples.length === 0) return ''
    const head = `# HELP ${name} ${escape(help)}\n# TYPE ${name} ${type}\n`
    return head + samples.flatMap(({ labels, value }) => lines(name, labels, value)).join('')
  })
  return families.join('')
}

function lines(name: string, labels: Labels, value: number | Histogram): string[] {
  const own = Object.entries(labels)
  if (typeof value === 'number') return [line(name, own, value)]
  const { buckets, count, sum } = value
  return [
    ...buckets.map(([upTo, below]) => line(`${name}_bucket`, [...own, ['le', `${upTo}`]], below)),
    line(`${name}_bucket`, [...own, ['le', '+Inf']], count),
    line(`${name}_sum`, own, sum),
    line(`${name}_count`, own, count),
  ]
}

function line(name: string, labels: readonly [string, string][], value: number): string {
  const pairs = labels.map(([label, text]) => `${label}="${escape(text).replaceAll('"', '\\"')}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join()}}`} ${value}\n`
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
