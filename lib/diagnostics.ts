/** What observability tools hear without a part in the program: channels of `node:diagnostics_channel`. */
import { channel } from 'node:diagnostics_channel'
import type { FaithShortage } from './exhausted.js'
import type { NativeShortage } from './native.js'
import type { FaithPrefixChange } from './prefixes.js'
import type { FaithRefusal } from './refusal.js'
import type { FaithSession } from './session.js'
import type { FaithSocket } from './socket.js'
import type { FaithWarning } from './warning.js'

/**
 * What concerns one faith interface.
 *
 * @group Diagnostics
 */
export interface FaithDiagnosticsOrigin {
  /** The interface's name: `faith0`. */
  interface: string
}

/**
 * The channels, and what is published on each. Messages are made only while a channel has subscribers, and the
 * subscribers are called as the event is emitted.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 * import type { FaithDiagnostics } from 'faithd'
 *
 * subscribe('faithd:session', (message) => {
 *   const { interface: name, session } = message as FaithDiagnostics['faithd:session']
 *   console.log(`${name}: ${session.bytesUp} bytes up, ${session.bytesDown} bytes down`)
 * })
 * ```
 *
 * @group Diagnostics
 */
export interface FaithDiagnostics {
  /** A relay tells of a session that has ended, as by its `session` event, and as that not without `sessionEvents`. */
  'faithd:session': FaithDiagnosticsOrigin & {
    /** As in the event. */
    session: FaithSession
  }
  /** A relay tells of an attempt that came to no session, as by its `refused` event, and not without `sessionEvents`. */
  'faithd:refused': FaithDiagnosticsOrigin & {
    /** As in the event. */
    refusal: FaithRefusal
  }
  /** A relay or a listener tells that the host lacks something, as by its `exhausted` event. */
  'faithd:exhausted': FaithDiagnosticsOrigin & FaithShortage
  /** A connection has become a socket, by a listener or for a {@link FaithRouteSocket}. */
  'faithd:connection': FaithDiagnosticsOrigin & {
    /** The socket, which nobody has yet. */
    socket: FaithSocket
  }
  /** A prefix was added or deleted. */
  'faithd:prefix': FaithDiagnosticsOrigin & FaithPrefixChange
  /** An interface goes on, but not as it did, as told by its `warning` event. */
  'faithd:warning': FaithDiagnosticsOrigin & FaithWarning
  /** Keepfaith was switched. */
  'faithd:keepfaith': {
    /** Whether faith interfaces capture from now on. */
    on: boolean
  }
}

/** Held here, as a channel that nobody holds may be forgotten with its subscribers. */
const channels = {
  'faithd:session': channel('faithd:session'),
  'faithd:refused': channel('faithd:refused'),
  'faithd:exhausted': channel('faithd:exhausted'),
  'faithd:connection': channel('faithd:connection'),
  'faithd:prefix': channel('faithd:prefix'),
  'faithd:warning': channel('faithd:warning'),
  'faithd:keepfaith': channel('faithd:keepfaith'),
} satisfies Record<keyof FaithDiagnostics, unknown>

/** Node's own, by which observers hear of every socket of a server. */
const accepted = channel('net.server.socket')

/** @internal Publishes a socket that a program was given, as Node does for those that it accepts. */
export function publishAccepted(socket: FaithSocket): void {
  if (accepted.hasSubscribers) accepted.publish({ socket })
}

/** @internal Whether somebody listens on a channel. */
export function isHeard(name: keyof FaithDiagnostics): boolean {
  return channels[name].hasSubscribers
}

/** @internal Tells by an event and on a channel what the host lacks. */
export function tellShortages(
  teller: { emit(event: 'exhausted', shortage: FaithShortage): unknown },
  name: string,
  shortages: readonly NativeShortage[],
): void {
  for (const shortage of shortages as readonly FaithShortage[]) {
    teller.emit('exhausted', shortage)
    publish('faithd:exhausted', () => ({ interface: name, ...shortage }))
  }
}

/** @internal Publishes what `message` makes, where somebody listens. */
export function publish<Name extends keyof FaithDiagnostics>(
  name: Name,
  message: () => FaithDiagnostics[Name],
): void {
  if (isHeard(name)) channels[name].publish(message())
}
