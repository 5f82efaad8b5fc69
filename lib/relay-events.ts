/** The events of a relay. */
import type { FaithError } from './errors.js'
import type { FaithShortage } from './exhausted.js'
import type { FaithRefusal } from './refusal.js'
import type { FaithSession } from './session.js'
import type { FaithSocket } from './socket.js'

/**
 * The events of a {@link FaithRelay}.
 *
 * @group Relay and route
 */
export interface FaithRelayEvents {
  /** A session has ended: a client and a server that were joined. Not emitted without `sessionEvents`. */
  session: [session: FaithSession]
  /**
   * An attempt became no session: it was denied, refused, timed out, over a limit or given up. It has no `session`
   * event. Neither event is emitted without `sessionEvents`. An attempt may cost its sender only one packet, so the
   * relay emits at most 50 per second for each reason. `stats().refused` counts all attempts, `stats().untold` those
   * without an event.
   */
  refused: [refusal: FaithRefusal]
  /**
   * The relay gives the program a connection for which `route` answered `{ socket: true }`, or one of its
   * `localServices`. The socket is like those of a {@link FaithListener}: half-open, reading from the start, and no longer
   * the relay's. After `{ proceed: true, socket: true }` the socket has an `upstream`; see {@link FaithRouteBetween}.
   * Adding a handler throws
   * `ERR_FAITH_PLATFORM` on the same runtimes as {@link FaithInterface.listen}.
   */
  connection: [socket: FaithSocket]
  /**
   * The host lacks a resource for new connections: descriptors, memory, source ports, or a local address. New
   * connections wait in the kernel's backlog, or are refused and end as `exhausted`. If a local address is missing,
   * they end as `error` with the cause `no-source`. Sessions go on. The relay recovers by itself when the shortage
   * ends. Emitted at most once a minute for each resource, and published on the channel `faithd:exhausted`.
   */
  exhausted: [shortage: FaithShortage]
  /**
   * `route` gave no verdict on a connection, and the client was refused: `ERR_FAITH_ROUTE`, with the reason as its
   * `cause`. The relay goes on. Unlike other `error` events, this one is not an exception without a handler, because
   * one client must not end the process. The first one is then a process warning, and `stats().refused.byCause` counts
   * all.
   */
  error: [error: FaithError]
  /** The relay is closed, by `close()` or with its interface. Every session has ended, and its event was emitted. */
  close: []
}
