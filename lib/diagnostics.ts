/** Channels of `node:diagnostics_channel`, by which observability tools follow a program without changing it. */
import { channel } from 'node:diagnostics_channel'
import type { FaithShortage } from './exhausted.js'
import type { NativeShortage } from './native.js'
import type { FaithPrefixChange } from './prefixes.js'
import type { FaithRefusal } from './refusal.js'
import type { FaithSession } from './session.js'
import type { FaithSocket } from './socket.js'
import type { FaithWarning } from './warning.js'

/**
 * The faith interface that a message is about.
 *
 * @group Diagnostics
 */
export interface FaithDiagnosticsOrigin {
  /** The interface's name: `faith0`. */
  interface: string
}

/**
 * The channels, and the message of each. Messages are made only while a channel has subscribers. Subscribers are called
 * synchronously, when the event is emitted.
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
  /** A session of a relay has ended, as in its `session` event. Not published without `sessionEvents`. */
  'faithd:session': FaithDiagnosticsOrigin & {
    /** As in the event. */
    session: FaithSession
  }
  /** An attempt became no session, as in the relay's `refused` event. Not published without `sessionEvents`. */
  'faithd:refused': FaithDiagnosticsOrigin & {
    /** As in the event. */
    refusal: FaithRefusal
  }
  /** The host lacks a resource, as in the `exhausted` event of a relay or a listener. */
  'faithd:exhausted': FaithDiagnosticsOrigin & FaithShortage
  /** A listener or a relay ({@link FaithRouteSocket}) has made a socket of a connection. */
  'faithd:connection': FaithDiagnosticsOrigin & {
    /** The socket, before the program gets it. */
    socket: FaithSocket
  }
  /** A prefix was added or deleted. */
  'faithd:prefix': FaithDiagnosticsOrigin & FaithPrefixChange
  /** An interface goes on with a restriction, as in its `warning` event. */
  'faithd:warning': FaithDiagnosticsOrigin & FaithWarning
  /** Keepfaith was switched. */
  'faithd:keepfaith': {
    /** `true` if faith interfaces capture from now on. */
    on: boolean
  }
}

/** Kept for the life of the process, because Node may collect an unreferenced channel together with its subscribers. */
const channels = {
  'faithd:session': channel('faithd:session'),
  'faithd:refused': channel('faithd:refused'),
  'faithd:exhausted': channel('faithd:exhausted'),
  'faithd:connection': channel('faithd:connection'),
  'faithd:prefix': channel('faithd:prefix'),
  'faithd:warning': channel('faithd:warning'),
  'faithd:keepfaith': channel('faithd:keepfaith'),
} satisfies Record<keyof FaithDiagnostics, unknown>

/** Node's own channel for every socket that a server accepts. */
const accepted = channel('net.server.socket')

/** @internal Publishes a captured socket on the channel of Node for accepted sockets. */
export function publishAccepted(socket: FaithSocket): void {
  if (accepted.hasSubscribers) accepted.publish({ socket })
}

/** @internal Tells if a channel has subscribers. */
export function isHeard(name: keyof FaithDiagnostics): boolean {
  return channels[name].hasSubscribers
}

/** @internal Emits and publishes shortages of the host. */
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

/** @internal Publishes the message that `message` makes, if the channel has subscribers. */
export function publish<Name extends keyof FaithDiagnostics>(
  name: Name,
  message: () => FaithDiagnostics[Name],
): void {
  if (isHeard(name)) channels[name].publish(message())
}
