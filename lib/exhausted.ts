/** The resources that a host can run out of. */

/**
 * A resource that new connections need and a host can lack.
 *
 * | resource | meaning |
 * |---|---|
 * | `descriptors` | open descriptors of the process |
 * | `host-descriptors` | open descriptors of all processes of the host |
 * | `memory` | kernel memory |
 * | `epoll-watches` | descriptors watched by epoll(7) |
 * | `ports` | source ports or addresses for connections to a server |
 * | `privileged-ports` | source ports with `privilegedLocalPort` |
 * | `local-address` | a `localAddress` that the host does not have |
 *
 * @group Diagnostics
 */
export type FaithResource =
  | 'descriptors'
  | 'host-descriptors'
  | 'memory'
  | 'epoll-watches'
  | 'ports'
  | 'privileged-ports'
  | 'local-address'

/**
 * A shortage of a resource that new connections need.
 *
 * @group Diagnostics
 */
export interface FaithShortage {
  /** The resource that the host lacks. */
  resource: FaithResource
  /** A sentence for people: the shortage, its reason, and the remedy. */
  message: string
}
