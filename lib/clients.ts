/** The clients of a relay, with the sums of their active sessions. */
import { setImmediate } from 'node:timers/promises'
import type { NativeRelay } from './native.js'
import { type OptionNames, OptionReader } from './option-reader.js'

/** Clients per turn of the event loop. */
const BATCH = 256

/**
 * The active sessions of one client of a relay, as they were at the call.
 *
 * @group Relay and route
 */
export interface FaithClient {
  /** The network that counts as one client: `2001:db8:1::/64`. */
  network: string
  /** Number of its active sessions. */
  sessions: number
  /** Bytes of these sessions to servers. */
  bytesUp: number
  /** Bytes of these sessions from servers. */
  bytesDown: number
  /** Age of the oldest session, in milliseconds. */
  oldestMs: number
  /** Time since a byte moved in any of these sessions, in milliseconds. */
  idleMs: number
  /**
   * Blocks of ports of source addresses that it has; 0 without `portBlock`. Where `prefixLength` is longer than the
   * relay's `clientPrefixLength`, the blocks of a client count in each network inside it.
   */
  portBlocks: number
}

/**
 * Options of {@link FaithRelay.clients}.
 *
 * @group Relay and route
 */
export interface FaithClientsOptions {
  /** Length of the prefix that counts as one client, 0 to 128. Default: the relay's `clientPrefixLength`. */
  prefixLength?: number
}

const OPTIONS: OptionNames<FaithClientsOptions> = { prefixLength: true }

/** @internal The checked prefix length, if one was given. */
export function readPrefixLength(options: unknown): number | undefined {
  const read = new OptionReader('relay.clients', OPTIONS, options)
  if (read.unchecked('prefixLength') === undefined) return undefined
  return read.integer('prefixLength', { min: 0, max: 128 })
}

/** @internal Gives the current clients, those with most sessions first. */
export async function* currentClients(
  relay: Pick<NativeRelay, 'networks'>,
  prefixLength: number,
): AsyncGenerator<FaithClient, undefined> {
  const networks = await relay.networks(prefixLength)
  for (;;) {
    const batch = networks.next(BATCH)
    yield* batch
    if (batch.length < BATCH) return undefined
    await setImmediate()
  }
}
