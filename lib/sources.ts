/** The local addresses of a relay's connections to servers, and how far their ports are used. */
import type { NativeSource } from './native.js'

/**
 * The use of one local address, as it was at the call.
 *
 * @group Relay and route
 */
export interface FaithSource {
  /** The address of this host that connections to servers come from. */
  address: string
  /**
   * Number of sessions that come from it. Each has a port, and sessions to different servers may share one. Connections
   * that have ended are not included; the kernel may keep their ports for a minute.
   */
  sessions: number
  /**
   * Number of ports that connections can come from, towards each server: those of `net.ipv4.ip_local_port_range`
   * without those of `net.ipv4.ip_local_reserved_ports`.
   */
  ports: number
  /** Number of blocks that clients have; see {@link FaithRelaySettings.portBlockSize}. */
  portBlocks: number
  /** Number of blocks that the ports make; 0 if clients get no blocks. */
  maxPortBlocks: number
}

/** @internal Gives the addon's value its public shape. */
export function toSource({
  address,
  sessions,
  ports,
  blocks,
  maxBlocks,
}: NativeSource): FaithSource {
  return { address, sessions, ports, portBlocks: blocks, maxPortBlocks: maxBlocks }
}
