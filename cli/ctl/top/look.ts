/** Asks the daemon for what `top` shows, and makes rates of two looks. */
import type { Clients, Session, SessionDetail, Sessions, Status } from '../../control/schemas.js'
import { clientQuery } from '../clients.js'
import { type Daemon, ProblemError } from '../daemon.js'
import { byRate, withRates } from '../rates.js'
import type { Known, State, Totals } from './state.js'

/** Lines that are asked for: more than a terminal has rows. */
const MOST = 300

interface Sums {
  at: number
  bytesUp: number
  bytesDown: number
  begun: number
  refused: number
}

/** Looks at the daemon, and remembers the look before. */
export class Looker {
  readonly #daemon: Daemon
  #sums: Sums | undefined
  #sessions: { at: number; rows: readonly Session[] } = { at: 0, rows: [] }
  #clients: { at: number; rows: Clients['clients'] } = { at: 0, rows: [] }

  constructor(daemon: Daemon) {
    this.#daemon = daemon
  }

  /** Asks for what the state shows. */
  async look(state: State): Promise<Known> {
    const [{ body: status }, shown] = await Promise.all([
      this.#daemon.get<Status>('/v1/status'),
      this.#shown(state),
    ])
    const sums = sumsOf(status)
    const totals = this.#sums === undefined ? undefined : between(this.#sums, sums)
    this.#sums = sums
    return { ...state.known, status, ...(totals === undefined ? {} : { totals }), ...shown }
  }

  async #shown(state: State): Promise<Partial<Known>> {
    if (state.view === 'clients') return await this.#lookAtClients(state)
    if (state.view === 'sessions') return await this.#lookAtSessions(state)
    try {
      const path = `/v1/sessions/${encodeURIComponent(state.id ?? '')}`
      return { detail: (await this.#daemon.get<SessionDetail>(path)).body }
    } catch (error) {
      if (error instanceof ProblemError && error.status === 404)
        throw new EndedError(state.id ?? '')
      throw error
    }
  }

  async #lookAtSessions({ sessionOrder, reverse, client }: State): Promise<Partial<Known>> {
    // The daemon knows no rates: those by rate are the sessions in which a byte moved last.
    const byIdle = { sort: 'idle', order: 'asc' }
    const query =
      sessionOrder === 'rate' ? byIdle : { sort: sessionOrder, order: reverse ? 'asc' : 'desc' }
    const { body } = await this.#daemon.get<Sessions>('/v1/sessions', {
      ...query,
      client,
      limit: MOST,
    })
    const now = performance.now()
    const { at, rows } = this.#sessions
    const rated = withRates(body.sessions, rows, (now - at) / 1000, ({ id }) => id)
    this.#sessions = { at: now, rows: body.sessions }
    return {
      sessions: sessionOrder === 'rate' ? byRate(rated, reverse) : rated,
      matching: body.matching,
    }
  }

  async #lookAtClients({ clientOrder, reverse }: State): Promise<Partial<Known>> {
    const query = clientQuery(clientOrder, reverse, MOST)
    const { body } = await this.#daemon.get<Clients>('/v1/clients', query)
    const now = performance.now()
    const { at, rows } = this.#clients
    const rated = withRates(body.clients, rows, (now - at) / 1000, ({ network }) => network)
    this.#clients = { at: now, rows: body.clients }
    return { clients: clientOrder === 'rate' ? byRate(rated, reverse) : rated }
  }
}

/** The session that is shown has ended. */
export class EndedError extends Error {
  constructor(id: string) {
    super(`session ${id} has ended`)
  }
}

function sumsOf({ interfaces }: Status): Sums {
  const sums = { at: performance.now(), bytesUp: 0, bytesDown: 0, begun: 0, refused: 0 }
  for (const { sessions, refused } of interfaces.flatMap(({ relays }) => relays)) {
    sums.bytesUp += sessions.bytesUp
    sums.bytesDown += sessions.bytesDown
    sums.begun += sessions.begun
    sums.refused += Object.values(refused.byReason).reduce((sum, count) => sum + count, 0)
  }
  return sums
}

/** Gives the rates between two looks. A relay that goes takes its sums along. */
function between(before: Sums, after: Sums): Totals {
  const seconds = Math.max(0.001, (after.at - before.at) / 1000)
  const per = (one: number, other: number) => Math.max(0, other - one) / seconds
  return {
    up: per(before.bytesUp, after.bytesUp),
    down: per(before.bytesDown, after.bytesDown),
    begun: per(before.begun, after.begun),
    refused: per(before.refused, after.refused),
  }
}
