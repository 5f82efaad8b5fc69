/** The options of a relay for datagrams, read into the addon's form. */
import type { NativeUdpOptions } from './native.js'
import { MOST, type OptionNames, OptionReader, show } from './option-reader.js'
import { FaithError } from './errors.js'
import type { FaithProtocol } from './protocol.js'

/**
 * The datagrams of servers that reach a client (RFC 4787 section 5).
 *
 * | filtering | reaches the client |
 * |---|---|
 * | `endpoint-independent` | datagrams of every server that the access list permits |
 * | `address-dependent` | those of addresses that the client has sent to, from any port |
 * | `address-and-port-dependent` | those of addresses and ports that the client has sent to |
 *
 * @group Relay and route
 */
export type FaithUdpFiltering =
  'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

/**
 * Options of a relay for datagrams of UDP. Each port of a client has one socket and so one port of this host, whatever
 * it sends to: a *mapping*. Echo requests have mappings likewise, one for each identifier, within the same limits; their
 * sessions end after a minute. A *session* is what a client sends from a port to one destination, and the answers.
 *
 * @group Relay and route
 */
export interface FaithUdpOptions {
  /** The datagrams of servers that reach a client. Default `'address-dependent'`. */
  filtering?: FaithUdpFiltering
  /**
   * The treatment of datagrams that are too long for the path to their client and did not come in fragments:
   * `'fragment'` (default) passes them on in fragments, `'drop'` drops them, as RFC 7915 has it. Either way the server is
   * told the length that fits (ICMP "fragmentation needed"). If it cannot be told, for lack of `CAP_NET_RAW`, the relay
   * fragments.
   */
  oversize?: 'fragment' | 'drop'
  /** End a session after this long without a datagram of the client, in milliseconds, 1000 or more. Default 300000. */
  timeoutMs?: number
  /**
   * The same for single ports of servers, in milliseconds. Default `{ 53: 10000, 123: 30000, 3478: 30000 }`. A session
   * with port 53 that has an answer to each question ends a second after the last question. It ends with the last answer
   * if a quarter of the mappings was taken when it began, of those in all or of its client.
   */
  portTimeoutsMs?: Readonly<Record<number, number>>
  /**
   * Maximum number of mappings at once, 1 to 4294967295. They get at most a quarter of the descriptors that the process
   * may open; `relay.stats().udp.maxMappings` gives the effective limit. Default 16384. A mapping has a session for each
   * destination, at most 4096. Beyond the first of each mapping, there may be eight times as many sessions as mappings.
   */
  maxMappings?: number
  /**
   * Maximum number of mappings of one client at once; 0 means no limit. Default 1000. Beyond the first of each mapping, the
   * client may have eight times as many sessions.
   */
  maxMappingsPerClient?: number
  /** Maximum number of new mappings of one client per second; 0 (default) means no limit. */
  maxRatePerClient?: number
  /** Maximum number of new sessions of all clients per second, 1 to 4294967295. Default 100000. */
  maxRate?: number
}

const OPTIONS: OptionNames<FaithUdpOptions> = {
  filtering: true,
  oversize: true,
  timeoutMs: true,
  portTimeoutsMs: true,
  maxMappings: true,
  maxMappingsPerClient: true,
  maxRatePerClient: true,
  maxRate: true,
}

const FILTERING = [
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
] as const satisfies readonly FaithUdpFiltering[]

const PORT_TIMEOUTS_MS = { 53: 10_000, 123: 30_000, 3478: 30_000 }

/** Shorter times would end sessions between a question and its answer. */
const TIMEOUT_MS = { min: 1000, max: MOST }

/** Reads the options of a relay for these protocols. `call` names the call in messages. */
export function readUdpOptions(
  call: string,
  options: unknown,
  protocols: readonly FaithProtocol[],
): NativeUdpOptions {
  const read = new OptionReader(call, OPTIONS, options, '`udp`')
  return {
    udp: protocols.includes('udp'),
    icmp: protocols.includes('icmp'),
    filtering: read.oneOf('filtering', FILTERING, 'address-dependent'),
    oversize: read.oneOf('oversize', ['fragment', 'drop'], 'fragment'),
    timeoutMs: read.integer('timeoutMs', TIMEOUT_MS, 300_000),
    portTimeouts: readPortTimeouts(call, read.unchecked('portTimeoutsMs', PORT_TIMEOUTS_MS)),
    maxMappings: read.integer('maxMappings', { min: 1, max: MOST }, 16_384),
    maxMappingsPerClient: read.integer('maxMappingsPerClient', { min: 0, max: MOST }, 1000),
    maxRatePerClient: read.integer('maxRatePerClient', { min: 0, max: MOST }, 0),
    maxRate: read.integer('maxRate', { min: 1, max: MOST }, 100_000),
  }
}

function readPortTimeouts(call: string, given: unknown): { port: number; timeoutMs: number }[] {
  if (typeof given !== 'object' || given === null) throw refuse(call, given)
  return Object.entries(given).map(([name, timeoutMs]: [string, unknown]) => {
    const port = Number(name)
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw refuse(call, name)
    if (
      typeof timeoutMs !== 'number' ||
      !Number.isInteger(timeoutMs) ||
      timeoutMs < TIMEOUT_MS.min ||
      timeoutMs > TIMEOUT_MS.max
    ) {
      throw refuse(call, timeoutMs)
    }
    return { port, timeoutMs }
  })
}

function refuse(call: string, given: unknown): FaithError {
  const message = `${call}: \`portTimeoutsMs\` must have ports from 1 to 65535 with times from 1000, got ${show(given)}`
  return new FaithError('ERR_FAITH_ARGUMENT', message)
}
