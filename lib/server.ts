/** Reads the servers that a program names for connections, with their timeouts. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Family, familyOf, insteadOf } from './ip.js'
import { MOST, type OptionNames, type OptionReader } from './option-reader.js'

/** The checked options of a connection to a server. */
export interface Outgoing {
  localAddress?: string
  proxyProtocol?: 1 | 2
}

/** A checked server, which may still have a name for its address. */
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
/** The name of the timeout of connecting. */
export const CONNECT_OPTIONS = { connectTimeoutMs: true } as const
/** The names of the timeouts of connections without a sign of life. */
export const LASTING_OPTIONS = { idleTimeoutMs: true, keepAliveTimeoutMs: true } as const

/** 0 is no limit. */
export const IDLE_MS = { min: 0, max: MOST }
/** Half of it passes before the first probe, for which the kernel takes 32767 seconds at most (tcp(7)). */
const KEEP_ALIVE_MS = { min: 2_000, max: 64_800_000 }

/** Reads the options of a connection. `family` is that of the server's address, which messages call `whose`. */
export function readOutgoing(
  read: OptionReader<keyof Outgoing>,
  family: Family,
  whose: string,
): Outgoing {
  const given = read.unchecked('localAddress')
  const localAddress =
    given === undefined ? undefined : readLocalAddress(read, 'localAddress', given)
  if (localAddress !== undefined && familyOf(localAddress) !== family) {
    throw read.refuse('localAddress', `an IPv${family} address as ${whose} is`, localAddress)
  }
  const proxyProtocol =
    read.unchecked('proxyProtocol') === undefined ? undefined : read.oneOf('proxyProtocol', [1, 2])
  return {
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  }
}

/** Checks that option `name` has an IP address, which is to be one of this host. */
export function readLocalAddress<Name extends string>(
  read: OptionReader<Name>,
  name: Name,
  address: unknown,
): string {
  const flaw = typeof address === 'string' ? insteadOf(address) : undefined
  if (typeof address === 'string' && flaw === undefined && isIP(address) !== 0) return address
  throw read.refuse(name, flaw ?? 'an IPv4 or IPv6 address', address)
}

export function readServer(read: OptionReader<keyof NamedServer>): NamedServer {
  const host = read.string('host')
  const port = read.integer('port', { min: 1, max: 65_535 })
  const flaw = host === '' ? 'an IPv4 address, an IPv6 address or a host name' : insteadOf(host)
  if (flaw !== undefined) throw read.refuse('host', flaw, host)
  const whose = isIP(host) === 0 ? `the first address of \`host\` '${host}'` : `\`host\` '${host}'`
  return {
    host,
    port,
    ...(read.boolean('allowAny', false) ? { allowAny: true } : {}),
    ...readOutgoing(read, familyOf(host), whose),
  }
}

/** Replaces a server's name by its address. */
export async function resolve<T extends NamedServer>(server: T): Promise<T> {
  if (isIP(server.host) !== 0) return server
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
