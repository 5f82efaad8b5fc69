/** Takes the facts that the metrics are made from. */
import { getKeepfaith } from '../../index.js'
import type { RunningInterface } from '../running.js'
import { descriptors, forwardsIPv6 } from './host.js'
import type { InterfaceSnapshot, MetricsSnapshot } from './metrics.js'

/** Facts that the command knows, and the daemon does not. */
export type ProcessFacts = Pick<MetricsSnapshot, 'version' | 'startedAt' | 'log'>

/** Gives everything that the metrics are made from, as it is now. */
export function takeSnapshot(
  interfaces: readonly RunningInterface[],
  configuration: MetricsSnapshot['configuration'],
  facts: ProcessFacts,
): MetricsSnapshot {
  const { user, system } = process.cpuUsage()
  return {
    ...facts,
    keepfaith: getKeepfaith(),
    forwarding: forwardsIPv6(),
    process: {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
    },
    descriptors: descriptors(),
    configuration,
    interfaces: interfaces.map(ofInterface),
  }
}

function ofInterface(running: RunningInterface): InterfaceSnapshot {
  return { name: running.faith.name, ...running.totals(), limits: running.limits() }
}
