/**
 * Checks a configuration as far as that needs no privilege: what its values mean, alone and together, and the access lists
 * that it names. Every complaint is found at once.
 */
import { isDeepStrictEqual } from 'node:util'
import { checkAccessList, embed } from '../index.js'
import { readSecureUpstream } from '../lib/dns64-upstream.js'
import type { PortRange } from '../lib/ports.js'
import { checkRelayOptions } from '../lib/relay-options.js'
import { type LoadedAccessList, loadAccessList, ruleLine } from './access-list.js'
import { type Complaint, ConfigurationError } from './complaints.js'
import type { Configuration, Path, RelayConfiguration } from './configuration.js'
import { contains } from './contains.js'
import { splitClientPrefix } from './kinds.js'
import { explain } from './exit.js'
import { protocolsOf } from './kinds.js'
import { relayOptions } from './library-options.js'
import { faultsOf } from './local-services.js'
import type { Origin } from './origin.js'
import { rangesOf } from './ports.js'
import { checkUser } from './user.js'

/** A configuration that was checked, with its access lists as they were then. */
export interface Checked {
  configuration: Configuration
  accessLists: ReadonlyMap<RelayConfiguration, LoadedAccessList>
}

/**
 * Checks a configuration and loads its access lists.
 *
 * @param origin - tells where a value was given
 * @throws ConfigurationError with every complaint
 */
export async function check(configuration: Configuration, origin: Origin): Promise<Checked> {
  const complaints: Complaint[] = []
  const complain = (path: Path, message: string): void => {
    complaints.push({ ...origin(path), message })
  }
  checkControl(configuration, complain)
  checkNames(configuration, complain)
  checkPrefixes(configuration, complain)
  checkAdvertisements(configuration, complain)
  checkDns64(configuration, complain)
  checkUser(configuration, complain)
  for (const [index, service] of configuration.local.entries()) {
    for (const [key, message] of faultsOf(service)) complain(['local', index, key], message)
  }
  const accessLists = new Map<RelayConfiguration, LoadedAccessList>()
  for (const [index, faith] of configuration.interface.entries()) {
    checkPorts(faith.relay, ['interface', index, 'relay'], complain)
    checkPings(faith.relay, ['interface', index, 'relay'], complain)
    for (const [number, relay] of faith.relay.entries()) {
      const path = ['interface', index, 'relay', number]
      if (!checkRules(relay, path, complain)) continue
      if (!checkPortBlock(relay, path, complain)) continue
      try {
        checkRelayOptions({ ...relayOptions(relay) })
        accessLists.set(relay, await loadAccessList(relay))
      } catch (error) {
        const isList = (error as { code?: string }).code === 'ERR_FAITH_ACCESS_LIST'
        if (isList) complaints.push({ message: explain(error) })
        else complain(path, explain(error))
      }
    }
  }
  if (complaints.length > 0) throw new ConfigurationError(complaints)
  return { configuration, accessLists }
}

type Complain = (path: Path, message: string) => void

/** The longest path that a Unix socket may have, in bytes (unix(7), without the final zero). */
const LONGEST_SOCKET = 107

function checkControl({ control = '' }: Configuration, complain: Complain): void {
  if (Buffer.byteLength(control) > LONGEST_SOCKET) {
    complain(['control'], `a Unix socket has a path of ${LONGEST_SOCKET} bytes at most`)
  }
}

/** The longest legal interface name in bytes. */
const LONGEST_NAME = 15

function checkNames({ interface: interfaces }: Configuration, complain: Complain): void {
  const names = new Set<string>()
  for (const [index, { name }] of interfaces.entries()) {
    const path = ['interface', index, 'name']
    const isLegal = /^[^\s/:%\0]+$/.test(name) && !/^\.{1,2}$/.test(name)
    if (!isLegal || Buffer.byteLength(name) > LONGEST_NAME) {
      const hint = 'it has 1 to 15 bytes, without blanks, `/`, `:` and `%`'
      complain(path, `\`${name}\` is not a legal interface name; ${hint}`)
    }
    if (names.has(name)) complain(path, `another interface is named ${name} too`)
    names.add(name)
  }
}

function checkPrefixes({ interface: interfaces }: Configuration, complain: Complain): void {
  const all: string[] = []
  for (const [index, { prefixes }] of interfaces.entries()) {
    if (prefixes.length === 0)
      complain(['interface', index, 'prefixes'], 'name one prefix at least')
    for (const [number, prefix] of prefixes.entries()) {
      const path = ['interface', index, 'prefixes', number]
      try {
        embed('192.0.2.1', prefix)
      } catch (error) {
        complain(path, explain(error))
        continue
      }
      const other = all.find((one) => overlap(one, prefix))
      if (other !== undefined) complain(path, `${prefix} overlaps ${other}`)
      all.push(prefix)
    }
  }
}

/** The most prefixes of an advertisement, which fits the minimum MTU. */
const MOST_ADVERTISED = 76

/** Checks that hosts can use what the advertisements tell them. */
function checkAdvertisements(
  { pref64: { advertise, lifetime, interval }, interface: interfaces }: Configuration,
  complain: Complain,
): void {
  if (advertise.length === 0) return
  if (lifetime < interval) {
    const why = 'hosts would forget the prefix between two advertisements'
    complain(
      ['pref64', 'lifetime'],
      `${lifetime} s are less than the interval, ${interval} s: ${why}`,
    )
  }
  const count = interfaces.flatMap(({ prefixes }) => prefixes).length
  if (count > MOST_ADVERTISED) {
    const most = `an advertisement has room for ${MOST_ADVERTISED}`
    complain(['pref64', 'advertise'], `there are ${count} prefixes, and ${most}`)
  }
  for (const [index, { prefixes, relay }] of interfaces.entries()) {
    if (!relay.some(({ mapping }) => mapping === 'low32')) continue
    for (const [number, prefix] of prefixes.entries()) {
      if (prefix.endsWith('/96')) continue
      complain(
        ['interface', index, 'prefixes', number],
        `${prefix} is advertised, and hosts compute addresses by RFC 6052; with mapping = "low32" that agrees on a /96 alone`,
      )
    }
  }
}

/** Checks that the DNS server is asked for, and that all relays read its addresses in the same way. */
function checkDns64({ dns64, interface: interfaces }: Configuration, complain: Complain): void {
  const { listen, upstreams, clients, certificate, 'client-prefixes': clientPrefixes } = dns64
  if (listen.length === 0) {
    const given = { upstreams, clients, certificate, 'client-prefixes': clientPrefixes }
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined || value.length === 0) continue
      const message = 'faithd answers no DNS queries; say where with --dns64, or listen of [dns64]'
      complain(['dns64', name], message)
    }
    return
  }
  const prefixes = interfaces.flatMap((faith) => faith.prefixes)
  for (const [index, given] of clientPrefixes.entries()) {
    const { prefix } = splitClientPrefix(given)
    if (prefixes.some((own) => contains(own, prefix) && contains(prefix, own))) continue
    complain(['dns64', 'client-prefixes', index], `no interface has the prefix ${prefix}`)
  }
  if ((certificate === undefined) !== (dns64.key === undefined)) {
    complain(['dns64', 'certificate'], 'certificate and key go together')
  }
  if (upstreams.length > 0 && upstreams.every((one) => readSecureUpstream(one)?.isNamed === true)) {
    const message = `nothing can look up ${upstreams[0]}: one of the upstreams must have an address`
    complain(['dns64', 'upstreams'], message)
  }
  const [first] = interfaces.flatMap(({ relay }) => relay)
  for (const [index, { relay }] of interfaces.entries()) {
    for (const [number, one] of relay.entries()) {
      for (const key of ['mapping', 'map'] as const) {
        if (isDeepStrictEqual(one[key], first?.[key])) continue
        const path = ['interface', index, 'relay', number, key]
        complain(path, `${key} must be that of the first relay, by which [dns64] makes addresses`)
      }
    }
  }
}

/** Tells if two IP prefixes have addresses in common. */
export function overlap(one: string, other: string): boolean {
  return contains(one, other) || contains(other, one)
}

function checkPorts(relays: readonly RelayConfiguration[], path: Path, complain: Complain): void {
  const taken: PortRange[] = []
  for (const [index, { ports }] of relays.entries()) {
    const ranges = rangesOf(ports)
    for (const { first, last } of ranges) {
      const other = taken.find((range) => range.first <= last && first <= range.last)
      if (other === undefined) continue
      const port = Math.max(first, other.first)
      complain([...path, index, 'ports'], `another relay of the interface has port ${port} too`)
      break
    }
    taken.push(...ranges)
  }
}

function checkPings(relays: readonly RelayConfiguration[], path: Path, complain: Complain): void {
  const named = relays.flatMap(({ protocols }, index) =>
    protocolsOf(protocols).includes('icmp') ? [index] : [],
  )
  for (const index of named.slice(1)) {
    complain([...path, index, 'protocols'], 'another relay of the interface has icmp too')
  }
}

/** Tells if a relay with blocks of ports has the addresses that they are of. */
function checkPortBlock(relay: RelayConfiguration, path: Path, complain: Complain): boolean {
  if (relay['port-block'] === 0) return true
  const at = [...path, 'port-block']
  if (relay.source.length === 0) {
    complain(at, 'port-block needs source: name the addresses whose ports clients get in blocks')
    return false
  }
  if (relay['privileged-source']) {
    complain(at, 'port-block does not go with privileged-source: blocks have no privileged ports')
    return false
  }
  return true
}

/** Checks each rule alone, so that each complaint has its place. Tells if all are well. */
function checkRules({ rules }: RelayConfiguration, path: Path, complain: Complain): boolean {
  let good = true
  for (const [index, rule] of rules.entries()) {
    try {
      checkAccessList(ruleLine(rule), 'rule')
    } catch (error) {
      complain([...path, 'rules', index], explain(error).replace(/^rule:1: /, ''))
      good = false
    }
  }
  return good
}
