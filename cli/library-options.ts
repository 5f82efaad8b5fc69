/** A configuration in the words of the library. */
import type { FaithInterfaceOptions, FaithRelayOptions } from '../index.js'
import type { InterfaceConfiguration, RelayConfiguration } from './configuration.js'

/** How an interface is made. */
export function interfaceOptions(faith: InterfaceConfiguration): FaithInterfaceOptions {
  const { name, prefixes, routes, mtu, shortcut, unsupported } = faith
  return { name, prefixes, routes, mtu, shortcut, unsupported }
}

/** How a relay works; its access list is loaded apart. */
export function relayOptions(relay: RelayConfiguration) {
  const proxyProtocol = relay['proxy-protocol']
  return {
    ports: relay.ports.split(','),
    mapping: relay.mapping,
    mappings: relay.map,
    allowLoopback: relay['allow-loopback'],
    connectFirst: relay['connect-first'],
    maxHeld: relay['max-held'],
    maxHeldPerClient: relay['max-held-per-client'],
    connectTimeoutMs: milliseconds(relay['connect-timeout']),
    idleTimeoutMs: milliseconds(relay['idle-timeout']),
    keepAliveTimeoutMs: milliseconds(relay['keep-alive']),
    maxSessions: relay['max-sessions'],
    maxSessionsPerClient: relay['max-sessions-per-client'],
    maxRatePerClient: relay['max-rate-per-client'],
    clientPrefixLength: relay['client-prefix-length'],
    localAddresses: relay.source,
    privilegedLocalPort: relay['privileged-source'],
    copyDscp: relay['copy-dscp'],
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  } satisfies FaithRelayOptions
}

/** Seconds, in milliseconds. */
export function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000)
}
