/** The values of options, from text; the form is checked here, the meaning by the library. */
import { isIPv4, isIPv6 } from 'node:net'

const LONGEST_MS = 4_294_967_295

/** One of the words. */
export function oneOf<const T extends string>(choices: readonly T[], value: string): T {
  const choice = choices.find((candidate) => candidate === value)
  if (choice === undefined) throw new Error(`'${value}' is not one of ${choices.join(', ')}`)
  return choice
}

/** Seconds, whole or decimal, in milliseconds. */
export function milliseconds(value: string, sign: 'positive' | 'zero or positive'): number {
  const time = /^\d+(\.\d+)?$/.test(value) ? Math.round(Number(value) * 1000) : Number.NaN
  if (time <= LONGEST_MS && (time > 0 || (time === 0 && sign !== 'positive'))) return time
  throw new Error(`'${value}' is not a ${sign} number of seconds`)
}

/** A count. */
export function wholeNumber(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value)
  throw new Error(`'${value}' is not a whole number`)
}

/** An IPv6 prefix. */
export function ipv6Prefix(value: string): string {
  const [, address, length] = /^([^/%]+)\/(\d+)$/.exec(value) ?? []
  if (isIPv6(address ?? '') && Number(length) <= 128) return value
  throw new Error(`'${value}' is not an IPv6 prefix such as 64:ff9b::/96`)
}

/** An IPv4 prefix, or one address. */
export function ipv4Prefix(value: string): string {
  const [, address, length = '32'] = /^([^/]+)(?:\/(\d+))?$/.exec(value) ?? []
  if (isIPv4(address ?? '') && Number(length) <= 32) return `${address}/${length}`
  throw new Error(`'${value}' is not an IPv4 prefix such as 198.51.100.0/24`)
}
