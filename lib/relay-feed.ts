/** Passes on what the addon tells about a relay: records, shortages, questions to its route, and connections. */
import type { EventEmitter } from 'node:events'
import type { ClientErrors } from './client-errors.js'
import { isHeard, publish, publishAccepted, tellShortages } from './diagnostics.js'
import { Early } from './early.js'
import { closedError } from './errors.js'
import type {
  NativeConnection,
  NativeInterface,
  NativeQuestion,
  NativeRefusal,
  NativeRelayCallbacks,
  NativeSession,
  NativeShortage,
} from './native.js'
import { toRefusal } from './refusal.js'
import type { FaithRelayEvents } from './relay-events.js'
import { routeError, type Router, unheard } from './route.js'
import { toSession } from './session.js'
import { FaithSocket, type FaithSocketOptions } from './socket.js'

/** @internal The origin of a relay's connections. */
export interface Origin {
  /** The name of the interface, or of what stands for it in messages. */
  name: string
  /** The interface, whose connections can become sockets of Node; `undefined` for sockets of the host. */
  faith: NativeInterface | undefined
  /** Opens the addon's relay. */
  start: NativeInterface['relay']
}

const AS_ACCEPTED: FaithSocketOptions = { allowHalfOpen: true, pauseOnConnect: false }

/**
 * @internal Passes on what the addon tells about one relay, as events and as messages on channels. The addon may begin
 * before the relay object exists: what it tells waits until the feed opens.
 */
export class RelayFeed {
  readonly #origin: Origin
  readonly #sessions = new Early<NativeSession>()
  readonly #refusals = new Early<NativeRefusal>()
  readonly #shortages = new Early<NativeShortage>()
  readonly #questions = new Early<NativeQuestion>()
  readonly #withdrawn = new Early<number>()
  readonly #connections = new Early<NativeConnection>()

  constructor(origin: Origin) {
    this.#origin = origin
  }

  /** Gives the functions that the addon calls. Without a route it asks no questions. */
  callbacks(hasRoute: boolean): NativeRelayCallbacks {
    return {
      onSessions: this.#sessions.push,
      onRefusals: this.#refusals.push,
      onShortages: this.#shortages.push,
      onConnections: this.#connections.push,
      ...(hasRoute && { onQuestions: this.#questions.push, onWithdrawn: this.#withdrawn.push }),
    }
  }

  /** Passes everything to the relay, no sooner than in the next turn, when the program can have added its handlers. */
  open(
    relay: EventEmitter<FaithRelayEvents>,
    router: Router | undefined,
    errors: ClientErrors,
  ): void {
    this.#connections.open((batch) => {
      // Each connection gets a turn of its own. So an error thrown by a handler does not lose the others, and its
      // promises and ticks run before the next connection.
      for (const connection of batch) {
        setImmediate(() => give(connection, relay, this.#origin, errors))
      }
    })
    const { name } = this.#origin
    setImmediate(() => {
      this.#shortages.open((batch) => tellShortages(relay, name, batch))
      this.#questions.open((batch) => router?.ask(batch))
      this.#withdrawn.open((batch) => router?.withdraw(batch))
      this.#sessions.open((batch) => {
        for (const record of batch) tellSession(record, relay, name)
      })
      this.#refusals.open((batch) => {
        for (const record of batch) tellRefusal(record, relay, name)
      })
    })
  }
}

function tellSession(
  record: NativeSession,
  relay: EventEmitter<FaithRelayEvents>,
  name: string,
): void {
  const session = toSession(record)
  relay.emit('session', session)
  // Sessions may be very many, so the message is made only for subscribers.
  if (isHeard('faithd:session')) {
    publish('faithd:session', () => ({ interface: name, session }))
  }
}

function tellRefusal(
  record: NativeRefusal,
  relay: EventEmitter<FaithRelayEvents>,
  name: string,
): void {
  if (relay.listenerCount('refused') === 0 && !isHeard('faithd:refused')) return
  const refusal = toRefusal(record)
  relay.emit('refused', refusal)
  publish('faithd:refused', () => ({ interface: name, refusal }))
}

/** Makes a socket of a connection that the program takes. A failure concerns this client alone. */
function give(
  connection: NativeConnection,
  relay: EventEmitter<FaithRelayEvents>,
  { faith, name }: Origin,
  errors: ClientErrors,
): void {
  const { address, port, remoteAddress, remotePort } = connection
  const client = { address: remoteAddress, port: remotePort }
  const ends = { client, destination: { address, port } }
  let socket: FaithSocket
  try {
    if (faith === undefined) throw closedError('the interface')
    socket = FaithSocket.adopt(connection, faith, relay, AS_ACCEPTED)
  } catch (cause) {
    return errors.report(routeError(ends, cause))
  }
  publish('faithd:connection', () => ({ interface: name, socket }))
  if (relay.emit('connection', socket)) return publishAccepted(socket)
  // The handler was removed after the verdict.
  socket.resetAndDestroy()
  errors.report(routeError(ends, unheard()))
}
