/**
 * Kinds of values that settings have. A kind says which values are legal and how the text of a command line becomes one;
 * the schema of the file is made from the same facts.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { readSecureUpstream } from '../lib/dns64-upstream.js'
import { formatPorts } from '../lib/ports.js'
import { type FaithProtocol, PROTOCOLS } from '../lib/protocol.js'
import { parseService } from './services.js'

/** The values that a setting may have. */
export interface Kind<T> {
  /** The form of the values, from which the schema of the file is made. */
  readonly form: Form
  /** A legal value in words, as it stands behind "is not": `a whole number from 0 to 128`. */
  readonly is: string
  /** Reads a value from text; throws an Error that says what is wrong with it. */
  read(text: string): T
}

/** The forms that values have in a file. */
export type Form =
  | { type: 'flag' }
  | { type: 'choice'; choices: readonly (string | number)[] }
  | { type: 'number'; least: number; most: number; whole: boolean }
  | { type: 'text'; example: string }
  | { type: 'ports' }
  | { type: 'list'; item: Kind<string>; orOne: boolean }

/** The highest number of milliseconds that the library takes, in seconds. */
const LONGEST = 4_294_967.295

/** `true` or `false`; on a command line the option alone says it. */
export const flag: Kind<boolean> = {
  form: { type: 'flag' },
  is: 'true or false',
  read: () => true,
}

/** One of some words or numbers. */
export function oneOf<const T extends string | number>(choices: readonly T[]): Kind<T> {
  const is = `one of ${choices.join(', ')}`
  return {
    form: { type: 'choice', choices },
    is,
    read: (given) => {
      const choice = choices.find((candidate) => String(candidate) === given)
      if (choice === undefined) throw refused(given, is)
      return choice
    },
  }
}

/** A count, within bounds. */
export function wholeNumber(least = 0, most = 999_999_999): Kind<number> {
  return numbers(`a whole number from ${least} to ${most}`, /^\d{1,9}$/, {
    least,
    most,
    whole: true,
  })
}

/** A time in seconds, whole or decimal. It is kept to the millisecond. */
export function seconds(sign: 'positive' | 'zero or positive'): Kind<number> {
  const least = sign === 'positive' ? 0.001 : 0
  const range = { least, most: LONGEST, whole: false }
  return numbers(`a ${sign} number of seconds`, /^\d+(\.\d+)?$/, range)
}

/** A text of some form. `read` gives the text as it is kept, or `undefined` for one of another form. */
export function text(
  is: string,
  example: string,
  read: (text: string) => string | undefined,
): Kind<string> {
  return {
    form: { type: 'text', example },
    is,
    read: (given) => {
      const kept = read(given)
      if (kept === undefined) throw refused(given, is)
      return kept
    },
  }
}

/** Several values of a kind. `orOne` lets a file write a single one without brackets. */
export function list(item: Kind<string>, orOne = false): Kind<string[]> {
  const one = orOne ? ` or one of them` : ''
  return {
    form: { type: 'list', item, orOne },
    is: `an array of texts${one}, each ${item.is}`,
    read: (given) => [item.read(given)],
  }
}

/** Any text. */
export function anyText(is: string, example: string): Kind<string> {
  return text(is, example, (given) => given)
}

/** Ports as the service argument names them, kept as sorted numbers and ranges: `22,8000-8999`, or `all`. */
export const ports: Kind<string> = {
  form: { type: 'ports' },
  is: 'a service, a port, a range, `all`, or an array of these',
  read: (given) => canonicalPorts([given]),
}

/** The same, from several texts. */
export function canonicalPorts(services: readonly string[]): string {
  const ranges = services
    .flatMap((service) => parseService(service))
    .toSorted((one, other) => one.first - other.first)
  const joined: typeof ranges = []
  for (const range of ranges) {
    const last = joined.at(-1)
    if (last !== undefined && range.first <= last.last + 1) {
      last.last = Math.max(last.last, range.last)
    } else joined.push({ ...range })
  }
  return formatPorts(joined)
}

/** An IPv6 prefix. */
export const ipv6Prefix = text('an IPv6 prefix such as 64:ff9b::/96', '64:ff9b::/96', (given) =>
  isPrefix(given) ? given : undefined,
)

function isPrefix(given: string): boolean {
  const [, address, length] = /^([^/%]+)\/(\d+)$/.exec(given) ?? []
  return isIPv6(address ?? '') && Number(length) <= 128
}

/** A network of clients and their prefix: `PREFIX=PREFIX`. */
export const clientPrefix = text(
  'a network and a prefix such as 2001:db8:1::/64=2001:db8:64::/96',
  '2001:db8:1::/64=2001:db8:64::/96',
  (given) => {
    const { clients, prefix } = splitClientPrefix(given)
    return isPrefix(clients) && isPrefix(prefix) ? given : undefined
  },
)

/** Reads a network and its prefix. */
export function splitClientPrefix(given: string): { clients: string; prefix: string } {
  const [clients = '', prefix = '', ...more] = given.split('=')
  return { clients, prefix: [prefix, ...more].join('=') }
}

/** The name of an interface of this host. */
export const interfaceName = text('the name of an interface', 'eth1', (given) =>
  /^[^\s/:%\0]{1,15}$/.test(given) && !/^\.{1,2}$/.test(given) ? given : undefined,
)

/** One IPv4 address. */
export const ipv4Address = text('an IPv4 address', '192.0.2.1', (given) =>
  isIPv4(given) ? given : undefined,
)

/** An address and port to listen on, kept as `127.0.0.1:9464` or `[::1]:9464`. A port alone is one of 127.0.0.1. */
export const listenAddress = text(
  'an address and a port such as 127.0.0.1:9464 or [::1]:9464, or a port of 127.0.0.1',
  '127.0.0.1:9464',
  (given) => {
    const address = parseAddress(/^\d+$/.test(given) ? `127.0.0.1:${given}` : given)
    if (address === undefined) return undefined
    return addressText(address)
  },
)

/** The port of DNS. */
const DNS = 53

/** The address of a DNS server, kept with its port: `192.0.2.53:53` or `[2001:db8::53]:53`. */
export const dnsAddress = text(
  'an IP address, or one with a port such as 192.0.2.53:53 or [2001:db8::53]:53',
  '192.0.2.53',
  (given) => {
    const host = /^\[[^\]]*\]$/.test(given) ? given.slice(1, -1) : given
    const isAlone = (isIPv6(host) && !host.includes('%')) || isIPv4(given)
    const address = isAlone ? { host, port: DNS } : parseAddress(given)
    return address === undefined ? undefined : addressText(address)
  },
)

/** A DNS server to ask: its address, or the URL of one that is asked over TLS or HTTPS, both kept with their ports. */
export const dnsUpstream = text(
  'an IP address, one with a port, tls://ADDRESS[:PORT][#NAME], or https://ADDRESS[:PORT]/PATH[#NAME]',
  '192.0.2.53',
  (given) => {
    if (given.includes('://')) return readSecureUpstream(given)?.url
    try {
      return dnsAddress.read(given)
    } catch {
      return undefined
    }
  },
)

/** The address and UDP port of another host, kept as `192.0.2.9:4739` or `[2001:db8::9]:4739`. */
export const peerAddress = text(
  'an address and a port such as 192.0.2.9:4739 or [2001:db8::9]:4739',
  '192.0.2.9:4739',
  (given) => (parseAddress(given) === undefined ? undefined : given),
)

/** An IP address and a port. */
export interface Address {
  host: string
  port: number
}

/** Writes an address and a port: `127.0.0.1:9464` or `[::1]:9464`. */
export function addressText({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** Reads an address and a port of 1 to 65535; gives `undefined` if the text is none. */
export function parseAddress(given: string): Address | undefined {
  const [, ipv6 = '', ipv4 = '', digits] =
    /^(?:\[([^\]%]+)\]|([\d.]+)):(\d{1,5})$/.exec(given) ?? []
  const port = Number(digits)
  if (!(port >= 1 && port <= 65_535)) return undefined
  return isIPv6(ipv6) || isIPv4(ipv4) ? { host: ipv6 || ipv4, port } : undefined
}

/** Every protocol that a relay carries. */
export const ALL_PROTOCOLS = PROTOCOLS.join(',')

/** Protocols that a relay carries, kept in one order: `tcp,udp,icmp`. */
export const protocols = text(
  'tcp, udp and icmp, with commas between them',
  ALL_PROTOCOLS,
  (given) => {
    const words = given.split(',').map((word) => word.trim().toLowerCase())
    const known: readonly string[] = PROTOCOLS
    if (words.some((word) => !known.includes(word))) return undefined
    return known.filter((protocol) => words.includes(protocol)).join(',')
  },
)

/** The protocols of such a text. */
export function protocolsOf(given: string): FaithProtocol[] {
  return PROTOCOLS.filter((protocol) => given.split(',').includes(protocol))
}

/** An explicit mapping: `IPV6[/LENGTH]=IPV4[/LENGTH]` or `IPV6=IPV4:PORT`. */
export const mapping = text(
  'a mapping such as 2001:db8:64:a::/120=198.51.100.0/24 or 2001:db8:64::80=198.51.100.80:8080',
  '2001:db8:64::80=198.51.100.80:8080',
  (given) => {
    const [, ipv6, ipv4] = /^([^=/%]+)(?:\/\d+)?=([^/:]+)(?:\/\d+|:\d+)?$/.exec(given) ?? []
    return isIPv6(ipv6 ?? '') && isIPv4(ipv4 ?? '') ? given : undefined
  },
)

/** A rule in the grammar of faithd.conf(5), whose client may be left out. Only its form is looked at here. */
export const rule = text(
  "a rule such as 'permit 198.51.100.0/24' or '2001:db8::/32 deny 0.0.0.0/0 port 25'",
  'permit 198.51.100.0/24',
  (given) => {
    const words = given.trim().split(/\s+/)
    const isRule =
      /^(permit|deny)$/i.test(words[0] ?? '') || /^(permit|deny)$/i.test(words[1] ?? '')
    return isRule && !/[#\n\r]/.test(given) ? words.join(' ') : undefined
  },
)

/** The rule that `--permit` or `--deny` with this destination means. */
export function ruleFor(action: 'permit' | 'deny', given: string): string {
  const [, address, length = '32'] = /^([^/]+)(?:\/(\d+))?$/.exec(given) ?? []
  if (isIPv4(address ?? '') && Number(length) <= 32) return `${action} ${address}/${length}`
  throw refused(given, 'an IPv4 prefix such as 198.51.100.0/24')
}

function numbers(
  is: string,
  form: RegExp,
  range: { least: number; most: number; whole: boolean },
): Kind<number> {
  return {
    form: { type: 'number', ...range },
    is,
    read: (given) => {
      const number = form.test(given) ? Number(given) : Number.NaN
      if (number >= range.least && number <= range.most) return number
      throw refused(given, is)
    },
  }
}

function refused(given: string, is: string): Error {
  return new Error(`'${given}' is not ${is}`)
}
