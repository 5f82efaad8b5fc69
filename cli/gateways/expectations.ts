/**
 * Connections that a gateway expects on ports that no relay has: each is relayed once, from one client to one address and
 * port, within half a minute.
 *
 * An expectation is a relay for that address and port alone, whose route turns all other connections away. Opening one takes
 * about as long as a short connection. There are none if a relay has all ports.
 */
import type { FaithRelayOptions, FaithRouteVerdict } from '../../index.js'
import type { RunningRelay } from '../running-relay.js'
import type { Expectation } from './gateway.js'

/** Time for the client to connect, in milliseconds. RFC 6384 section 12 wants 30 s at least. */
export const EXPECTED_MS = 30_000
/** Time after which a connection that is being made is looked at again, in milliseconds. */
const AGAIN_MS = 1000

/** A connection to expect. */
export interface Expected {
  /** The name of the gateway. */
  name: string
  client: string
  /** The IPv6 address that the client will dial, and the port. */
  destination: string
  port: number
  /** The relay whose access list and settings hold. */
  of: RunningRelay
}

/** Opens and retires the relays of expectations. */
export interface Opening {
  open(of: RunningRelay, options: Partial<FaithRelayOptions>): Promise<RunningRelay>
  retire(relay: RunningRelay): Promise<void>
  failed(expected: Expected, error: unknown): void
}

/** One expected connection. */
interface Waiting {
  expected: Expected
  isOver: boolean
}

/** The expectations of one address and port. */
interface Door {
  relay: Promise<RunningRelay>
  waiting: Waiting[]
}

function nothing(): void {}

/** The expectations of an interface. */
export class Expectations {
  readonly #opening: Opening
  /** By address and port: servers may give two clients the same port. */
  readonly #doors = new Map<string, Door>()

  constructor(opening: Opening) {
    this.#opening = opening
  }

  /** Expects a connection. */
  add(expected: Expected): Expectation {
    const { destination, port } = expected
    const key = `${destination} ${port}`
    const door = this.#doors.get(key) ?? this.#makeDoor(key, expected)
    const one: Waiting = { expected, isOver: false }
    door.waiting.push(one)
    const end = (): void => {
      clearTimeout(timer)
      one.isOver = true
      void this.#shut(key, door)
    }
    const timer = setTimeout(end, EXPECTED_MS).unref()
    return { ready: door.relay.then(nothing, nothing), end }
  }

  #makeDoor(key: string, expected: Expected): Door {
    const { destination: address, port, of, name } = expected
    const waiting: Waiting[] = []
    const route: FaithRelayOptions['route'] = ({ client }): FaithRouteVerdict => {
      const one = waiting.find((each) => !each.isOver && each.expected.client === client.address)
      if (one === undefined) return { reject: 'refused' }
      one.isOver = true
      return { proceed: true, tag: name }
    }
    const relay = this.#opening.open(of, {
      ports: [port],
      address,
      route,
    } as Partial<FaithRelayOptions>)
    const door = { relay, waiting }
    this.#doors.set(key, door)
    relay.catch((error: unknown) => {
      this.#doors.delete(key)
      this.#opening.failed(expected, error)
    })
    return door
  }

  /** Closes a door at which no connection is expected, once those that came have become sessions. */
  async #shut(key: string, door: Door): Promise<void> {
    const isOpen = (): boolean => this.#doors.get(key) === door
    const relay = await door.relay.catch(() => undefined)
    if (relay === undefined || !isOpen() || door.waiting.some(({ isOver }) => !isOver)) return
    if (relay.relay.stats().attempts > 0) {
      setTimeout(() => void this.#shut(key, door), AGAIN_MS).unref()
      return
    }
    this.#doors.delete(key)
    await this.#opening.retire(relay)
  }
}
