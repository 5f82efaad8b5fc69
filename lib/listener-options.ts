/** The options of a listener, read once, at the public edge, into the addon's form. */
import { isIPv6 } from 'node:net'
import { MAPPING_OPTIONS, type MappingOptions, readMappings } from './mapping.js'
import type { NativeListenOptions } from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import { PORT_OPTIONS, type PortOptions, readPorts } from './ports.js'
import type { FaithSocketOptions } from './socket.js'

/**
 * Options of {@link FaithInterface.listen}, without the ports.
 *
 * @group Listener and sockets
 */
export interface FaithListenSettings extends MappingOptions, Partial<FaithSocketOptions> {
  /**
   * One address inside a prefix of the interface. Default: every address of every prefix. A listener on one address
   * takes precedence over one on all addresses.
   */
  address?: string
  /** Maximum number of connections that wait to be accepted, 1 to 65535, as in listen(2). Default 4096. */
  backlog?: number
  /** A signal that closes the listener when aborted, like `close()`. Default: none. */
  signal?: AbortSignal
}

/**
 * Options of {@link FaithInterface.listen}.
 *
 * @group Listener and sockets
 */
export type FaithListenOptions = FaithListenSettings & PortOptions

const LISTEN: OptionNames<FaithListenOptions> = {
  ...PORT_OPTIONS,
  ...MAPPING_OPTIONS,
  address: true,
  backlog: true,
  allowHalfOpen: true,
  pauseOnConnect: true,
  signal: true,
}

/**
 * Options of {@link FaithListener.connections} and {@link FaithUdpSocket.messages}.
 *
 * @group Listener and sockets
 */
export interface FaithIterationOptions {
  /** A signal that ends the iteration with an `AbortError`. Default: none; the iteration ends when the listener or the socket closes. */
  signal?: AbortSignal
}

const ITERATION: OptionNames<FaithIterationOptions> = { signal: true }

/**
 * Options of {@link FaithListener.close}.
 *
 * @group Listener and sockets
 */
export interface FaithListenerCloseOptions {
  /**
   * Time for the listener's sockets to end, in milliseconds. Sockets that are open after that end as by the close of
   * the interface. Default: `close()` does not wait for the sockets, and they live on as long as the interface.
   */
  drainMs?: number
}

const CLOSE: OptionNames<FaithListenerCloseOptions> = { drainMs: true }

/** @internal The checked options of `faith.listen`, with defaults. */
export interface ListenOptions {
  settings: NativeListenOptions
  socketOptions: FaithSocketOptions
  signal: AbortSignal | undefined
}

/** @internal */
export function readListenOptions(options: unknown): ListenOptions {
  const call = 'faith.listen'
  const read = new OptionReader(call, LISTEN, options)
  const settings = {
    ports: readPorts(read),
    ...readAddress(read),
    backlog: read.integer('backlog', { min: 1, max: 65_535 }, 4096),
    ...readMappings(call, read),
  }
  const socketOptions = {
    allowHalfOpen: read.boolean('allowHalfOpen', true),
    pauseOnConnect: read.boolean('pauseOnConnect', false),
  }
  return { settings, socketOptions, signal: read.signal('signal') }
}

/** @internal Gives the signal that ends an iteration. */
export function readIteration(
  options: unknown,
  call: string = 'listener.connections',
): AbortSignal | undefined {
  return new OptionReader(call, ITERATION, options).signal('signal')
}

/** @internal Gives the time for sockets to end; `undefined` if the close does not wait for them. */
export function readListenerClose(options: unknown): number | undefined {
  const read = new OptionReader('listener.close', CLOSE, options)
  const waits = read.unchecked('drainMs') !== undefined
  return waits ? read.integer('drainMs', { min: 0, max: MOST }) : undefined
}

/** @internal Reads the `address` option for the addon: an IPv6 address, or absent. */
export function readAddress(read: OptionReader<'address'>): { address?: string } {
  const address = read.unchecked('address')
  if (address === undefined) return {}
  if (typeof address !== 'string' || !isIPv6(address) || address.includes('%')) {
    throw read.refuse('address', 'an IPv6 address', address)
  }
  return { address }
}
