/** The calls of relays, as the driver offers them. */
import { setImmediate } from 'node:timers/promises'
import {
  FaithInterface,
  FaithRelay,
  type FaithLiveSession,
  type FaithRefusal,
  type FaithRelayCloseOptions,
  type FaithRelayOptions,
  type FaithRelayStats,
  type FaithSession,
  type FaithShortage,
} from '../../index.js'
import { keep, recall } from './kept.js'

/** What the events of a relay have told. */
export interface Told {
  session: FaithSession[]
  refused: FaithRefusal[]
  exhausted: FaithShortage[]
}

const told = new Map<number, Told>()

const relay = (id: number): FaithRelay => recall(id, FaithRelay)

/** How its sessions end from now on, and that it is closed, in the order in which it tells so. */
export function endsOf(one: FaithRelay): string[] {
  const emitted: string[] = []
  one.on('session', ({ reason }) => emitted.push(reason))
  one.on('close', () => emitted.push('close'))
  return emitted
}

export const relayVerbs = {
  /** Opens a relay, and keeps what its events tell. */
  async relay(id: number, options: FaithRelayOptions): Promise<number> {
    const opened = await recall(id, FaithInterface).relay(options)
    const events: Told = { session: [], refused: [], exhausted: [] }
    opened.on('session', (session) => events.session.push(session))
    opened.on('refused', (refusal) => events.refused.push(refusal))
    opened.on('exhausted', (shortage) => events.exhausted.push(shortage))
    const kept = keep(opened)
    told.set(kept, events)
    return kept
  },

  relayStats: (id: number): FaithRelayStats => relay(id).stats(),

  told(id: number): Told {
    const events = told.get(id)
    if (events === undefined) throw new Error(`${id} is no relay`)
    return events
  },

  /** How many ends its events have told so far, where there are too many to tell them all again. */
  toldEnds: (id: number): number => relayVerbs.told(id).session.length,

  async sessions(id: number): Promise<FaithLiveSession[]> {
    const sessions: FaithLiveSession[] = []
    for await (const session of relay(id).sessions()) sessions.push(session)
    return sessions
  },

  abortSession: (id: number, session: number): boolean => relay(id).abort(session),

  /** Closes a relay, closes it again meanwhile and once more after; what it has emitted by then. */
  async closeAgain(id: number, options: FaithRelayCloseOptions): Promise<string[]> {
    const emitted = endsOf(relay(id))
    await Promise.all([relay(id).close(options), relay(id).close()])
    await relay(id).close()
    // What comes now would be one too many.
    await setImmediate()
    return emitted
  },
}
