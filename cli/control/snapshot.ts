/** Takes the facts that the metrics are made from. */
import { getKeepfaith } from '../../index.js'
import type { Advertising } from '../advertising.js'
import type { Dns64 } from '../dns64.js'
import type { RunningInterface } from '../running.js'
import { descriptors, forwardsIPv6 } from './host.js'
import type { InterfaceSnapshot, MetricsSnapshot } from './metric-kinds.js'

/** The part of the daemon that the metrics tell about. */
export interface Observed {
  readonly startedAt: Date
  /** The last reload that was asked for. */
  readonly lastReload: { applied: boolean } | undefined
  /** The time at which the configuration in force was applied. */
  readonly appliedAt: Date
  readonly interfaces: Iterable<RunningInterface> & {
    readonly advertising: Pick<Advertising, 'links'>
    readonly dns64: Pick<Dns64, 'state'>
  }
}

/** Facts that the daemon does not know. */
export interface ProcessFacts extends Pick<MetricsSnapshot, 'version' | 'control' | 'exported'> {
  /** Lines of the log that were lost. */
  linesLost: number
  /** The reason why the log cannot be written now. */
  logTrouble?: string | undefined
  /** Refusals that the log tells in sums only. */
  refusalsSummed: number
}

/** Gives everything that the metrics are made from, as it is now. */
export async function takeSnapshot(
  daemon: Observed,
  facts: ProcessFacts,
): Promise<MetricsSnapshot> {
  const { linesLost, logTrouble: _, refusalsSummed, ...more } = facts
  const { startedAt, lastReload, appliedAt } = daemon
  const { user, system } = process.cpuUsage()
  const dns64 = daemon.interfaces.dns64.state
  return {
    ...more,
    ...(dns64 && { dns64: dns64.stats }),
    upstreams: dns64?.servers ?? [],
    startedAt,
    keepfaith: getKeepfaith(),
    forwarding: forwardsIPv6(),
    process: { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() },
    descriptors: descriptors(),
    configuration: { lastReloadApplied: lastReload?.applied ?? true, appliedAt },
    log: { linesLost, refusalsSummed },
    advertised: daemon.interfaces.advertising.links,
    interfaces: await Promise.all(Array.from(daemon.interfaces, ofInterface)),
  }
}

async function ofInterface(running: RunningInterface): Promise<InterfaceSnapshot> {
  const sources = await running.sources()
  return { name: running.faith.name, ...running.totals(), limits: running.limits(), sources }
}
