/** The calls of relays, as the driver offers them. */
import {
  FaithInterface,
  FaithRelay,
  type FaithLiveSession,
  type FaithRelayOptions,
  type FaithSession,
} from '../../../index.js'
import { keep, recall } from './kept.js'

const told = new Map<number, { session: FaithSession[] }>()

const relay = (id: number): FaithRelay => recall(id, FaithRelay)

export const relayVerbs = {
  /** Opens a relay, and keeps what its events tell. */
  async relay(id: number, options: FaithRelayOptions): Promise<number> {
    const opened = await recall(id, FaithInterface).relay(options)
    const session: FaithSession[] = []
    opened.on('session', (ended) => session.push(ended))
    const kept = keep(opened)
    told.set(kept, { session })
    return kept
  },

  told: (id: number, event: 'session'): FaithSession[] => told.get(id)?.[event] ?? [],

  async sessions(id: number): Promise<FaithLiveSession[]> {
    const sessions: FaithLiveSession[] = []
    for await (const session of relay(id).sessions()) sessions.push(session)
    return sessions
  },

  endSession: (id: number, session: number): boolean => relay(id).end(session),
}
