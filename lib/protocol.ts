/** The protocols that a relay carries. */

/**
 * A protocol that a relay carries. `'icmp'` means echo requests (ping) and their replies. In records of these, the port of
 * the client is the identifier of its requests, and the port of the server is 0.
 *
 * @group Relay and route
 */
export type FaithProtocol = 'tcp' | 'udp' | 'icmp'

/** @internal Every protocol. */
export const PROTOCOLS = ['tcp', 'udp', 'icmp'] as const satisfies readonly FaithProtocol[]

/** @internal Checks the addon's name of a protocol. */
export function toProtocol(name: string): FaithProtocol {
  return PROTOCOLS.find((protocol) => protocol === name) ?? 'tcp'
}
