/** Types for the ends of a captured connection or datagram and for its server. */

/**
 * An address and a port of TCP or UDP.
 *
 * @group Listener and sockets
 */
export interface FaithEndpoint {
  /** An IPv6 address in RFC 5952 form, or a dotted IPv4 address. */
  address: string
  /** A port, 1 to 65535. */
  port: number
}

/**
 * The destination that the client dialled, and the IPv4 server that it maps to.
 *
 * @group Listener and sockets
 */
export interface FaithDestination extends FaithEndpoint {
  /** The IPv4 address that `mappings` or `mapping` find for `address`; absent if they find none. */
  ipv4?: string
  /** The port of that server. An explicit mapping may make it differ from `port`. */
  ipv4Port?: number
}
