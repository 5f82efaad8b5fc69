/**
 * Finds what is legal and probably not meant: rules that never decide, lists that permit nothing, sources and programs that
 * the host lacks, prefixes that the host's own networks are in, sessions without a record.
 */
import { accessSync, constants, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { FaithInterface } from '../index.js'
import type { Checked } from './check.js'
import { contains } from './contains.js'
import type {
  InterfaceConfiguration,
  LocalConfiguration,
  RelayConfiguration,
} from './configuration.js'
import { openToAll, unaskable } from './dns64.js'
import { reason } from './reason.js'
import { loopbackWarnings, recordDoubts, ruleDoubts } from './warnings.js'

/**
 * Gives a sentence for each thing that is probably not meant.
 *
 * @param addresses - the addresses of this host
 */
export function doubts(
  { configuration, accessLists }: Checked,
  addresses: ReadonlySet<string> = ownAddresses(),
): string[] {
  const ofInterfaces = configuration.interface.flatMap((faith) => {
    const sentences = faith.prefixes.flatMap((prefix) => ownNetwork(prefix, addresses))
    if (!faith.routes) sentences.push(...unrouted(faith))
    for (const relay of faith.relay) {
      const text = accessLists.get(relay)?.text ?? ''
      const title = faith.relay.length > 1 ? `ports ${relay.ports}: ` : ''
      const found = [
        ...missingSources(relay, addresses),
        ...ruleDoubts(text),
        ...loopbackWarnings(text, relay),
        ...recordDoubts(configuration.log, relay),
      ]
      sentences.push(...found.map((sentence) => title + sentence))
    }
    const name = configuration.interface.length > 1 ? `${faith.name}: ` : ''
    return sentences.map((sentence) => name + sentence)
  })
  const { dns64, local } = configuration
  const ofProcess = [...unaskable(dns64), ...openToAll(dns64), ...local.flatMap(unstartable)]
  return [...ofProcess, ...ofInterfaces]
}

/** Finds a local service whose program cannot be started now. It may be installed later. */
function unstartable({ command: [program = ''], port = '' }: LocalConfiguration): string[] {
  try {
    accessSync(program, constants.X_OK)
    return []
  } catch (error) {
    return [
      `the local service on port ${port} cannot start ${program}: ${reason(error)}; its clients are reset`,
    ]
  }
}

/** The addresses of this host. */
export function ownAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return new Set(all.map(({ address }) => address))
}

/** A prefix is for addresses that no host has. One with an address of this host inside is a network in use. */
function ownNetwork(prefix: string, addresses: ReadonlySet<string>): string[] {
  const own = [...addresses].find((address) => isIPv6(address) && contains(prefix, address))
  if (own === undefined) return []
  return [
    `the prefix ${prefix} has ${own} inside, an address of this host; choose a prefix that no network uses, or faithd ` +
      'captures connections to that network',
  ]
}

/** Finds prefixes that no route of the administrator leads to the interface, not even in parts. */
function unrouted({ name, prefixes }: InterfaceConfiguration): string[] {
  return withoutRoute(name, prefixes, routesTo(name))
}

/** Gives a sentence for each prefix that none of the routes to an interface is about. */
export function withoutRoute(
  name: string,
  prefixes: readonly string[],
  routes: readonly string[],
): string[] {
  return prefixes
    .filter((prefix) => !routes.some((route) => contains(prefix, route) || contains(route, prefix)))
    .map(
      (prefix) =>
        `no route leads ${prefix} to ${name}, and faithd makes none; add one: ip -6 route add ${prefix} dev ${name}`,
    )
}

/** The IPv6 routes of the host, a line to each. */
export const ROUTES = '/proc/net/ipv6_route'

/** The IPv6 routes to a device, as prefixes. */
function routesTo(device: string): string[] {
  try {
    const lines = readFileSync(ROUTES, 'utf8').trimEnd().split('\n')
    return lines.flatMap((line) => routeTo(device, line) ?? [])
  } catch {
    return []
  }
}

/** The prefix of a line of ROUTES, if the route leads to the device. */
export function routeTo(device: string, line: string): string | undefined {
  const words = line.trim().split(/\s+/)
  if (words.at(-1) !== device) return undefined
  const [address = '', length = ''] = words
  const groups = address.match(/.{4}/g) ?? []
  return `${groups.join(':')}/${Number.parseInt(length, 16)}`
}

/** Finds an interface that lost its last prefix. The configuration has none without one. */
export function emptyOf({ faith }: { faith: Pick<FaithInterface, 'name' | 'prefixes'> }): string[] {
  const [first] = faith.prefixes
  return first === undefined ? [`${faith.name} has no prefix, so it captures nothing`] : []
}

/** Finds sources that the host does not have. */
export function missingSources(
  { source }: Pick<RelayConfiguration, 'source'>,
  addresses: ReadonlySet<string>,
): string[] {
  const missing = source.filter((address) => !addresses.has(address))
  return missing.map((address) => `the source ${address} is no address of this host`)
}
