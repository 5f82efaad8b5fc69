/** The table of docs/metrics.md, and the metrics of a faithd that has done nothing yet. */
import type { MetricsSnapshot } from '../cli/control/metric-kinds.js'
import { METRICS } from '../cli/control/metrics.js'
import { toInterfaceStats } from '../lib/interface-stats.js'
import { toRelayStats } from '../lib/relay-stats.js'

const SESSIONS = {
  active: 0,
  begun: 0,
  byProtocol: {},
  ended: {},
  aborted: {},
  bytesUp: 0,
  bytesDown: 0,
}
const DNS64 = {
  udpQueries: 0,
  tcpQueries: 0,
  dropped: 0,
  rejected: 0,
  refused: 0,
  rateLimited: 0,
  overloaded: 0,
  synthesised: 0,
  denied: 0,
  unusable: 0,
  local: 0,
  cached: 0,
  tlsQueries: 0,
  cacheEvictions: 0,
  truncated: 0,
  upstreamQueries: 0,
  upstreamFailures: 0,
  loops: 0,
}
const UPSTREAM = {
  upstream: '192.0.2.53:53',
  queries: 0,
  answered: 0,
  unanswered: 0,
  loops: 0,
  condition: 'good' as const,
  trouble: undefined,
}
const PACKETS = { packets: 0, bytes: 0 }
const DURATIONS = { buckets: [{ upToMs: 1, count: 0 }], count: 0, sumMs: 0 }

/** The snapshot of a faithd with idle interfaces of these names. */
export function idleSnapshot(...names: readonly string[]): MetricsSnapshot {
  const start = new Date(0)
  return {
    version: '0.0.0',
    startedAt: start,
    keepfaith: true,
    forwarding: true,
    process: { cpuSeconds: 0, residentBytes: 0 },
    descriptors: { open: 0, limit: 1024 },
    configuration: { lastReloadApplied: true, appliedAt: start },
    log: { linesLost: 0, refusalsSummed: 0 },
    exported: { sent: 0, lost: 0 },
    control: { connections: 0, refused: 0 },
    dns64: DNS64,
    upstreams: [UPSTREAM],
    advertised: names.map((name) => ({ name, state: 'advertising', sent: 0, failed: 0 })),
    interfaces: names.map((name) => ({
      name,
      interface: toInterfaceStats({
        captured: PACKETS,
        returned: PACKETS,
        unreachableSent: 0,
        unreachableLimited: 0,
        hostMulticast: 0,
        synsHeld: 0,
        synsBeyondHold: 0,
        synsBeyondClientHold: 0,
        drops: {},
        steering: 'sk_lookup',
        shortcut: true,
        workers: 1,
        mtu: 65_535,
        splices: SESSIONS,
      }),
      relay: toRelayStats({
        accepted: 0,
        handedOver: 0,
        attempts: 0,
        sessions: SESSIONS,
        refused: [],
        untoldSessions: 0,
        untoldRefused: [],
        localAddressFallbacks: 0,
        connectDurations: DURATIONS,
        maxHeld: 4096,
        maxSessions: 1000,
      }),
      limits: { maxSessions: 1000, maxHeld: 4096 },
      sources: [
        { address: '192.0.2.1', sessions: 0, ports: 28_232, portBlocks: 0, maxPortBlocks: 55 },
      ],
    })),
  }
}

/** Names chosen by the operator or the build: their values are not in the table. */
export const FREE = new Set(['interface', 'source', 'version', 'node', 'architecture'])

/** Gives the table of all metrics, in Markdown. */
export function metricsTable(): string {
  const snapshot = idleSnapshot('faith0')
  const rows = Object.entries(METRICS).map(([name, { type, labels, help, read }]) => {
    const described = labels.map((label) => {
      const values = read(snapshot).map((sample) => `\`${sample.labels[label]}\``)
      return `\`${label}\`${FREE.has(label) ? '' : `: ${values.join(' ')}`}`
    })
    return `| \`${name}\` | ${type} | ${help} | ${described.join('; ')} |`
  })
  return ['| metric | type | meaning | labels |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
