/** Puts the gateways before the ports of a relay on which they help. */
import type { FaithInterface, FaithRelayOptions } from '../../index.js'
import type { RelayConfiguration } from '../configuration.js'
import { milliseconds } from '../library-options.js'
import type { Logger } from '../log.js'
import { hasPort } from '../ports.js'
import type { RunningRelay } from '../running-relay.js'
import type { Expected } from './expectations.js'
import { ftp } from './ftp/gateway.js'
import type { Expectation, Gateway, Place } from './gateway.js'
import { rlogin, rsh } from './rsh/gateway.js'

/** Every gateway. */
const GATEWAYS: readonly Gateway[] = [ftp, rlogin, rsh]

/** The gateway ends idle sessions itself, because it knows of their other connections. */
const BETWEEN = { proceed: true, socket: true, idleTimeoutMs: 0 } as const

/** The interface of a relay that has gateways. */
export interface Helped {
  readonly faith: FaithInterface
  /** Its relays whose sessions may go on. */
  readonly allRelays: readonly RunningRelay[]
  /** Has one connection relayed for a gateway; `undefined` if a relay has its port. */
  expect(expected: Expected): Expectation | undefined
}

/** The gateways of one relay. */
export class Helping {
  readonly #interface: Helped
  readonly #gateways: readonly Gateway[]
  readonly #log: Logger
  #relay: RunningRelay | undefined

  constructor(on: Helped, configuration: RelayConfiguration, log: Logger) {
    this.#interface = on
    this.#log = log
    this.#gateways = GATEWAYS.filter(({ port }) => hasPort(configuration.ports, port))
  }

  /** The options of the relay that ask about connections to the gateways' ports, if it has any. */
  get options(): Pick<FaithRelayOptions, 'route' | 'routePorts'> {
    if (this.#gateways.length === 0) return {}
    return {
      routePorts: this.#gateways.map(({ port }) => port),
      route: (connection) => {
        if (connection.protocol !== 'tcp') return undefined
        const gateway = this.#gatewayOf(connection.destination.port)
        if (gateway === undefined || this.#relay === undefined) return undefined
        if (!gateway.isOn(this.#relay.configuration)) return undefined
        const verdict = gateway.verdict === undefined ? BETWEEN : gateway.verdict(connection)
        return verdict && { ...verdict, tag: gateway.name }
      },
    }
  }

  /** Begins to help, now that the relay is open. */
  begin(running: RunningRelay): void {
    this.#relay = running
    if (this.#gateways.length === 0) return
    running.relay.on('connection', (client) => {
      const { upstream } = client
      // A local service takes those without.
      if (upstream === undefined) return
      const gateway = this.#gatewayOf(client.localPort)
      if (gateway?.serve === undefined) client.resetAndDestroy()
      else gateway.serve(client, upstream, this.#place(gateway, running))
    })
    // The error names the dialled address.
    running.relay.on('error', ({ message }) =>
      this.#log.warn(this.#log.namesDestinations ? message : 'route: a connection was refused'),
    )
  }

  #gatewayOf(port: number): Gateway | undefined {
    return this.#gateways.find((gateway) => gateway.port === port)
  }

  #place({ name }: Gateway, running: RunningRelay): Place {
    const on = this.#interface
    const { relay, configuration } = running
    return {
      faith: on.faith,
      relay,
      log: this.#log,
      idleTimeoutMs: milliseconds(configuration['idle-timeout']),
      keepAliveTimeoutMs: milliseconds(configuration['keep-alive']),
      connectTimeoutMs: milliseconds(configuration['connect-timeout']),
      expect: (client, destination, port) =>
        on.expect({ name, client, destination, port, of: running }),
      isBusy: (client, server, withinMs) => isBusy(on, { client, server, withinMs }),
    }
  }
}

/** Looks for a session between these two that carried a byte, other than on the port of a gateway. */
async function isBusy(
  { allRelays }: Helped,
  { client, server, withinMs }: { client: string; server: string; withinMs: number },
): Promise<boolean> {
  for (const { relay } of allRelays) {
    for await (const session of relay.sessions()) {
      if (session.client.address !== client || session.server?.address !== server) continue
      const isOwn = GATEWAYS.some(({ port }) => port === session.destination.port)
      if (!isOwn && session.idleMs < withinMs) return true
    }
  }
  return false
}
