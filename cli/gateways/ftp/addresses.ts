/** Addresses and ports as FTP's commands and replies write them. */
import { isIPv6, SocketAddress } from 'node:net'

/** A port and an address that a client names for a data connection. */
export interface Named {
  address: string
  port: number
}

/** Reads the argument of EPRT (RFC 2428): `|2|2001:db8::1|5282|`; `undefined` unless it is a legal IPv6 address. */
export function readExtended(argument: string): Named | undefined {
  const [, , protocol, address = '', digits = ''] =
    /^([!-~])(\d+)\1(.+?)\1(\d{1,5})\1$/.exec(argument) ?? []
  const port = Number(digits)
  if (protocol !== '2' || !isIPv6(address) || address.includes('%') || !isPort(port))
    return undefined
  return { address: canonical(address), port }
}

/** Reads the argument of LPRT (RFC 1639): `6,16,h1,…,h16,2,p1,p2`. */
export function readLong(argument: string): Named | undefined {
  const numbers = argument.split(',').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256))
  const [family, length, ...rest] = numbers
  if (family !== 6 || length !== 16 || rest.length !== 19 || rest.some((byte) => byte > 255)) {
    return undefined
  }
  const [high = 0, low = 0] = rest.slice(17)
  const port = high * 256 + low
  if (rest[16] !== 2 || !isPort(port)) return undefined
  const groups = Array.from({ length: 8 }, (_, group) =>
    ((rest[2 * group] ?? 0) * 256 + (rest[2 * group + 1] ?? 0)).toString(16),
  )
  return { address: canonical(groups.join(':')), port }
}

/** Reads the port of reply 227 (RFC 959). Its address does not count (RFC 6384 section 6). */
export function readPassive(text: string): number | undefined {
  const found = /(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})(?!\d)/.exec(text)
  const numbers = found?.slice(1).map(Number) ?? []
  if (numbers.length === 0 || numbers.some((byte) => byte > 255)) return undefined
  const [high = 0, low = 0] = numbers.slice(4)
  const port = high * 256 + low
  return isPort(port) ? port : undefined
}

/** Writes the argument of PORT. */
export function writePort(address: string, port: number): string {
  return [...address.split('.'), port >> 8, port & 255].join(',')
}

/** Writes the address and the port of reply 228 (RFC 1639). */
export function writeLong(address: string, port: number): string {
  const bytes = groupsOf(address).flatMap((group) => [group >> 8, group & 255])
  return [6, 16, ...bytes, 2, port >> 8, port & 255].join(',')
}

/** Gives an IPv6 address its RFC 5952 form, so that equal addresses are equal texts. */
export function canonical(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address
}

function groupsOf(address: string): number[] {
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_text, ...bytes) => {
    const [a, b, c, d] = bytes.slice(0, 4).map(Number) as [number, number, number, number]
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  const [head = '', tail] = plain.split('::')
  const before = readGroups(head)
  if (tail === undefined) return before
  const after = readGroups(tail)
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}

function readGroups(part: string): number[] {
  return part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535
}
