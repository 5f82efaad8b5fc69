/**
 * Gateways: protocols whose connections a relay cannot carry as they are, because they name addresses or ports inside.
 *
 * The relay judges, connects and counts such a connection like any other. But its `route` puts the gateway between client
 * and server, on the port of the protocol alone: on all other ports no JavaScript runs.
 */
import type { Socket } from 'node:net'
import type {
  FaithInterface,
  FaithRelay,
  FaithRouteBetween,
  FaithRouteConnection,
  FaithRouteProceed,
  FaithSocket,
} from '../../index.js'
import type { RelayConfiguration } from '../configuration.js'
import type { Logger } from '../log.js'

/** A protocol that needs help on one port. */
export interface Gateway {
  /** Its name, which is the `tag` of the sessions that it helps. */
  readonly name: string
  /** The port on which it helps. */
  readonly port: number
  /** Tells if a relay of this configuration is to help. Asked for each connection, so that a reload can change it. */
  isOn(configuration: RelayConfiguration): boolean
  /** Decides about a connection to its port; `undefined` relays it without help. Default: the gateway stands between. */
  verdict?(connection: FaithRouteConnection): FaithRouteProceed | FaithRouteBetween | undefined
  /** Stands between client and server until both are closed, if the verdict says so. */
  serve?(client: FaithSocket, server: Socket, place: Place): void
}

/** A connection that is expected. */
export interface Expectation {
  /** Resolves when the client may connect, or never can. */
  ready: Promise<void>
  /** Expects it no longer. A connection that has come goes on. */
  end(): void
}

/** The place of a gateway: the relay and the interface that have its connection. */
export interface Place {
  faith: FaithInterface
  relay: FaithRelay
  log: Logger
  /** Time without a byte after which the gateway ends a session, in milliseconds; 0 is never. */
  idleTimeoutMs: number
  /** See {@link FaithSpliceOptions.keepAliveTimeoutMs}. */
  keepAliveTimeoutMs: number
  /** Time for a server or a client to answer, in milliseconds. */
  connectTimeoutMs: number
  /** Has one connection of the client to this port of the dialled address relayed; `undefined` if a relay has that port. */
  expect(client: string, destination: string, port: number): Expectation | undefined
  /** Tells if another session between these two has carried a byte within this time. */
  isBusy(client: string, server: string, withinMs: number): Promise<boolean>
}
