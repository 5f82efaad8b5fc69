/** Warnings: an interface goes on, but not as it was asked to or not as it did before. */

/**
 * The codes of {@link FaithWarning}.
 *
 * | code | meaning |
 * |---|---|
 * | `batches-unavailable` | the kernel does not let the workers run as batches, so they interrupt other threads |
 * | `queues-unavailable` | the kernel takes no program for the queues, and spreads packets over the workers by itself |
 * | `splice-unavailable` | splice(2) is refused, so the relay copies bulk, which takes more processor time |
 * | `steering-unavailable` | listeners of several ports are made on demand, as the kernel takes no sk_lookup program |
 * | `shortcut-unavailable` | the interface has no shortcut, so every packet goes through the process |
 * | `shortcut-lost` | the shortcut was taken away, so every packet goes through the process from now on |
 * | `shortcut-stuck` | the kernel refused to change the shortcut |
 * | `steering-stuck` | the kernel refused to forget a closed listener |
 * | `routes-lost` | the host no longer routes prefixes to the interface, and the route cannot be put back yet |
 * | `routes-restored` | the host had lost the route of a prefix, and has it again: mostly because faithd put it back |
 * | `routes-contested` | another program deletes the routes again and again, so faithd waits a minute |
 * | `watch-lost` | the host's addresses cannot be followed, so every IPv4 destination is denied as the host's own |
 * | `watch-restored` | the host's addresses, links and routes are followed again |
 * | `connections-unknown` | the kernel does not list connections, so a close may cut clients off without telling them |
 * | `clients-untold` | the interface was deleted, and its clients cannot be told, which takes CAP_NET_RAW |
 * | `worker-stuck` | a worker has done nothing for seconds although work waits |
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
  | 'worker-stuck'
  | 'worker-runs'

/**
 * A change of an interface that goes on.
 *
 * @group Diagnostics
 */
export interface FaithWarning {
  /** The stable code that programs test. */
  code: FaithWarningCode
  /** What people read: the interface, what has changed, and why. */
  message: string
}
