/** A configuration in the words of the library. */
import type {
  FaithInterfaceOptions,
  FaithRelayOptions,
  FaithRelayUpdate,
  FaithSocketsOptions,
  FaithUdpOptions,
} from '../index.js'
import type { InterfaceConfiguration, RelayConfiguration } from './configuration.js'
import { protocolsOf } from './kinds.js'

/** Gives the library's options of an interface. */
export function interfaceOptions(faith: InterfaceConfiguration): FaithInterfaceOptions {
  const { name, prefixes, routes, mtu, shortcut, unsupported } = faith
  return { name, prefixes, routes, mtu, shortcut, unsupported }
}

/** Gives the library's options of a relay, without its access list, which is loaded apart. */
export function relayOptions(relay: RelayConfiguration) {
  const proxyProtocol = relay['proxy-protocol']
  return {
    ...changeable(relay),
    ports: relay.ports.split(','),
    protocols: protocolsOf(relay.protocols),
    allowLoopback: relay['allow-loopback'],
    connectFirst: relay['connect-first'],
    copyDscp: relay['copy-dscp'],
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  } satisfies FaithRelayOptions
}

/** Gives the library's options of a relay of given sockets, without its access list and its sockets. */
export function socketsOptions(relay: RelayConfiguration) {
  const proxyProtocol = relay['proxy-protocol']
  return {
    ...changeableOnSockets(relay),
    allowLoopback: relay['allow-loopback'],
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  } satisfies Omit<FaithSocketsOptions, 'sockets'>
}

/** The settings of a relay that it can change while it runs, all of them. */
export function relayUpdate(relay: RelayConfiguration): FaithRelayUpdate {
  return { ...changeable(relay), proxyProtocol: relay['proxy-protocol'] ?? 0 }
}

function changeable(relay: RelayConfiguration) {
  return {
    ...changeableOnSockets(relay),
    maxHeld: relay['max-held'],
    maxHeldPerClient: relay['max-held-per-client'],
    ...(relay.protocols === 'tcp' ? {} : { udp: udpOptions(relay) }),
  } satisfies FaithRelayUpdate
}

function changeableOnSockets(relay: RelayConfiguration) {
  return {
    mapping: relay.mapping,
    mappings: relay.map,
    connectTimeoutMs: milliseconds(relay['connect-timeout']),
    idleTimeoutMs: milliseconds(relay['idle-timeout']),
    keepAliveTimeoutMs: milliseconds(relay['keep-alive']),
    maxSessions: relay['max-sessions'],
    maxSessionsPerClient: relay['max-sessions-per-client'],
    maxRatePerClient: relay['max-rate-per-client'],
    clientPrefixLength: relay['client-prefix-length'],
    local: relay.local,
    localAddresses: relay.source,
    portBlockSize: relay['port-block'],
    portBlocksPerClient: relay['port-blocks-per-client'],
    portBlockRestMs: milliseconds(relay['port-block-rest']),
    privilegedLocalPort: relay['privileged-source'],
  } satisfies FaithRelayUpdate
}

function udpOptions(relay: RelayConfiguration): FaithUdpOptions {
  return {
    filtering: relay['udp-filtering'],
    oversize: relay['udp-oversize'],
    timeoutMs: milliseconds(relay['udp-timeout']),
    maxMappings: relay['max-mappings'],
    maxMappingsPerClient: relay['max-mappings-per-client'],
  }
}

/** Seconds, in milliseconds. */
export function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000)
}
