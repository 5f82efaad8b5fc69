/** IPv4 addresses inside IPv6 ones, as RFC 6052 puts them there. */
import { unwrap } from './failure.js'
import { native } from './native.js'
import { readText } from './option-reader.js'

/**
 * The IPv6 address inside `prefix` that means an IPv4 address: what a client dials to reach that server through a
 * faith interface, and what DNS64 answers with. Needs no interface and no privileges.
 *
 * The IPv4 address stands right behind the prefix but steps over bits 64 to 71; those and the bits behind it are zero.
 *
 * Source: RFC 6052 section 2.2.
 *
 * @param ipv4 - a dotted IPv4 address: `198.51.100.2`
 * @param prefix - a prefix of 32, 40, 48, 56, 64 or 96 bits: `64:ff9b::/96`
 * @returns the address in RFC 5952 form
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `ipv4` is no IPv4 address or `prefix` no string;
 * `ERR_FAITH_PREFIX` when `prefix` is malformed, has host bits or an illegal length, or is no global or unique local
 * address space
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
 * The IPv4 address that an IPv6 address inside `prefix` means; `undefined` for one outside. It undoes {@link embed}, and
 * as a relay does it ignores bits 64 to 71 and those behind the IPv4 address. Needs no interface and no privileges.
 *
 * Source: RFC 6052 section 2.3.
 *
 * @param ipv6 - an IPv6 address without a zone, its end dotted or not: `64:ff9b::c000:221`, `64:ff9b::192.0.2.33`
 * @param prefix - a prefix of 32, 40, 48, 56, 64 or 96 bits: `64:ff9b::/96`
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `ipv6` is no IPv6 address or `prefix` no string;
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
