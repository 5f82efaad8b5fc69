/// <reference types="node" preserve="true" />
/**
 * faithd captures IPv6 TCP connections by prefix, and relays them to IPv4 servers.
 *
 * All durations are in milliseconds, and their names end in `Ms`.
 *
 * @module faithd
 * @packageDocumentation
 */
export {
  checkAccessList,
  readAccessList,
  type AccessList,
  type AccessRule,
} from './lib/access-list.js'
export {
  matchAccessList,
  type FaithAccessQuestion,
  type FaithMatchOptions,
  type FaithPermission,
} from './lib/permission.js'
export {
  FaithUdpSocket,
  type FaithUdpSendCallback,
  type FaithUdpSocketEvents,
  type FaithUdpSocketStats,
} from './lib/bind-udp.js'
export type {
  FaithBindUdpOptions,
  FaithBindUdpSettings,
  FaithUdpSendOptions,
} from './lib/bind-udp-options.js'
export type { FaithClient, FaithClientsOptions } from './lib/clients.js'
export type { FaithConnectOptions } from './lib/connect.js'
export type { FaithDecidingRule } from './lib/deciding-rule.js'
export { embed, extract } from './lib/addresses.js'
export {
  destinationOf,
  type FaithAttachment,
  type FaithConnectionServer,
  type FaithEnds,
  type FaithInjectionServer,
  type FaithServer,
  type FaithWrappingServer,
} from './lib/attach.js'
export type { FaithDiagnostics, FaithDiagnosticsOrigin } from './lib/diagnostics.js'
export {
  FaithDns64,
  type FaithDns64Condition,
  type FaithDns64Events,
  type FaithDns64Stats,
  type FaithDns64Upstream,
  type FaithDns64UpstreamChange,
  type FaithDns64Warning,
} from './lib/dns64.js'
export type {
  FaithDns64Address,
  FaithDns64Certificate,
  FaithDns64ClientPrefix,
  FaithDns64Options,
  FaithDns64Settings,
  FaithDns64Tls,
} from './lib/dns64-options.js'
export type {
  FaithDnsAddresses,
  FaithDnsAnswer,
  FaithDnsQuery,
  FaithResolve,
} from './lib/resolve.js'
export type { FaithDropReason, FaithDrops } from './lib/drops.js'
export type { FaithDestination, FaithEndpoint } from './lib/endpoint.js'
export type { FaithResource, FaithShortage } from './lib/exhausted.js'
export { FaithError, type FaithErrorCode, type FaithErrorDetails } from './lib/errors.js'
export { createFaithInterface, FaithInterface, type FaithInterfaceEvents } from './lib/interface.js'
export type { FaithInterfaceCloseOptions, FaithInterfaceOptions } from './lib/interface-options.js'
export type { FaithCounters, FaithInterfaceStats } from './lib/interface-stats.js'
export { getKeepfaith, setKeepfaith } from './lib/keepfaith.js'
export { relaySockets, type FaithSocketsOptions } from './lib/host-sockets.js'
export { FaithListener, type FaithListenerEvents } from './lib/listener.js'
export type {
  FaithIterationOptions,
  FaithListenerCloseOptions,
  FaithListenOptions,
  FaithListenSettings,
} from './lib/listener-options.js'
export type { FaithMapping, MappingOptions } from './lib/mapping.js'
export type { OnePortOption, PortOptions, PortSpec, SeveralPortsOption } from './lib/ports.js'
export type { FaithPlace } from './lib/place.js'
export type { FaithProtocol } from './lib/protocol.js'
export type { FaithPrefixChange, FaithPrefixes } from './lib/prefixes.js'
export { FaithRelay, type FaithRelayCloseOptions } from './lib/relay.js'
export type { FaithSetAccessListOptions } from './lib/relay-changes.js'
export type { FaithRelayEvents } from './lib/relay-events.js'
export type {
  FaithLocalService,
  FaithRelayOptions,
  FaithRelaySettings,
  FaithRelayUpdate,
} from './lib/relay-options.js'
export type {
  FaithCause,
  FaithRefusal,
  FaithRefusalCounts,
  FaithRefusalReason,
  FaithRefusalStats,
} from './lib/refusal.js'
export type {
  FaithConnectDurations,
  FaithDurationBucket,
  FaithRelayStats,
  FaithUdpStats,
  FaithUntold,
} from './lib/relay-stats.js'
export type {
  FaithAbortCounts,
  FaithLiveSession,
  FaithSession,
  FaithSessionCause,
  FaithSessionEndReason,
  FaithSessionState,
  FaithProtocolStats,
  FaithSessionStats,
} from './lib/session.js'
export type { FaithLeg, FaithLegs, FaithSessionDetail } from './lib/session-detail.js'
export type { FaithSource } from './lib/sources.js'
export type {
  FaithRoute,
  FaithRouteConnection,
  FaithRouteOptions,
  FaithRouteBetween,
  FaithRouteProceed,
  FaithRouteReject,
  FaithRouteServer,
  FaithRouteSocket,
  FaithRouteVerdict,
} from './lib/route.js'
export { FaithSocket, type FaithSocketDestination, type FaithSocketOptions } from './lib/socket.js'
export type {
  FaithSplice,
  FaithSpliceEnd,
  FaithSpliceOptions,
  FaithSpliceServer,
} from './lib/splice.js'
export {
  checkSupport,
  type FaithSupport,
  type FaithSupportCheck,
  type FaithSupported,
  type FaithUnsupported,
} from './lib/support.js'
export type { FaithUdpData } from './lib/udp-data.js'
export type { FaithUdpMessage, FaithUdpRemoteInfo } from './lib/udp-message.js'
export type { FaithUdpFiltering, FaithUdpOptions } from './lib/udp-options.js'
export { writeUrgent } from './lib/urgent.js'
export type { FaithWarning, FaithWarningCode } from './lib/warning.js'
