/**
 * Compile-time checks for users of the library: `tsc` checks this file, and none of it runs. A line under
 * `@ts-expect-error` must not compile; if it does, that is the error.
 */
import type { EventEmitter } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import {
  checkSupport,
  createFaithInterface,
  type destinationOf,
  embed,
  type extract,
  type FaithError,
  type AccessRule,
  type FaithClient,
  type FaithDropReason,
  type FaithEndpoint,
  type FaithEnds,
  type FaithErrorCode,
  FaithInterface,
  type FaithLeg,
  type FaithLegs,
  FaithListener,
  type FaithListenOptions,
  type FaithLiveSession,
  type FaithPrefixes,
  type FaithCause,
  type FaithRefusal,
  type FaithRefusalReason,
  FaithRelay,
  type FaithRelayOptions,
  type FaithRelayStats,
  type FaithResource,
  type FaithRouteOptions,
  type FaithRouteBetween,
  type FaithRouteProceed,
  type FaithRouteReject,
  type FaithRouteServer,
  type FaithRouteSocket,
  type FaithRouteVerdict,
  type FaithSession,
  type FaithDestination,
  type FaithSessionCause,
  type FaithSessionDetail,
  type FaithSessionEndReason,
  type FaithSessionState,
  type FaithSessionStats,
  type FaithShortage,
  FaithSocket,
  type FaithSocketDestination,
  type FaithSplice,
  type FaithSpliceEnd,
  type FaithSupportCheck,
  type PortSpec,
  type readAccessList,
  setKeepfaith,
} from '../index.js'

/** `true` only for the same type; `any` is the same only as itself. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

declare function same<A, B>(answer: Same<A, B>): void
declare function take<T>(value: T): void
declare const faith: FaithInterface
declare const listener: FaithListener
declare const relay: FaithRelay
declare const socket: FaithSocket

export function routeAnswers(verdict: FaithRouteVerdict): void {
  take<FaithRouteVerdict>({ host: '10.0.0.7', port: 80 })
  take<FaithRouteVerdict>({ host: 'web', port: 80, localAddress: '192.0.2.1', proxyProtocol: 2 })
  take<FaithRouteVerdict>({ reject: 'refused' })
  take<FaithRouteVerdict>({ socket: true })
  take<FaithRouteVerdict>({ proceed: true, socket: true, tag: 'mine' })
  take<FaithRouteVerdict>({ proceed: true, idleTimeoutMs: 0, maxBytes: 1, tag: 'mine' })
  // @ts-expect-error a server needs its port
  take<FaithRouteVerdict>({ host: '10.0.0.7' })
  // @ts-expect-error a port is a number
  take<FaithRouteVerdict>({ host: '10.0.0.7', port: '80' })
  // @ts-expect-error there is no version 3
  take<FaithRouteVerdict>({ host: '10.0.0.7', port: 80, proxyProtocol: 3 })
  // @ts-expect-error a verdict connects or rejects
  take<FaithRouteVerdict>({ host: '10.0.0.7', port: 80, reject: 'refused' })
  // @ts-expect-error a verdict gives the socket or connects
  take<FaithRouteVerdict>({ host: '10.0.0.7', port: 80, socket: true })
  // @ts-expect-error a verdict gives the socket or rejects
  take<FaithRouteVerdict>({ reject: 'refused', socket: true })
  // @ts-expect-error `socket` must be true
  take<FaithRouteVerdict>({ socket: false })
  // @ts-expect-error no such way to reject
  take<FaithRouteVerdict>({ reject: 'deny' })
  // @ts-expect-error no verdict is undefined, not an empty object
  take<FaithRouteVerdict>({})

  if (verdict.reject !== undefined) same<typeof verdict, FaithRouteReject>(true)
  else if (verdict.socket) same<typeof verdict, FaithRouteSocket | FaithRouteBetween>(true)
  else if (verdict.proceed) same<typeof verdict, FaithRouteProceed>(true)
  else same<typeof verdict, FaithRouteServer>(true)
}

export function records(): void {
  relay.on('session', ({ destination, server }) => {
    same<typeof destination, FaithEndpoint>(true)
    same<typeof server, FaithEndpoint | undefined>(true)
    // @ts-expect-error the server has its own place
    take(destination.ipv4)
  })
  relay.on('refused', ({ server }) => same<typeof server, FaithEndpoint | undefined>(true))
}

export async function live(): Promise<void> {
  for await (const { destination, server } of relay.sessions()) {
    same<typeof destination, FaithEndpoint>(true)
    same<typeof server, FaithEndpoint | undefined>(true)
  }
}

export async function routes(): Promise<void> {
  const server: FaithRouteServer = { host: '2001:db8::1', port: 80, localAddress: '2001:db8::2' }
  await faith.relay({ port: 80, localAddresses: ['192.0.2.1', '2001:db8::2'], route: () => server })
  await faith.relay({
    port: 80,
    route: ({ client, destination }) => {
      same<typeof client, FaithEndpoint>(true)
      same<typeof destination, FaithDestination>(true)
      same<typeof destination.ipv4, string | undefined>(true)
      return destination.ipv4 === undefined ? undefined : { host: destination.ipv4, port: 80 }
    },
  })
  await faith.relay({ port: 80, route: async () => ({ reject: 'drop', tag: 'bad' }) })
  const terms: FaithRouteOptions = { idleTimeoutMs: 0, maxBytes: 2 ** 20, tag: 'tenant 7' }
  await faith.relay({
    port: 80,
    route: ({ id, signal, destination }) => {
      same<typeof id, number>(true)
      same<typeof signal, AbortSignal>(true)
      if (id === 1) return { host: '10.0.0.7', port: destination.port, allowAny: true, ...terms }
      return { proceed: true, proxyProtocol: 2, localAddress: '192.0.2.1', ...terms }
    },
  })
  // @ts-expect-error with `proceed` the relay chooses the server
  await faith.relay({ port: 80, route: () => ({ proceed: true, host: '10.0.0.7', port: 80 }) })
  // @ts-expect-error `proceed` must be true
  await faith.relay({ port: 80, route: () => ({ proceed: false }) })
  // @ts-expect-error a string is not a verdict
  await faith.relay({ port: 80, route: () => '10.0.0.7' })
  // @ts-expect-error no such way to reject in a promise
  await faith.relay({ port: 80, route: async () => ({ reject: 'deny' }) })
}

export async function options(): Promise<void> {
  take<FaithListenOptions>({ ports: [22, '8000-8999'] as const })
  take<FaithListenOptions>({ port: 80, mapping: 'low32', mappings: ['::1=192.0.2.1:80'] })
  // @ts-expect-error no ports
  await faith.listen({})
  // @ts-expect-error one port and several
  await faith.listen({ port: 80, ports: [81] })
  // @ts-expect-error no ports
  await faith.relay({ idleTimeoutMs: 0 })
  // @ts-expect-error one port and several
  await faith.relay({ port: 80, ports: 'all' })
  // @ts-expect-error a misspelt option
  await faith.listen({ prot: 5 })
  // @ts-expect-error no such mapping
  take<FaithListenOptions>({ port: 80, mapping: 'rfc3142' })
  take<readonly PortSpec[]>([22, 'all'])
  take<AccessRule>({ action: 'deny', destination: '10.0.0.0/8', ports: 25 })
  // @ts-expect-error a rule permits or denies
  take<AccessRule>({ action: 'reject', destination: '10.0.0.0/8' })
  // @ts-expect-error a misspelt option
  await createFaithInterface({ prefix: '64:ff9b::/96' })
  // @ts-expect-error a program cannot insist on sk_lookup
  await createFaithInterface({ steering: 'sk_lookup' })
  // @ts-expect-error an omitted option is not undefined
  await createFaithInterface({ workers: undefined })
  // @ts-expect-error an IPv4 address is not a rule
  take<FaithRelayOptions>({ port: 80, accessList: ['10.0.0.1'] })
  // @ts-expect-error milliseconds are a number
  take<FaithRelayOptions>({ port: 80, idleTimeoutMs: '30m' })
  // @ts-expect-error keepfaith takes no number
  setKeepfaith(1)
}

export async function listenerEvents(): Promise<void> {
  same<typeof listener, FaithListener>(true)
  take<EventEmitter>(listener)
  listener.on('connection', (taken) => same<typeof taken, FaithSocket>(true))
  listener.on('error', (error) => same<typeof error, Error>(true))
  listener.on('close', (...nothing) => same<typeof nothing, []>(true))
  for await (const taken of listener) same<typeof taken, FaithSocket>(true)
  // @ts-expect-error a misspelt event
  listener.on('conection', (taken: FaithSocket) => taken.end())
  // @ts-expect-error a listener has no sessions
  listener.on('session', (session: FaithSession) => session.id)
  // @ts-expect-error the event has a socket
  listener.on('connection', (taken: string) => taken)
}

export function servers(): void {
  using attachment = listener.attach(createServer())
  same<ReturnType<typeof attachment.detach>, void>(true)
  listener.attach(createHttpServer())
  listener.attach(createSecureServer())
  listener.attach(createTlsServer())
  listener.attach({ injectSocket: (taken: Socket) => taken.resume() })
  listener.attach({ server: createServer() })
  // @ts-expect-error a port is not a server
  listener.attach(80)
  // @ts-expect-error it takes no connections
  listener.attach({})
  // @ts-expect-error no server inside
  listener.attach({ server: 'inside' })
  same<ReturnType<typeof destinationOf>, FaithSocketDestination | undefined>(true)
  same<Parameters<typeof destinationOf>, [FaithEnds]>(true)
  const near = { localAddress: '64:ff9b::1', localPort: 25 }
  take<FaithEnds>({ ...near, remoteAddress: '2001:db8::1', remotePort: 1025 })
  take<FaithEnds>(socket)
  // @ts-expect-error one end is not enough
  take<FaithEnds>(near)
}

export function relayEvents(): void {
  relay.on('session', (session) => same<typeof session, FaithSession>(true))
  relay.on('refused', (refusal) => {
    same<typeof refusal, FaithRefusal>(true)
    same<typeof refusal.reason, FaithRefusalReason>(true)
    same<typeof refusal.cause, FaithCause | undefined>(true)
    // @ts-expect-error a refusal has no bytes
    take(refusal.bytesUp)
    // @ts-expect-error only a session is closed in order
    take(refusal.reason === 'closed')
  })
  relay.on('exhausted', (shortage) => same<typeof shortage, FaithShortage>(true))
  listener.on('exhausted', ({ resource }) => same<typeof resource, FaithResource>(true))
  relay.once('error', (error) => same<typeof error, FaithError>(true))
  relay.on('close', (...nothing) => same<typeof nothing, []>(true))
  relay.on('connection', (taken) => same<typeof taken, FaithSocket>(true))
  faith.on('prefix', ({ action, prefix }) => {
    same<typeof action, 'add' | 'delete'>(true)
    same<typeof prefix, string>(true)
  })
  faith.on('drop', ({ packets, intervalMs }) => {
    same<typeof packets, Partial<Record<FaithDropReason, number>>>(true)
    // @ts-expect-error not a reason for drops
    take(packets.misspelt)
    same<typeof intervalMs, number>(true)
  })
  faith.on('keepfaith', (on) => same<typeof on, boolean>(true))
  faith.on('error', (error) => same<typeof error, FaithError>(true))
  // @ts-expect-error an interface has no sessions
  faith.on('session', (session: FaithSession) => session.id)
}

export async function splices(): Promise<void> {
  const splice = socket.spliceTo({ host: '192.0.2.1', port: 80 })
  same<typeof splice, FaithSplice>(true)
  same<typeof splice.connected, Promise<void>>(true)
  same<typeof splice.bytesUp | typeof splice.bytesDown, number>(true)
  same<ReturnType<typeof splice.abort>, void>(true)
  // @ts-expect-error byte counts are read-only
  splice.bytesUp = 0
  const spliced = await splice
  same<typeof spliced, FaithSpliceEnd>(true)
  same<typeof spliced.bytesUp, number>(true)
  same<typeof spliced.reason, FaithSessionEndReason>(true)
  await socket.spliceTo(new Socket())
  await socket.spliceTo(socket)
  await socket.spliceTo({ host: 'web', port: 80, localAddress: '192.0.2.2', proxyProtocol: 2 })
  await socket.spliceTo({
    host: 'web',
    port: 80,
    connectTimeoutMs: 1,
    idleTimeoutMs: 0,
    keepAliveTimeoutMs: 2000,
  })
  await socket.spliceTo({ host: '10.0.0.7', port: 80, allowAny: true })
  // @ts-expect-error the policy does not apply to a socket that the program opened
  await socket.spliceTo(new Socket(), { allowAny: true })
  same<ReturnType<typeof faith.stats>['splices'], FaithSessionStats>(true)
  const { signal } = new AbortController()
  await socket.spliceTo({ host: 'web', port: 80, signal })
  await socket.spliceTo(new Socket(), { signal, idleTimeoutMs: 0, keepAliveTimeoutMs: 2000 })
  // @ts-expect-error a server's options belong to its object
  await socket.spliceTo({ host: 'web', port: 80 }, { signal })
  // @ts-expect-error a socket is connected already
  await socket.spliceTo(new Socket(), { connectTimeoutMs: 1 })
  // @ts-expect-error a controller is not a signal
  await socket.spliceTo({ host: 'web', port: 80, signal: new AbortController() })
  // @ts-expect-error a server needs its port
  await socket.spliceTo({ host: '192.0.2.1' })
  // @ts-expect-error a string is not a server
  await socket.spliceTo('192.0.2.1')
  // @ts-expect-error a listener is no target
  await socket.spliceTo(listener)
}

export function sockets(): void {
  take<Socket>(socket)
  same<typeof socket.localAddress, string>(true)
  same<typeof socket.remotePort, number>(true)
  same<typeof socket.localFamily, 'IPv6'>(true)
  same<typeof socket.destination.ipv4, string | undefined>(true)
  same<typeof socket.destination.ipv4Port, number | undefined>(true)
  same<typeof socket.destination.interface, string>(true)
  // @ts-expect-error the destination is read-only
  socket.destination = { address: '::1', port: 80, prefix: '::/96', interface: 'faith0' }
  // @ts-expect-error only listeners and relays make sockets
  take(new FaithSocket())
  // @ts-expect-error only `faith.listen` makes listeners
  take(new FaithListener())
  // @ts-expect-error only `faith.relay` makes relays
  take(new FaithRelay())
  // @ts-expect-error only `createFaithInterface` makes interfaces
  take(new FaithInterface())
  // @ts-expect-error only an interface makes its prefixes
  take(new (faith.prefixes.constructor as typeof FaithPrefixes)())
}

export function sessions(session: FaithSession, stats: FaithRelayStats): void {
  same<typeof session.reason, FaithSessionEndReason>(true)
  same<typeof session.startedAt, Date>(true)
  same<typeof stats.sessions, FaithSessionStats>(true)
  same<keyof typeof stats.sessions.ended, FaithSessionEndReason>(true)
  same<(typeof stats.sessions.ended)['idle-timeout'], number>(true)
  same<keyof typeof stats.refused.byReason, FaithRefusalReason>(true)
  same<keyof typeof stats.refused.byCause, FaithCause | FaithRefusalReason>(true)
  same<typeof stats.refused.byReason.denied, number>(true)
  same<typeof stats.refused.byCause.loopback, number | undefined>(true)
  // @ts-expect-error not a reason of sessions
  take(stats.sessions.ended.timeout)
  // @ts-expect-error a denied attempt is not a session
  take(stats.sessions.ended.denied)
  // @ts-expect-error not a reason of sessions
  take(session.reason === 'reset')
  // @ts-expect-error a refused attempt is not a session
  take(session.reason === 'refused')
  same<typeof session.cause, FaithSessionCause | undefined>(true)
  // @ts-expect-error only aborted sessions have a cause
  take(session.cause === 'denied-by-rule')
}

export async function liveSessions(): Promise<void> {
  for await (const session of relay.sessions()) {
    same<typeof session, FaithLiveSession>(true)
    same<typeof session.client, FaithEndpoint>(true)
    same<ReturnType<typeof relay.abort>, boolean>(true)
    relay.abort(session.id)
    // @ts-expect-error a live session has no reason
    take(session.reason)
  }
  // @ts-expect-error an id is a number
  relay.abort('1')
}

export async function detailsAndClients(): Promise<void> {
  const detail = relay.session(1)
  if (detail === undefined) return
  same<typeof detail, FaithSessionDetail>(true)
  same<typeof detail.legs, FaithLegs | undefined>(true)
  if (detail.legs === undefined) return
  same<typeof detail.legs.server, FaithLeg>(true)
  same<typeof detail.legs.client.rttMs, number | undefined>(true)
  same<typeof detail.slow, 'client' | 'neither' | 'server'>(true)
  same<typeof detail.state, FaithSessionState>(true)
  for await (const client of relay.clients({ prefixLength: 56 })) {
    same<typeof client, FaithClient>(true)
  }
  // @ts-expect-error a number of bits
  relay.clients({ prefixLength: '64' })
  // @ts-expect-error an id is a number
  relay.session('1')
}

export async function answers(check: FaithSupportCheck): Promise<void> {
  same<ReturnType<typeof embed>, string>(true)
  same<ReturnType<typeof extract>, string | undefined>(true)
  same<Awaited<ReturnType<typeof readAccessList>>, string>(true)
  // @ts-expect-error the prefix decides where the address goes
  embed('192.0.2.33')

  if (check.ok) same<typeof check.hint, undefined>(true)
  else same<typeof check.hint, string>(true)
  const { ok, tun } = await checkSupport()
  same<typeof ok, boolean>(true)
  same<typeof tun, FaithSupportCheck>(true)
}

export async function lifetimes(): Promise<void> {
  await using one = await createFaithInterface()
  await using two = await one.listen({ port: 80 })
  await using three = await one.relay({ ports: 'all' })
  same<typeof two, FaithListener>(true)
  same<typeof three, FaithRelay>(true)
  same<ReturnType<typeof three.ref>, FaithRelay>(true)
  for (const prefix of one.prefixes) same<typeof prefix, string>(true)
}

export function errors(error: FaithError): void {
  take<FaithErrorCode>('ERR_FAITH_PORT')
  // @ts-expect-error not a code of the library
  take<FaithErrorCode>('ERR_FAITH_PORTS')
  take(error.code === 'ERR_FAITH_PORT' || error.code === 'EPERM')
  same<typeof error.hint, string | undefined>(true)
  same<typeof error.errno, number | undefined>(true)
  // @ts-expect-error the code is read-only
  error.code = 'EPERM'
}
