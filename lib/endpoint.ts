/** The two ends of a captured connection, and the server that it means. */

/**
 * An address and a TCP port.
 *
 * @group Listener and sockets
 */
export interface FaithEndpoint {
  /** An IPv6 address in RFC 5952 form, or a dotted IPv4 address. */
  address: string
  /** A TCP port, 1 to 65535. */
  port: number
}

/**
 * What the client of a captured connection wanted to reach.
 *
 * @group Listener and sockets
 */
export interface FaithDestination extends FaithEndpoint {
  /** The IPv4 address that `address` means, where `mappings` and `mapping` find one. */
  ipv4?: string
}

/**
 * What a client dialled, and the server that it meant.
 *
 * @group Listener and sockets
 */
export interface FaithSessionDestination extends FaithDestination {
  /** The server's port; it differs from `port` by an explicit mapping or by `route`. */
  ipv4Port?: number
}
