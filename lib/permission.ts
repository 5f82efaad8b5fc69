/** Tells the decision of an access list or a relay about a connection that has not been made. */
import { isIPv4, isIPv6 } from 'node:net'
import { type AccessList, accessListText, LIST } from './access-list.js'
import type { FaithEndpoint, FaithDestination } from './endpoint.js'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import { type NativePermission, native } from './native.js'
import { type OptionNames, OptionReader, show } from './option-reader.js'
import { type FaithDecidingRule, toDecidingRule } from './deciding-rule.js'
import { type FaithProtocol, PROTOCOLS } from './protocol.js'
import { type FaithCause, isCause } from './refusal.js'

/**
 * A client and the destination that it would dial: a {@link FaithRouteConnection}, for example.
 *
 * @group Access lists
 */
export interface FaithAccessQuestion {
  /** The client's IPv6 address. */
  client: string | FaithEndpoint
  /**
   * The destination, with its port: an IPv4 address, or an IPv6 address inside a prefix. A relay maps the IPv6 address to
   * its server. {@link matchAccessList} takes `ipv4` and `ipv4Port`, which connections of a route and sockets have. The
   * `server` of a record is a destination too if it has an IPv4 address.
   */
  destination: FaithDestination
  /** The protocol. With `icmp` the port does not matter, and may be 0. Default `tcp`. */
  protocol?: FaithProtocol
  /** Ignored. */
  id?: number
}

/**
 * The decision about a connection that has not been made.
 *
 * @group Access lists
 */
export interface FaithPermission {
  /** `true` if the connection would be permitted. */
  permitted: boolean
  /** The cause that would turn the connection away; absent if it is permitted. */
  cause?: FaithCause
  /** The rule that decides; absent if a default does, as for a list without rules. */
  rule?: FaithDecidingRule
  /** The IPv4 address of this host that the connection would come from; absent if the routing table chooses. */
  localAddress?: string
}

/**
 * The options of {@link matchAccessList}.
 *
 * @group Access lists
 */
export interface FaithMatchOptions {
  /** The same as {@link FaithRelaySettings.allowLoopback}. Default `false`. */
  allowLoopback?: boolean
  /** The file that the list was read from, for `rule.file` and for errors of the list. Default: none. */
  file?: string
}

const QUESTION: OptionNames<FaithAccessQuestion> = {
  client: true,
  destination: true,
  protocol: true,
  id: true,
}
const CLIENT: OptionNames<FaithEndpoint> = { address: true, port: true }
/** The fields of the destinations that this package gives. */
const DESTINATION = {
  address: true,
  port: true,
  ipv4: true,
  ipv4Port: true,
  prefix: true,
  interface: true,
} as const
const MATCH: OptionNames<FaithMatchOptions> = { allowLoopback: true, file: true }

/** A checked question. */
interface Ends {
  protocol: FaithProtocol
  client: string
  destination: FaithDestination
}

/**
 * Tells the decision of an access list about a client and a server, and the rule that decides. It knows no host: unlike
 * {@link FaithRelay.permits} it takes no address for this host's own. Each call parses the whole list.
 *
 * @throws {@link FaithError} `ERR_FAITH_ACCESS_LIST` with every malformed rule; `ERR_FAITH_ARGUMENT`
 *
 * @example
 * ```ts
 * const list = '::/0 permit 0.0.0.0/0 port 443'
 * const client = '2001:db8::1'
 * matchAccessList(list, { client, destination: { address: '8.8.8.8', port: 443 } }).permitted // true
 * matchAccessList(list, { client, destination: { address: '10.0.0.7', port: 443 } }).cause // 'special-purpose'
 * ```
 *
 * @group Access lists
 */
export function matchAccessList(
  list: AccessList,
  question: FaithAccessQuestion,
  options: FaithMatchOptions = {},
): FaithPermission {
  const call = 'matchAccessList'
  const { protocol, client, destination } = readQuestion(call, question)
  const read = new OptionReader(call, MATCH, options)
  const allowLoopback = read.boolean('allowLoopback', false)
  const file = read.unchecked('file') === undefined ? undefined : read.string('file')
  const name = file ?? LIST
  const text = accessListText(call, list, name)
  const { address, port, ipv4 = address, ipv4Port = port } = destination
  if (!isIPv4(ipv4)) {
    const message = `${call}: \`destination\` must have an IPv4 address, got ${show(address)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message, {
      hint: 'extract() finds the one inside an IPv6 address',
    })
  }
  return toPermission(
    unwrap(native.matchAccessList(text, name, allowLoopback, protocol, client, ipv4, ipv4Port)),
    file,
  )
}

/** @internal The client and the destination of a question, checked. */
export function readQuestion(call: string, question: unknown): Ends {
  const read = new OptionReader(call, QUESTION, question, 'the question')
  const given = read.unchecked('client')
  const client =
    typeof given === 'string'
      ? given
      : readPart(call, read, 'client', CLIENT, 'an IPv6 address or { address }').string('address')
  if (!isIPv6(client)) throw read.refuse('client', 'an IPv6 address', client)

  const protocol = readProtocol(read)

  const to = readPart(call, read, 'destination', DESTINATION, '{ address, port }')
  const port = { min: protocol === 'icmp' ? 0 : 1, max: 65_535 }
  const destination: FaithDestination = {
    address: readAddress(to, 'address'),
    port: to.integer('port', port),
  }
  // `ipv4` and `ipv4Port` go together, and an IPv4 `address` needs neither.
  if (isIPv6(destination.address) && to.unchecked('ipv4') !== undefined) {
    destination.ipv4 = readAddress(to, 'ipv4')
    destination.ipv4Port = to.integer('ipv4Port', port, destination.port)
  }
  return { protocol, client, destination }
}

function readProtocol(read: OptionReader<'protocol'>): FaithProtocol {
  return read.unchecked('protocol') === undefined ? 'tcp' : read.oneOf('protocol', PROTOCOLS)
}

/** Reads an object inside the question. `forms` says how to write it. */
function readPart<Name extends string>(
  call: string,
  read: OptionReader<keyof FaithAccessQuestion>,
  name: 'client' | 'destination',
  names: Readonly<Record<Name, true>>,
  forms: string,
): OptionReader<Name> {
  const part = read.unchecked(name)
  if (part === undefined) {
    const hint = `write it as ${forms}`
    throw new FaithError('ERR_FAITH_ARGUMENT', `${call}: \`${name}\` is missing`, { hint })
  }
  if (typeof part !== 'object' || part === null) throw read.refuse(name, forms, part)
  return new OptionReader(`${call}: \`${name}\``, names, part, 'it')
}

function readAddress(
  read: OptionReader<keyof typeof DESTINATION>,
  name: 'address' | 'ipv4',
): string {
  const address = read.string(name)
  if (isIPv4(address) || (name === 'address' && isIPv6(address))) return address
  throw read.refuse(name, name === 'ipv4' ? 'an IPv4 address' : 'an IP address', address)
}

/** @internal Gives the addon's decision its public shape. */
export function toPermission(
  { cause, rule, localAddress }: NativePermission,
  file?: string,
): FaithPermission {
  const permission: FaithPermission = { permitted: cause === undefined }
  if (cause !== undefined && isCause(cause)) permission.cause = cause
  if (rule !== undefined) {
    permission.rule = toDecidingRule(rule)
    if (file !== undefined) permission.rule.file = file
  }
  if (localAddress !== undefined) permission.localAddress = localAddress
  return permission
}
