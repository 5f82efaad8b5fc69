/** Servers that connections are sent to by whoever uses the library: how they are named, and how long they may take. */
import { lookup } from 'node:dns/promises'
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { MOST, type OptionNames, type OptionReader } from './option-reader.js'

/** How a server is connected to, checked. */
export interface Outgoing {
  localAddress?: string
  proxyProtocol?: 1 | 2
}

/** A server as it was named, checked. */
export interface NamedServer extends Outgoing {
  host: string
  port: number
  allowAny?: true
}

/** The names of {@link Outgoing}. */
export const OUTGOING_OPTIONS: OptionNames<Outgoing> = { localAddress: true, proxyProtocol: true }

/** The names of a server's options. */
export const SERVER_OPTIONS: OptionNames<NamedServer> = {
  host: true,
  port: true,
  allowAny: true,
  ...OUTGOING_OPTIONS,
}
/** The names of what says how long a server may take to answer. */
export const CONNECT_OPTIONS = { connectTimeoutMs: true } as const
/** The names of what says how long connections may go on without a sign of life. */
export const LASTING_OPTIONS = { idleTimeoutMs: true, keepAliveTimeoutMs: true } as const

/** 0 is for ever. */
export const IDLE_MS = { min: 0, max: MOST }
/** The kernel takes 32767 seconds at most for the half of it that goes by before the first probe (tcp(7)). */
const KEEP_ALIVE_MS = { min: 2_000, max: 64_800_000 }

export function readOutgoing(read: OptionReader<keyof Outgoing>): Outgoing {
  const localAddress = read.unchecked('localAddress')
  if (localAddress !== undefined && !(typeof localAddress === 'string' && isIPv4(localAddress))) {
    throw read.refuse('localAddress', 'an IPv4 address', localAddress)
  }
  const proxyProtocol =
    read.unchecked('proxyProtocol') === undefined ? undefined : read.oneOf('proxyProtocol', [1, 2])
  return {
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  }
}

export function readServer(read: OptionReader<keyof NamedServer>): NamedServer {
  const host = read.string('host')
  const port = read.integer('port', { min: 1, max: 65_535 })
  if (host === '' || isIPv6(host)) {
    throw read.refuse('host', 'an IPv4 address or a host name', host)
  }
  return {
    host,
    port,
    ...(read.boolean('allowAny', false) ? { allowAny: true } : {}),
    ...readOutgoing(read),
  }
}

/** The same server with its address for its name. */
export async function resolve<T extends NamedServer>(server: T): Promise<T> {
  if (isIP(server.host) === 4) return server
  return { ...server, host: (await lookup(server.host, { family: 4 })).address }
}

export function readConnectTimeout(read: OptionReader<keyof typeof CONNECT_OPTIONS>): {
  connectTimeoutMs: number
} {
  return { connectTimeoutMs: read.integer('connectTimeoutMs', { min: 1, max: MOST }, 10_000) }
}

export function readLastingTimeouts(read: OptionReader<keyof typeof LASTING_OPTIONS>): {
  idleTimeoutMs: number
  keepAliveTimeoutMs: number
} {
  return {
    idleTimeoutMs: read.integer('idleTimeoutMs', IDLE_MS, 1_800_000),
    keepAliveTimeoutMs: read.integer('keepAliveTimeoutMs', KEEP_ALIVE_MS, 120_000),
  }
}
