/** A stream of the sessions that end and the attempts that are refused, a JSON object to a line. */
import type { FaithRefusal, FaithSession } from '../../index.js'
import type { Daemon } from '../daemon.js'
import type { RunningRelay } from '../running.js'
import { refusalReason } from '../session-lines.js'
import { Chunks } from './chunks.js'
import { route } from './route.js'
import { type Event, event } from './schemas.js'

/** Lines that wait for a reader. Further ones are lost, and counted. */
const MOST_WAITING = 1000

export const readEvents = route({
  method: 'GET',
  path: '/v1/events',
  summary: 'Follow sessions that end and attempts that are refused, an event to a line',
  answer: event,
  type: 'application/x-ndjson',
  work: ({ daemon }, { signal }) => new Chunks(stream(daemon, signal)),
})

async function* stream(daemon: Daemon, signal: AbortSignal): AsyncGenerator<string> {
  const { records } = daemon.interfaces
  const reader = new Reader(signal)
  const onSession = (name: string, relay: RunningRelay, session: FaithSession): void =>
    reader.push(() => sessionEvent(name, relay, session))
  const onRefused = (name: string, _relay: RunningRelay, refusal: FaithRefusal): void =>
    reader.push(() => refusedEvent(name, refusal))
  records.on('session', onSession)
  records.on('refused', onRefused)
  const leave = await daemon.readRecords()
  try {
    // The reader knows by the head of the answer that it misses nothing from now on.
    yield ''
    yield* reader.lines()
  } finally {
    records.off('session', onSession)
    records.off('refused', onRefused)
    await leave()
  }
}

/** The events that wait for one reader. */
class Reader {
  readonly #signal: AbortSignal
  #waiting: string[] = []
  #lost = 0
  #wake: () => void = () => {}

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  push(make: () => Event): void {
    if (this.#waiting.length >= MOST_WAITING) this.#lost += 1
    else this.#waiting.push(`${JSON.stringify(make())}\n`)
    this.#wake()
  }

  async *lines(): AsyncGenerator<string> {
    while (!this.#signal.aborted) {
      if (this.#waiting.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
      const lines = this.#waiting
      const lost = this.#lost
      this.#waiting = []
      this.#lost = 0
      if (lost > 0) {
        const told: Event = { type: 'lost', at: new Date().toISOString(), events: lost }
        lines.push(`${JSON.stringify(told)}\n`)
      }
      if (lines.length > 0) yield lines.join('')
    }
  }
}

function sessionEvent(name: string, relay: RunningRelay, session: FaithSession): Event {
  const {
    id,
    protocol,
    client,
    destination,
    server,
    bytesUp,
    bytesDown,
    startedAt,
    tag,
    name: asked,
  } = session
  return {
    type: 'session',
    at: new Date().toISOString(),
    session: {
      id: `${relay.number}-${id}`,
      interface: name,
      protocol,
      client,
      destination,
      ...(server === undefined ? {} : { server }),
      bytesUp,
      bytesDown,
      startedAt: startedAt.toISOString(),
      ...(tag === undefined ? {} : { tag }),
      ...(asked === undefined ? {} : { name: asked }),
      durationMs: session.durationMs,
      reason: session.reason,
    },
  }
}

function refusedEvent(name: string, refusal: FaithRefusal): Event {
  const { protocol, client, destination, server, durationMs, reason, cause, code, rule } = refusal
  return {
    type: 'refused',
    at: new Date().toISOString(),
    refusal: {
      interface: name,
      protocol,
      client,
      destination,
      ...(server === undefined ? {} : { server }),
      durationMs,
      reason,
      ...(cause === undefined ? {} : { cause }),
      ...(code === undefined ? {} : { code }),
      ...(rule === undefined ? {} : { rule }),
      explanation: refusalReason(refusal),
    },
  }
}
