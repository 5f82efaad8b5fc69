/** The options that map captured addresses to IPv4 servers. */
import { type OptionNames, OptionReader } from './option-reader.js'

/**
 * An explicit mapping of IPv6 addresses to IPv4 addresses.
 *
 * @group Interface
 */
export interface FaithMapping {
  /** An IPv6 prefix such as `2001:db8:64:a::/120`, or one address. */
  ipv6: string
  /** An IPv4 prefix with as many addresses. For one address also an address with a port: `198.51.100.80:8080`. */
  ipv4: string
}

/**
 * Options that map captured addresses to IPv4 servers. A relay connects to these servers, and `destination` of a
 * {@link FaithSocket} names them.
 *
 * @group Interface
 */
export interface MappingOptions {
  /**
   * The place of the IPv4 address inside the IPv6 address. `rfc6052` (default): as RFC 6052 defines for the prefix
   * length. `low32`: the last 32 bits for every length, as in RFC 3142 and BSD's faithd. On a /96 both agree.
   */
  mapping?: 'rfc6052' | 'low32'
  /**
   * Explicit mappings, similar to RFC 7757. They take precedence over `mapping`; the longest IPv6 prefix that contains
   * an address decides. Default: none.
   *
   * ```text
   * 2001:db8:64:a::/120=198.51.100.0/24     256 addresses, one-to-one
   * 2001:db8:64::25=198.51.100.25           one address
   * 2001:db8:64::80=198.51.100.80:8080      every port of one address, to one port
   * ```
   */
  mappings?: readonly string[] | readonly FaithMapping[]
}

/** The names of {@link MappingOptions}. */
export const MAPPING_OPTIONS: OptionNames<MappingOptions> = { mapping: true, mappings: true }

/** The names of a {@link FaithMapping}. */
const PAIR: OptionNames<FaithMapping> = { ipv6: true, ipv4: true }

type MappingReader = OptionReader<keyof MappingOptions>

/** The mapping options in the addon's form. */
export interface Mappings {
  mapping: string
  mappings: string[]
}

/** Reads the mapping options of `call` for the addon. */
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
