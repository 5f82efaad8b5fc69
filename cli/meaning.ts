/**
 * Finds what is legal and probably not meant: rules that never decide, lists that permit nothing, sources that the host
 * lacks, prefixes that the host's own networks are in.
 */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type Checked, contains } from './check.js'
import type { InterfaceConfiguration, RelayConfiguration } from './configuration.js'
import { loopbackWarnings, ruleDoubts } from './warnings.js'

/**
 * Gives a sentence for each thing that is probably not meant.
 *
 * @param addresses - the addresses of this host
 */
export function doubts(
  { configuration, accessLists }: Checked,
  addresses: ReadonlySet<string> = ownAddresses(),
): string[] {
  return configuration.interface.flatMap((faith) => {
    const sentences = faith.prefixes.flatMap((prefix) => ownNetwork(prefix, addresses))
    if (!faith.routes) sentences.push(...unrouted(faith))
    for (const relay of faith.relay) {
      const text = accessLists.get(relay)?.text ?? ''
      const title = faith.relay.length > 1 ? `ports ${relay.ports}: ` : ''
      const found = [
        ...missingSources(relay, addresses),
        ...ruleDoubts(text),
        ...loopbackWarnings(text, relay),
      ]
      sentences.push(...found.map((sentence) => title + sentence))
    }
    const name = configuration.interface.length > 1 ? `${faith.name}: ` : ''
    return sentences.map((sentence) => name + sentence)
  })
}

function ownAddresses(): Set<string> {
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
  const routes = routesTo(name)
  return prefixes
    .filter((prefix) => !routes.some((route) => contains(prefix, route) || contains(route, prefix)))
    .map(
      (prefix) =>
        `no route leads ${prefix} to ${name}, and faithd makes none; add one: ip -6 route add ${prefix} dev ${name}`,
    )
}

/** The IPv6 routes to a device, as prefixes (/proc/net/ipv6_route). */
function routesTo(device: string): string[] {
  try {
    const lines = readFileSync('/proc/net/ipv6_route', 'utf8').trimEnd().split('\n')
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words.at(-1) === device)
      .map(([address = '', length = '']) => {
        const groups = address.match(/.{4}/g) ?? []
        return `${groups.join(':')}/${Number.parseInt(length, 16)}`
      })
  } catch {
    return []
  }
}

function missingSources({ source }: RelayConfiguration, addresses: ReadonlySet<string>): string[] {
  const missing = source.filter((address) => !addresses.has(address))
  return missing.map((address) => `the source ${address} is no address of this host`)
}
