/** The options of a program's own ports of datagrams, read once, at the public edge, into the addon's form. */
import { isIPv6 } from 'node:net'
import type { FaithEndpoint } from './endpoint.js'
import { readAddress } from './listener-options.js'
import { MAPPING_OPTIONS, type MappingOptions, readMappings } from './mapping.js'
import type { NativeBindOptions } from './native.js'
import { MOST, type OptionNames, OptionReader } from './option-reader.js'
import { PORT_OPTIONS, type PortOptions, type PortRange, readPorts } from './ports.js'

/**
 * Options of {@link FaithInterface.bindUdp}, without the ports.
 *
 * @group UDP
 */
export interface FaithBindUdpSettings extends MappingOptions {
  /**
   * One address inside a prefix of the interface. Default: every address of every prefix. A socket on one address takes
   * precedence over one on all addresses, and over a relay of them.
   */
  address?: string
  /**
   * Bytes of datagrams that may wait for the program, 1 to 4294967295. Each datagram counts 512 more than its data.
   * Further ones are dropped, and `stats().dropped` counts them. Default 4194304.
   */
  recvBufferSize?: number
  /** A signal that closes the socket when aborted, like `close()`. Default: none. */
  signal?: AbortSignal
}

/**
 * Options of {@link FaithInterface.bindUdp}.
 *
 * @group UDP
 */
export type FaithBindUdpOptions = FaithBindUdpSettings & PortOptions

const CALL = 'faith.bindUdp'
const BIND: OptionNames<FaithBindUdpOptions> = {
  ...PORT_OPTIONS,
  ...MAPPING_OPTIONS,
  address: true,
  recvBufferSize: true,
  signal: true,
}

/**
 * Options of `send` of a {@link FaithUdpSocket}.
 *
 * @group UDP
 */
export interface FaithUdpSendOptions {
  /**
   * The address and port that the datagram comes from: one that the socket has bound, such as `rinfo.destination`.
   * Default: the one that this peer dialled last.
   */
  from?: FaithEndpoint
  /** The hop limit of the IPv6 header, 1 to 255. Default 64. */
  hopLimit?: number
  /** The traffic class of the IPv6 header, 0 to 255: DSCP in the upper six bits, ECN in the lower two. Default 0. */
  trafficClass?: number
}

const SEND: OptionNames<FaithUdpSendOptions> = { from: true, hopLimit: true, trafficClass: true }

/** @internal The names of a {@link FaithEndpoint}, and those of a destination, which are ignored. */
const END = { address: true, port: true, ipv4: true, ipv4Port: true } as const

/** @internal The checked options of `faith.bindUdp`, with defaults. */
export interface BindUdpOptions {
  settings: NativeBindOptions
  ports: readonly PortRange[]
  signal: AbortSignal | undefined
}

/** @internal */
export function readBindUdpOptions(options: unknown): BindUdpOptions {
  const read = new OptionReader(CALL, BIND, options)
  const ports = readPorts(read)
  const settings = {
    ports,
    ...readAddress(read),
    recvBufferSize: read.integer('recvBufferSize', { min: 1, max: MOST }, 4_194_304),
    ...readMappings(CALL, read),
  }
  return { settings, ports, signal: read.signal('signal') }
}

/** @internal The checked options of a datagram, with defaults. */
export interface SendOptions {
  from: FaithEndpoint | undefined
  hopLimit: number
  trafficClass: number
}

/** @internal */
export function readSendOptions(options: unknown): SendOptions {
  const read = new OptionReader('udp.send', SEND, options)
  const from = read.unchecked('from')
  return {
    from: from === undefined ? undefined : readEnd('udp.send: `from`', from),
    hopLimit: read.integer('hopLimit', { min: 1, max: 255 }, 64),
    trafficClass: read.integer('trafficClass', { min: 0, max: 255 }, 0),
  }
}

/** @internal Checks an address and a port that `call` got. */
export function readEnd(call: string, end: unknown): FaithEndpoint {
  const read = new OptionReader(call, END, end, 'an end')
  const address = read.string('address')
  if (!isIPv6(address) || address.includes('%')) {
    throw read.refuse('address', 'an IPv6 address without a scope', address)
  }
  return { address, port: read.integer('port', { min: 1, max: 65_535 }) }
}
