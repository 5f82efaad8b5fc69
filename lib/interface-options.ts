/** The options of an interface, read once, at the public edge, into the addon's form. */
import { DRAIN_MS } from './at-exit.js'
import { FaithError } from './errors.js'
import type { NativeInterfaceOptions } from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'

/**
 * Options of {@link createFaithInterface}. Every option has a default.
 *
 * @group Interface
 */
export interface FaithInterfaceOptions {
  /** The interface's name, 1 to 15 bytes. Default `faith0`. */
  name?: string
  /**
   * The prefixes to capture, with a length of RFC 6052 (32, 40, 48, 56, 64, 96) and without host bits. Default: the
   * well-known prefix, `64:ff9b::/96`.
   */
  prefixes?: readonly string[]
  /**
   * The interface's MTU in bytes, 1280 to 65535. Default 65535, so that the interface is never the narrow link. The MSS
   * offered to clients is 60 bytes less than this MTU or than the largest MTU of the host's other devices, whichever is
   * less.
   */
  mtu?: number
  /**
   * `true` adds a route to the interface for each prefix to the host's main routing table. Default `true`. With `false`
   * the operator routes by hand: `ip -6 route add 64:ff9b::/96 dev faith0`.
   */
  routes?: boolean
  /**
   * The answer to packets that cannot be relayed, such as UDP. `unreachable` (default): an ICMPv6 error, so that
   * clients fall back to TCP at once. `drop`: none, as on BSD.
   */
  unsupported?: 'unreachable' | 'drop'
  /** Number of threads that capture and relay, 1 to 64. Default: one per core. */
  workers?: number
  /**
   * The way listeners on many ports get their connections. `auto` (default): by an sk_lookup program (Linux 5.9) if
   * kernel and privileges allow it, else on demand. `on-demand`: a port's first SYN makes a listening socket.
   */
  steering?: 'auto' | 'on-demand'
  /**
   * `true` keeps the packets of established connections in the kernel (Linux 6.6, and privileges as for sk_lookup), by
   * a veth pair beside the interface, instead of passing them through this process. Default `true`, if it is possible.
   * Routes and firewalls see these packets as without the shortcut. Packet captures, counters and traffic control of
   * the interface itself miss the packets to the stack.
   */
  shortcut?: boolean
  /** A signal that closes the interface when aborted, like `close()`. Default: none. */
  signal?: AbortSignal
}

/**
 * Options of {@link FaithInterface.close}.
 *
 * @group Interface
 */
export interface FaithInterfaceCloseOptions {
  /**
   * Time for clients of ended connections to acknowledge their last bytes, in milliseconds. Default 5000. With 0 they
   * are reset at once.
   */
  drainMs?: number
}

const OPTIONS: OptionNames<FaithInterfaceOptions> = {
  name: true,
  prefixes: true,
  mtu: true,
  routes: true,
  unsupported: true,
  workers: true,
  steering: true,
  shortcut: true,
  signal: true,
}
const CLOSE: OptionNames<FaithInterfaceCloseOptions> = { drainMs: true }

/** @internal The checked options of `createFaithInterface`, with defaults. */
export interface InterfaceOptions {
  settings: NativeInterfaceOptions
  signal: AbortSignal | undefined
}

/** @internal */
export function readInterfaceOptions(options: unknown): InterfaceOptions {
  const read = new OptionReader('createFaithInterface', OPTIONS, options)
  const workers = read.unchecked('workers') === undefined ? {} : { workers: readWorkers(read) }
  const settings = {
    name: read.string('name', 'faith0'),
    prefixes: readPrefixes(read),
    mtu: read.integer('mtu', { min: 1280, max: 65_535 }, 65_535),
    routes: read.boolean('routes', true),
    unsupported: read.oneOf('unsupported', ['unreachable', 'drop'], 'unreachable'),
    steering: read.oneOf('steering', ['auto', 'on-demand'], 'auto'),
    shortcut: read.boolean('shortcut', true),
    ...workers,
  }
  return { settings, signal: read.signal('signal') }
}

/** @internal Gives the time for clients to acknowledge their last bytes. */
export function readInterfaceClose(options: unknown): number {
  const read = new OptionReader('faith.close', CLOSE, options)
  return read.integer('drainMs', { min: 0, max: MOST }, DRAIN_MS)
}

function readPrefixes(read: OptionReader<'prefixes'>): string[] {
  const prefixes = read.strings('prefixes', ['64:ff9b::/96'])
  const twice = prefixes.find((prefix, index) => prefixes.indexOf(prefix) !== index)
  if (twice === undefined) return prefixes
  throw new FaithError('ERR_FAITH_PREFIX', `createFaithInterface: \`prefixes\` has ${twice} twice`)
}

function readWorkers(read: OptionReader<'workers'>): number {
  return read.integer('workers', { min: 1, max: 64 }, 1)
}
