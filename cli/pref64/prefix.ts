/** Prefixes and lifetimes as the PREF64 option of router advertisements has them (RFC 8781). */
import { SocketAddress, isIPv6 } from 'node:net'

/** The lengths of the option, in the order of their codes (RFC 8781, section 4). */
const LENGTHS = [96, 64, 56, 48, 40, 32]

/** The longest lifetime in seconds: 13 bits, in units of 8 seconds. */
export const LONGEST_LIFETIME = 65_528
const UNIT_OF_LIFETIME = 8
/** The lifetime without `--lifetime`: three of the longest usual interval between advertisements. */
export const USUAL_LIFETIME = 1800

/** A prefix that the option can carry. */
export interface Pref64 {
  /** The prefix in RFC 5952 form: `64:ff9b::/96`. */
  text: string
  length: number
  /** The address in 8 groups of 16 bits. */
  groups: readonly number[]
}

/**
 * Reads a prefix.
 *
 * @throws Error that says what is wrong: malformed, a length that the option lacks, host bits
 */
export function readPref64(given: string): Pref64 {
  const [, address = '', digits = ''] = /^([^/%]+)\/(\d{1,3})$/.exec(given) ?? []
  if (!isIPv6(address)) {
    throw new Error(`'${given}' is not an IPv6 prefix such as 64:ff9b::/96`)
  }
  const length = Number(digits)
  if (!LENGTHS.includes(length)) {
    const lengths = LENGTHS.map((each) => `/${each}`).join(', ')
    throw new Error(
      `'${given}' has a length that PREF64 cannot carry; RFC 8781 has ${lengths} alone`,
    )
  }
  const groups = groupsOf(address)
  const network = groups.map((group, at) => group & maskOf(length - at * 16))
  const text = `${textOf(network)}/${length}`
  if (network.some((group, at) => group !== groups[at])) {
    throw new Error(`'${given}' has bits behind its length; write ${text}`)
  }
  return { text, length, groups }
}

/**
 * Rounds a lifetime up to the unit of the option, as RFC 8781, section 4.1, has it.
 *
 * @throws Error for one that is no whole number, zero or too long
 */
export function readLifetime(given: string): number {
  const lifetime = /^\d{1,6}$/.test(given) ? Number(given) : 0
  if (lifetime < 1 || lifetime > LONGEST_LIFETIME) {
    throw new Error(`'${given}' is not a whole number of seconds from 1 to ${LONGEST_LIFETIME}`)
  }
  return Math.ceil(lifetime / UNIT_OF_LIFETIME) * UNIT_OF_LIFETIME
}

/** The bytes of the option behind its type and its length: lifetime, length code, and 96 bits of the prefix. */
export function optionBytes({ length, groups }: Pref64, lifetime: number): number[] {
  const scaled = (lifetime / UNIT_OF_LIFETIME) << 3
  return [scaled | LENGTHS.indexOf(length), ...groups.slice(0, 6)].flatMap((group) => [
    group >> 8,
    group & 0xff,
  ])
}

function groupsOf(address: string): number[] {
  // The canonical form has no dotted end, but for addresses that no prefix begins with.
  const plain = new SocketAddress({ address, family: 'ipv6' }).address.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, ...bytes: string[]) => {
      const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number)
      return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    },
  )
  const [before = '', after] = plain.split('::')
  const head = before === '' ? [] : before.split(':')
  const tail = after === undefined || after === '' ? [] : after.split(':')
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16))
}

function textOf(groups: readonly number[]): string {
  const address = groups.map((group) => group.toString(16)).join(':')
  return new SocketAddress({ address, family: 'ipv6' }).address
}

/** The mask of a group, by the bits of the prefix that are left for it. */
function maskOf(bits: number): number {
  return (0xffff << (16 - Math.min(16, Math.max(0, bits)))) & 0xffff
}
