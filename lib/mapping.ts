/** Which IPv4 servers captured addresses mean: the options that say so. */
import { type OptionNames, OptionReader } from './option-reader.js'

/**
 * One explicit mapping of IPv6 addresses to IPv4.
 *
 * @group Interface
 */
export interface FaithMapping {
  /** An IPv6 prefix such as `2001:db8:64:a::/120`, or one address. */
  ipv6: string
  /** An IPv4 prefix with as many addresses; for one address also a server with its port, `198.51.100.80:8080`. */
  ipv4: string
}

/**
 * Which IPv4 servers captured addresses mean: where a relay takes connections, and what `destination` of a
 * {@link FaithSocket} says.
 *
 * @group Interface
 */
export interface MappingOptions {
  /**
   * Where the IPv4 address is inside the IPv6 one. `rfc6052` (default): as RFC 6052 says for the prefix's length.
   * `low32`: the last 32 bits whatever the length, as RFC 3142 and BSD's faithd have it. On a /96 both agree.
   */
  mapping?: 'rfc6052' | 'low32'
  /**
   * Addresses that mean another IPv4 address than the one inside them, in the manner of RFC 7757; they go before
   * `mapping`, and of several that hold an address the longest IPv6 prefix decides. Default: none.
   *
   * ```text
   * 2001:db8:64:a::/120=198.51.100.0/24     256 addresses, whose last 8 bits are kept
   * 2001:db8:64::25=198.51.100.25           one address
   * 2001:db8:64::80=198.51.100.80:8080      one address, and this port whatever port is dialled
   * ```
   */
  mappings?: readonly string[] | readonly FaithMapping[]
}

/** The names of {@link MappingOptions}. */
export const MAPPING_OPTIONS: OptionNames<MappingOptions> = { mapping: true, mappings: true }

/** The names of a {@link FaithMapping}. */
const PAIR: OptionNames<FaithMapping> = { ipv6: true, ipv4: true }

type MappingReader = OptionReader<keyof MappingOptions>

/** What the addon takes for them. */
export interface Mappings {
  mapping: string
  mappings: string[]
}

/** The options of `call`, for the addon. */
export function readMappings(call: string, read: MappingReader): Mappings {
  return {
    mapping: read.oneOf('mapping', ['rfc6052', 'low32'], 'rfc6052'),
    mappings: read.list('mappings', [], (mapping) => readMapping(call, read, mapping)),
  }
}

function readMapping(call: string, read: MappingReader, mapping: unknown): string {
  if (typeof mapping === 'string') return mapping
  if (typeof mapping !== 'object' || mapping === null) {
    throw read.refuse('mappings', 'an array of strings or { ipv6, ipv4 }', mapping)
  }
  const pair = new OptionReader(`${call}: a mapping of \`mappings\``, PAIR, mapping)
  const text = `${pair.string('ipv6')}=${pair.string('ipv4')}`
  return text
}
