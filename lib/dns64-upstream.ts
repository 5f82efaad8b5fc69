/** DNS servers that are asked over TLS or HTTPS, as URLs name them. */
import { isIPv4, isIPv6 } from 'node:net'

const URL_PARTS =
  /^(tls|https):\/\/(?:\[([^\]%]+)\]|([^/:#@[\]]+))(?::(\d{1,5}))?(\/[^#\s"<>{}]*)?(?:#(.+))?$/
const LABEL = '[a-z\\d_](?:[a-z\\d_-]{0,61}[a-z\\d_])?'
const NAME = new RegExp(`^(?=.{1,253}$)(?:${LABEL}\\.)*${LABEL}$`, 'i')

/** @internal A DNS server that is asked over TLS or HTTPS. */
export interface SecureUpstream {
  /** Its URL with the port. */
  url: string
  /** True if the host is a name, which another server has to look up. */
  isNamed: boolean
}

/** @internal Reads `tls://ADDRESS[:PORT][#NAME]` or `https://ADDRESS[:PORT]/PATH[#NAME]`, or gives `undefined`. */
export function readSecureUpstream(given: string): SecureUpstream | undefined {
  const [, scheme, ipv6, other = '', digits, path, name] = URL_PARTS.exec(given) ?? []
  if (scheme === undefined || (scheme === 'https') !== (path !== undefined)) return undefined
  const port = Number(digits ?? (scheme === 'https' ? 443 : 853))
  if (!(port >= 1 && port <= 65_535) || (name !== undefined && !isName(name))) return undefined
  const isNamed = ipv6 === undefined && isName(other)
  if (!(isNamed || isIPv4(other) || isIPv6(ipv6 ?? ''))) return undefined
  const host = ipv6 === undefined ? other.toLowerCase() : `[${ipv6}]`
  const url = `${scheme}://${host}:${port}${path ?? ''}${name === undefined ? '' : `#${name}`}`
  return { url, isNamed }
}

/** Tells names from addresses, also from those with a mistake. */
function isName(text: string): boolean {
  return NAME.test(text) && !/(?:^|\.)\d+$/.test(text)
}
