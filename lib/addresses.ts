/** Converts between IPv4 addresses and the IPv6 addresses that embed them (RFC 6052). */
import { unwrap } from './failure.js'
import { native } from './native.js'
import { readText } from './option-reader.js'

/**
 * Embeds an IPv4 address into `prefix`. A client dials the result to reach that server through a faith interface, and
 * DNS64 answers with it. Needs no interface and no privileges.
 *
 * The IPv4 address follows the prefix but skips bits 64 to 71. Those and the bits behind the IPv4 address are zero.
 *
 * Source: RFC 6052 section 2.2.
 *
 * @param ipv4 - a dotted IPv4 address: `198.51.100.2`
 * @param prefix - a prefix of 32, 40, 48, 56, 64 or 96 bits: `64:ff9b::/96`
 * @returns the address in RFC 5952 form
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `ipv4` is not an IPv4 address or `prefix` is not a string;
 * `ERR_FAITH_PREFIX` when `prefix` is malformed, has host bits or an illegal length, or is neither global nor unique
 * local address space
 *
 * @example
 * ```ts
 * embed('192.0.2.33', '64:ff9b::/96') // '64:ff9b::c000:221'
 * embed('192.0.2.33', '2001:db8:122::/48') // '2001:db8:122:c000:2:2100::'
 * ```
 *
 * @group Interface
 */
export function embed(ipv4: string, prefix: string): string {
  return unwrap(native.embed(readText('embed', 'ipv4', ipv4), readText('embed', 'prefix', prefix)))
}

/**
 * Extracts the IPv4 address from an IPv6 address inside `prefix`; gives `undefined` for an address outside. It undoes
 * {@link embed}. Like a relay, it ignores bits 64 to 71 and the bits behind the IPv4 address. Needs no interface and no
 * privileges.
 *
 * Source: RFC 6052 section 2.3.
 *
 * @param ipv6 - an IPv6 address without a zone, with a dotted end or without: `64:ff9b::c000:221`,
 * `64:ff9b::192.0.2.33`
 * @param prefix - a prefix of 32, 40, 48, 56, 64 or 96 bits: `64:ff9b::/96`
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `ipv6` is not an IPv6 address or `prefix` is not a string;
 * `ERR_FAITH_PREFIX` as {@link embed}
 *
 * @example
 * ```ts
 * extract('64:ff9b::c000:221', '64:ff9b::/96') // '192.0.2.33'
 * extract('2001:db8::1', '64:ff9b::/96') // undefined
 * ```
 *
 * @group Interface
 */
export function extract(ipv6: string, prefix: string): string | undefined {
  const address = readText('extract', 'ipv6', ipv6)
  return unwrap(native.extract(address, readText('extract', 'prefix', prefix))) ?? undefined
}
