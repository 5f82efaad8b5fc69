/** IP addresses of servers and of this host, as programs write them. */
import { isIP, isIPv4, SocketAddress } from 'node:net'

/** A family of IP addresses. */
export type Family = 4 | 6

/** Tells what to write instead of a text that looks like an address but is no usable one; `undefined` for other texts. */
export function insteadOf(text: string): string | undefined {
  if (text.includes('%')) return 'an address without a scope (%)'
  if (/^\[.*\]$/.test(text)) return 'an address without brackets'
  const ipv4 = mappedIPv4(text)
  if (ipv4 !== undefined) return `an IPv4 address in its own form (write ${ipv4})`
  // A host name has no colon, and its last label is no number (RFC 1123 section 2.1).
  const looksLikeOne = text.includes(':') || /(?:^|\.)\d+\.?$/.test(text)
  return looksLikeOne && isIP(text) === 0 ? 'an IPv4 or IPv6 address' : undefined
}

/** The family of an address. For a host name it is 4, because names are looked up for IPv4 addresses. */
export function familyOf(host: string): Family {
  return isIP(host) === 6 ? 6 : 4
}

/** The IPv4 address inside an IPv4-mapped one (RFC 4291 section 2.5.5.2), in any notation. */
function mappedIPv4(text: string): string | undefined {
  if (isIP(text) !== 6) return undefined
  const [, ipv4 = ''] =
    /^::ffff:(.*)$/.exec(new SocketAddress({ address: text, family: 'ipv6' }).address) ?? []
  return isIPv4(ipv4) ? ipv4 : undefined
}
