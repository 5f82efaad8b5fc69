/** The protocols that a relay carries. */

/**
 * A protocol that a relay carries.
 *
 * @group Relay and route
 */
export type FaithProtocol = 'tcp' | 'udp'

/** @internal Every protocol. */
export const PROTOCOLS = ['tcp', 'udp'] as const satisfies readonly FaithProtocol[]

/** @internal Checks the addon's name of a protocol. */
export function toProtocol(name: string): FaithProtocol {
  return PROTOCOLS.find((protocol) => protocol === name) ?? 'tcp'
}
