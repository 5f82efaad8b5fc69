/** Parses the values of options. These functions check the form; the library checks the meaning. */
import { isIPv4, isIPv6 } from 'node:net'

const LONGEST_MS = 4_294_967_295

/** Parses one of the `choices`. */
export function oneOf<const T extends string>(choices: readonly T[], value: string): T {
  const choice = choices.find((candidate) => candidate === value)
  if (choice === undefined) throw new Error(`'${value}' is not one of ${choices.join(', ')}`)
  return choice
}

/** Parses seconds, whole or decimal, into milliseconds. */
export function milliseconds(value: string, sign: 'positive' | 'zero or positive'): number {
  const time = /^\d+(\.\d+)?$/.test(value) ? Math.round(Number(value) * 1000) : Number.NaN
  if (time <= LONGEST_MS && (time > 0 || (time === 0 && sign !== 'positive'))) return time
  throw new Error(`'${value}' is not a ${sign} number of seconds`)
}

/** Parses a whole number within bounds. */
export function wholeNumber(value: string, least = 0, most = 999_999_999): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  if (number >= least && number <= most) return number
  throw new Error(`'${value}' is not a whole number from ${least} to ${most}`)
}

/** Parses an IPv6 prefix. */
export function ipv6Prefix(value: string): string {
  const [, address, length] = /^([^/%]+)\/(\d+)$/.exec(value) ?? []
  if (isIPv6(address ?? '') && Number(length) <= 128) return value
  throw new Error(`'${value}' is not an IPv6 prefix such as 64:ff9b::/96`)
}

/** Parses an IPv4 prefix, or one address as a /32. */
export function ipv4Prefix(value: string): string {
  const [, address, length = '32'] = /^([^/]+)(?:\/(\d+))?$/.exec(value) ?? []
  if (isIPv4(address ?? '') && Number(length) <= 32) return `${address}/${length}`
  throw new Error(`'${value}' is not an IPv4 prefix such as 198.51.100.0/24`)
}

/** Parses an IPv4 address. */
export function ipv4Address(value: string): string {
  if (isIPv4(value)) return value
  throw new Error(`'${value}' is not an IPv4 address`)
}

/** Parses an explicit mapping: `IPV6[/LENGTH]=IPV4[/LENGTH]` or `IPV6=IPV4:PORT`. */
export function mapping(value: string): string {
  const [, ipv6, ipv4] = /^([^=/%]+)(?:\/\d+)?=([^/:]+)(?:\/\d+|:\d+)?$/.exec(value) ?? []
  if (isIPv6(ipv6 ?? '') && isIPv4(ipv4 ?? '')) return value
  throw new Error(
    `'${value}' is not a mapping such as 2001:db8:64:a::/120=198.51.100.0/24 or ` +
      '2001:db8:64::80=198.51.100.80:8080',
  )
}
