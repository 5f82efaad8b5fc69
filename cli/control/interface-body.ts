/** An interface and its relays, as the control interface shows them. */
import type { RunningInterface, RunningRelay } from '../running.js'
import type { FaithInterfaceStatus, RelayStatus } from './schemas.js'

export async function interfaceBody(running: RunningInterface): Promise<FaithInterfaceStatus> {
  const { faith, maker } = running
  const stats = faith.stats()
  const { steering, shortcut, workers, mtu, captured, returned, drops } = stats
  return {
    name: faith.name,
    prefixes: [...faith.prefixes],
    steering,
    shortcut,
    workers,
    mtu,
    configured: maker === 'configuration',
    captured,
    returned,
    syns: {
      held: stats.synsHeld,
      beyondHold: stats.synsBeyondHold,
      beyondClientHold: stats.synsBeyondClientHold,
    },
    drops,
    sources: await running.sources(),
    relays: running.allRelays.map((relay) => relayBody(running, relay)),
  }
}

function relayBody(running: RunningInterface, one: RunningRelay): RelayStatus {
  const { sessions, attempts, refused, maxSessions, maxHeld } = one.relay.stats()
  const { configuration } = one
  return {
    number: one.number,
    ports: configuration.ports,
    retired: running.isRetired(one),
    sessions,
    attempts,
    refused,
    limits: {
      maxSessions,
      maxHeld,
      maxSessionsPerClient: configuration['max-sessions-per-client'],
      maxRatePerClient: configuration['max-rate-per-client'],
      maxHeldPerClient: configuration['max-held-per-client'],
      clientPrefixLength: configuration['client-prefix-length'],
    },
    rules: one.accessList?.rules ?? 0,
  }
}
