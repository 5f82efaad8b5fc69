/** What a host can run out of. */

/**
 * Something that new connections need and a host can lack.
 *
 * | resource | meaning |
 * |---|---|
 * | `descriptors` | descriptors that the process may have |
 * | `host-descriptors` | descriptors that all processes of the host may have |
 * | `memory` | memory of the kernel |
 * | `epoll-watches` | descriptors that epoll(7) may watch |
 * | `ports` | ports, or addresses, to connect from towards a server |
 * | `privileged-ports` | ports to connect from with `privilegedLocalPort` |
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
 * A lack of something that new connections need.
 *
 * @group Diagnostics
 */
export interface FaithShortage {
  /** What is lacking. */
  resource: FaithResource
  /** What people read: what is lacking, why, and what there would be more by. */
  message: string
}
