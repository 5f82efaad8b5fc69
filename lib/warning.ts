/** Warnings of an interface that goes on with a restriction. */

/**
 * The codes of {@link FaithWarning}.
 *
 * | code | meaning |
 * |---|---|
 * | `batches-unavailable` | the kernel does not schedule the workers in batches (`SCHED_BATCH`), so they interrupt other threads |
 * | `queues-unavailable` | the kernel takes no BPF program for the queues, so it spreads packets over the workers itself |
 * | `splice-unavailable` | the kernel refuses splice(2), so the relay copies bulk data, which takes more CPU time |
 * | `steering-unavailable` | the kernel takes no sk_lookup program, so listeners on several ports open sockets on demand |
 * | `shortcut-unavailable` | the interface has no shortcut, so every packet goes through the process |
 * | `shortcut-lost` | another program removed the shortcut's veth pair or set it down, so every packet goes through the process |
 * | `shortcut-stuck` | the kernel refused to change the shortcut |
 * | `steering-stuck` | the kernel refused to remove a closed listener |
 * | `routes-lost` | the host no longer routes a prefix to the interface, and the route cannot be restored yet |
 * | `routes-restored` | the host routes a prefix to the interface again, usually because faithd restored the route |
 * | `routes-contested` | another program keeps deleting the routes, so faithd waits a minute |
 * | `watch-lost` | faithd cannot follow the host's addresses, links and routes, so it denies every destination as the host's own |
 * | `watch-restored` | faithd follows the host's addresses, links and routes again |
 * | `connections-unknown` | the kernel does not list connections, so a close may cut clients off without a reset |
 * | `clients-untold` | the interface was deleted, and its clients get no reset, which needs CAP_NET_RAW |
 * | `servers-untold` | the process may not open raw sockets, so servers do not learn that a datagram was too long for a client, or that its port is closed (`CAP_NET_RAW`) |
 * | `superframes-refused` | the way to a server takes no superframes (`UDP_SEGMENT`), so the relay sends datagrams one by one, which takes more CPU time; said once for each relay |
 * | `echo-unavailable` | pings get no answer: the process may open neither raw sockets (`CAP_NET_RAW`) nor ping sockets (`net.ipv4.ping_group_range`) |
 * | `worker-stuck` | a worker has done no work for seconds although work waits |
 * | `worker-runs` | a worker that was stuck works again |
 *
 * @group Diagnostics
 */
export type FaithWarningCode =
  | 'batches-unavailable'
  | 'queues-unavailable'
  | 'splice-unavailable'
  | 'steering-unavailable'
  | 'shortcut-unavailable'
  | 'shortcut-lost'
  | 'shortcut-stuck'
  | 'steering-stuck'
  | 'routes-lost'
  | 'routes-restored'
  | 'routes-contested'
  | 'watch-lost'
  | 'watch-restored'
  | 'connections-unknown'
  | 'clients-untold'
  | 'servers-untold'
  | 'superframes-refused'
  | 'echo-unavailable'
  | 'worker-stuck'
  | 'worker-runs'

/**
 * A restriction of an interface that goes on, or the end of one.
 *
 * @group Diagnostics
 */
export interface FaithWarning {
  /** The stable code, for programs. */
  code: FaithWarningCode
  /** A sentence for people: the interface, the change, and the reason. */
  message: string
}
