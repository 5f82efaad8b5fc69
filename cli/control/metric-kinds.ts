/** The kinds of metrics: what each reads of a snapshot, and the labels of its values. */
import type { FaithDns64Upstream } from '../../lib/dns64.js'
import type { FaithProtocolStats } from '../../lib/session.js'
import type { FaithSource } from '../../lib/sources.js'
import type { Dns64Counts } from '../dns64.js'
import type { InterfaceTotals } from '../running.js'

/** Counts of connections by the time until their servers answered. */
export interface ConnectDurations {
  /** Bounds in rising order, each with the number of connections up to it. */
  buckets: readonly { upToMs: number; count: number }[]
  count: number
  sumMs: number
}

/** The part of a snapshot about one interface. */
export interface InterfaceSnapshot {
  name: string
  interface: InterfaceTotals['interface']
  /** Sums over the relays since the interface was made, closed ones included. */
  relay: InterfaceTotals['relay'] & { connectDurations?: ConnectDurations }
  /** Sums over the relays that have connections or may get some; 0 means no limit. */
  limits: { maxSessions: number; maxHeld: number }
  /** The use of the local addresses that connections to servers come from. */
  sources: readonly FaithSource[]
}

/** Everything that the metrics are made from, at one moment. */
export interface MetricsSnapshot {
  version: string
  startedAt: Date
  keepfaith: boolean
  /** True if the host forwards IPv6. */
  forwarding: boolean
  process: { cpuSeconds: number; residentBytes: number }
  descriptors: { open: number; limit: number }
  /** The result of the last reload, and the time at which the configuration in force was applied. */
  configuration: { lastReloadApplied: boolean; appliedAt: Date }
  /** Lines that were lost, and refusals that the log tells in sums only. */
  log: { linesLost: number; refusalsSummed: number }
  /** Records for the IPFIX collector; absent without one. */
  exported?: { sent: number; lost: number }
  /** Connections to the control socket; absent without one. */
  control?: { connections: number; refused: number }
  interfaces: readonly InterfaceSnapshot[]
  /** The counts of the DNS server; absent without one. */
  dns64?: Dns64Counts
  /** The DNS servers that it asks. */
  upstreams: readonly FaithDns64Upstream[]
  /** Interfaces on which the prefixes are advertised. */
  advertised: readonly { name: string; state: string; sent: number; failed: number }[]
}

/** A label of a metric. Only the operator and the version choose the values, so no client multiplies series. */
export type Label =
  | 'interface'
  | 'direction'
  | 'outcome'
  | 'protocol'
  | 'reason'
  | 'source'
  | 'upstream'
  | 'version'
  | 'node'
  | 'architecture'

/** The labels of a value. */
export type Labels = Partial<Record<Label, string>>

/** A value of a metric, with its labels. */
interface Sample {
  labels: Labels
  value: number | Histogram
}

/** Counts by upper bound in seconds. Each includes those of lower bounds. */
export interface Histogram {
  buckets: readonly [upTo: number, count: number][]
  count: number
  sum: number
}

/** One metric: a row of the table. */
export interface Metric {
  type: 'counter' | 'gauge' | 'histogram'
  help: string
  labels: readonly Label[]
  read(snapshot: MetricsSnapshot): readonly Sample[]
}

const ofProcess =
  (type: 'counter' | 'gauge') =>
  (help: string, read: (snapshot: MetricsSnapshot) => number | undefined): Metric => ({
    type,
    help,
    labels: [],
    read: (snapshot) => {
      const value = read(snapshot)
      return value === undefined ? [] : [{ labels: {}, value }]
    },
  })

/** A metric with one value for each interface. */
const ofInterfaces =
  (type: Metric['type']) =>
  (help: string, read: (of: InterfaceSnapshot) => number | Histogram | undefined): Metric => ({
    type,
    help,
    labels: ['interface'],
    read: ({ interfaces }) =>
      interfaces.flatMap((one) => {
        const value = read(one)
        return value === undefined ? [] : [{ labels: { interface: one.name }, value }]
      }),
  })

/** A metric with one value for each interface on which the prefixes are advertised. */
export const ofLinks = (
  type: 'counter' | 'gauge',
  help: string,
  read: (of: MetricsSnapshot['advertised'][number]) => number,
): Metric => ({
  type,
  help,
  labels: ['interface'],
  read: ({ advertised }) =>
    advertised.map((link) => ({ labels: { interface: link.name }, value: read(link) })),
})

/** A metric with one value for each DNS server that faithd asks. */
export const ofUpstreams = (
  type: 'counter' | 'gauge',
  help: string,
  read: (of: FaithDns64Upstream) => number,
): Metric => ({
  type,
  help: `${help}; absent without [dns64].`,
  labels: ['upstream'],
  read: ({ upstreams }) => {
    // A server that is named twice has one series.
    const values = new Map<string, number>()
    const join = type === 'gauge' ? Math.min : (one: number, other: number) => one + other
    for (const one of upstreams) {
      const before = values.get(one.upstream)
      values.set(one.upstream, before === undefined ? read(one) : join(before, read(one)))
    }
    return [...values].map(([upstream, value]) => ({ labels: { upstream }, value }))
  },
})

/** A counter with one value for each interface and each value of another label. */
const counterBy =
  (label: 'direction' | 'outcome' | 'protocol' | 'reason', type: 'counter' | 'gauge' = 'counter') =>
  (help: string, read: (of: InterfaceSnapshot) => Readonly<Record<string, number>>): Metric => ({
    type,
    help,
    labels: ['interface', label],
    read: ({ interfaces }) =>
      interfaces.flatMap((one) =>
        Object.entries(read(one)).map(([name, value]) => ({
          labels: { interface: one.name, [label]: name },
          value,
        })),
      ),
  })

/** A gauge with one value for each interface and source address. A value of `undefined` is absent. */
export const bySource = (help: string, read: (of: FaithSource) => number | undefined): Metric => ({
  type: 'gauge',
  help,
  labels: ['interface', 'source'],
  read: ({ interfaces }) =>
    interfaces.flatMap(({ name, sources }) =>
      sources.flatMap((source) => {
        const value = read(source)
        if (value === undefined) return []
        return [{ labels: { interface: name, source: source.address }, value }]
      }),
    ),
})

export const gauge = ofProcess('gauge')
export const counter = ofProcess('counter')
export const ofDns64 = (help: string, count: keyof Dns64Counts): Metric =>
  counter(`${help}; absent without [dns64].`, ({ dns64 }) => dns64?.[count])
export const gaugeOf = ofInterfaces('gauge')
export const counterOf = ofInterfaces('counter')
export const histogramOf = ofInterfaces('histogram')
export const byDirection = counterBy('direction')
export const byOutcome = counterBy('outcome')
export const byReason = counterBy('reason')
export const byProtocol = (
  type: 'counter' | 'gauge',
  help: string,
  count: keyof FaithProtocolStats,
): Metric =>
  counterBy('protocol', type)(help, ({ relay: { sessions } }) => ({
    tcp: sessions.byProtocol.tcp[count],
    udp: sessions.byProtocol.udp[count],
    icmp: sessions.byProtocol.icmp[count],
  }))

export const seconds = (date: Date): number => date.getTime() / 1000
export const limit = (value: number): number | undefined => (value === 0 ? undefined : value)

/** Counts by seconds. */
export function histogram(durations: ConnectDurations | undefined): Histogram | undefined {
  if (durations === undefined) return undefined
  const { buckets, count, sumMs } = durations
  return {
    buckets: buckets.map(({ upToMs, count: upTo }) => [upToMs / 1000, upTo]),
    count,
    sum: sumMs / 1000,
  }
}
