/**
 * Access lists: the clients and the destinations that a relay permits. This file turns every form of an access list
 * into text in the grammar of faithd.conf(5). Only the addon parses that text, so a rule means the same in every form.
 */
import { readFile } from 'node:fs/promises'
import { getSystemErrorMap } from 'node:util'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import { native, type NativeAccessDoubts } from './native.js'
import {
  isArray,
  itemsOf,
  type OptionNames,
  OptionReader,
  readText,
  show,
} from './option-reader.js'
import type { PortSpec } from './ports.js'
import { type FaithProtocol, PROTOCOLS } from './protocol.js'

/**
 * One line of an access list.
 *
 * @group Access lists
 */
export interface AccessRule {
  /** The decision on a match. */
  action: 'permit' | 'deny'
  /** The clients it matches: an IPv6 prefix such as `2001:db8:1::/48`, or one address. Default: every client. */
  client?: string
  /** The IPv4 destinations it matches: a prefix such as `198.51.100.0/24`, or one address. */
  destination: string
  /** The protocol it matches. Default: every protocol. */
  protocol?: FaithProtocol
  /** The destination ports it matches: a port, a range such as `'8000-8999'`, or a list of both. Default: every port. */
  ports?: PortSpec | readonly PortSpec[]
  /**
   * The IPv4 address of this host that the connections it permits come from. Default: one of the relay's `localAddresses`,
   * or what the routing table chooses.
   */
  localAddress?: string
}

/**
 * Rules, or the text of faithd.conf(5): a rule to a line, `#` before a comment. The first rule that matches decides.
 * An empty list permits every public destination. A list in which no rule matches denies.
 *
 * ```text
 * SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]
 *
 * 2001:db8:1::/48  deny    0.0.0.0/0        port 25
 * 2001:db8:1::/48  permit  198.51.100.0/24  port 80,443,8000-8999  192.0.2.1
 * ::/0             permit  0.0.0.0/0
 * ```
 *
 * Special-purpose IPv4 blocks (private, link-local, multicast …) are denied unless a rule permits the block or a part
 * of it. This host's own addresses are denied unless a rule permits that very address (`/32`). So `permit 0.0.0.0/0`
 * opens neither. Loopback addresses need {@link FaithRelaySettings.allowLoopback} besides.
 *
 * @group Access lists
 */
export type AccessList = string | readonly AccessRule[]

/**
 * Checks an access list, and gives the number of its rules.
 *
 * @param name - the name of the list in errors, before the line number. Default `accessList`
 * @throws {@link FaithError} `ERR_FAITH_ACCESS_LIST` with every malformed rule as `NAME:LINE: what is wrong`, where an
 * array has the number of the rule for the line; `ERR_FAITH_ARGUMENT` when `list` is neither a string nor an array of
 * rules, or `name` is not a string
 *
 * @example
 * ```ts
 * checkAccessList('::/0 permit 198.51.100.0/24 port 80\n') // 1
 * ```
 *
 * @group Access lists
 */
export function checkAccessList(list: AccessList, name: string = LIST): number {
  const call = 'checkAccessList'
  const shown = readText(call, 'name', name)
  return unwrap(native.checkAccessList(accessListText(call, list, shown), shown))
}

/**
 * Reads and checks a file in the grammar of faithd.conf(5), and gives its text. A missing, unreadable or malformed file
 * is an error; it never becomes an empty list, which would permit every public destination.
 *
 * @throws {@link FaithError} `ERR_FAITH_ACCESS_LIST`, which names the file and the line of a malformed rule;
 * `ERR_FAITH_ARGUMENT` when `path` is not a string
 *
 * @example
 * ```ts
 * const relay = await faith.relay({ ports: 'all', accessList: await readAccessList('faithd.conf') })
 * process.on('SIGHUP', async () => {
 *   try {
 *     await relay.setAccessList(await readAccessList('faithd.conf'))
 *   } catch (error) {
 *     console.error(error) // the relay keeps the list in force
 *   }
 * })
 * ```
 *
 * @group Access lists
 */
export async function readAccessList(path: string): Promise<string> {
  const file = readText('readAccessList', 'path', path)
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw unreadable(file, error)
  })
  checkAccessList(text, file)
  return text
}

/** @internal Finds rules of a well-formed access list that have no effect. */
export function accessDoubts(text: string): NativeAccessDoubts {
  return unwrap(native.accessDoubts(text, LIST))
}

const RULE: OptionNames<AccessRule> = {
  action: true,
  client: true,
  destination: true,
  protocol: true,
  ports: true,
  localAddress: true,
}

type RuleReader = OptionReader<keyof AccessRule>

/** The number of malformed rules that an error tells one by one, as the addon does for a text. */
const MOST_TOLD = 20

/** @internal The name of a list without a file, in errors. */
export const LIST = 'accessList'

/**
 * @internal Gives the list as text, a rule to a line, so that the line numbers in errors count rules.
 *
 * @param name - the name of the list in errors
 * @throws {@link FaithError} `ERR_FAITH_ACCESS_LIST` with every malformed rule of an array, if one of them cannot be
 * written as text; otherwise only the addon checks the rules
 */
export function accessListText(call: string, list: unknown, name: string = LIST): string {
  if (typeof list === 'string') return list
  if (!isArray(list)) {
    const message = `${call}: an access list must be a text or an array of rules, got ${show(list)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  const lines = itemsOf(`${call}: ${LIST}`, list).map((rule, index) =>
    resultOf(() => ruleText(placeOf(name, index), rule)),
  )
  if (lines.some((line) => line instanceof FaithError)) throw malformedList(name, lines)
  return lines.join('\n')
}

function placeOf(name: string, index: number): string {
  return `${name}:${index + 1}`
}

function resultOf<T>(read: () => T): T | FaithError {
  try {
    return read()
  } catch (error) {
    if (error instanceof FaithError) return error
    throw error
  }
}

/** Makes the error of a list: the addon checks the rules that have a text, so that no malformed rule is missing. */
function malformedList(name: string, lines: readonly (string | FaithError)[]): FaithError {
  const flaws = lines
    .map((line, index) => (typeof line === 'string' ? flawOf(placeOf(name, index), line) : line))
    .filter((flaw) => flaw !== undefined)
  const told = flaws.slice(0, MOST_TOLD).map(({ message }) => message)
  const more = flaws.length - told.length
  if (more > 0) told.push(`${name}: ${more} more ${more === 1 ? 'rule is' : 'rules are'} malformed`)
  const [first] = flaws
  const details = { hint: first?.hint, cause: first?.cause }
  return new FaithError('ERR_FAITH_ACCESS_LIST', told.join('\n'), details)
}

/** Lets the addon check one rule. The addon counts its only line as 1, which the place of the rule replaces. */
function flawOf(place: string, line: string): FaithError | undefined {
  const checked = resultOf(() => unwrap(native.checkAccessList(line, place)))
  if (typeof checked === 'number') return undefined
  const message = checked.message.replace(`${place}:1:`, () => `${place}:`)
  return new FaithError(checked.code, message, { hint: checked.hint })
}

function ruleText(place: string, rule: unknown): string {
  const read = new OptionReader(place, RULE, rule, 'a rule')
  const client = read.unchecked('client')
  const words = [
    client === undefined ? '::/0' : word(read, 'client', client),
    read.oneOf('action', ['permit', 'deny']),
    word(read, 'destination', read.unchecked('destination')),
  ]
  if (read.unchecked('protocol') !== undefined) words.push(read.oneOf('protocol', PROTOCOLS))
  const ports = read.unchecked('ports')
  if (ports !== undefined) {
    const list = isArray(ports) ? itemsOf(`${place}: \`ports\``, ports) : [ports]
    const items = list.map((item) => (typeof item === 'number' ? `${item}` : item))
    if (items.length === 0) throw read.refuse('ports', 'at least one port', ports)
    words.push('port', items.map((item) => word(read, 'ports', item)).join(','))
  }
  const localAddress = read.unchecked('localAddress')
  if (localAddress !== undefined) words.push(word(read, 'localAddress', localAddress))
  return words.join(' ')
}

/** Checks a word of a rule. A blank, `#` or line feed in it would start another word, a comment or a second rule. */
function word(read: RuleReader, name: keyof AccessRule, value: unknown): string {
  if (typeof value === 'string' && /^[^\s#]+$/.test(value)) return value
  throw read.refuse(name, 'text without blanks', value)
}

function unreadable(path: string, error: unknown): FaithError {
  const { errno, syscall, message } = error as NodeJS.ErrnoException
  const [, reason] = getSystemErrorMap().get(errno ?? 0) ?? []
  return new FaithError(
    'ERR_FAITH_ACCESS_LIST',
    `cannot read the access list ${path}: ${reason ?? message}`,
    { errno, syscall },
  )
}
