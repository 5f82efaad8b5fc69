/** The calls of relays, as the driver offers them. */
import { setImmediate } from 'node:timers/promises'
import {
  FaithInterface,
  FaithRelay,
  type FaithAccessQuestion,
  type FaithClient,
  type FaithClientsOptions,
  type FaithLiveSession,
  type FaithPermission,
  type FaithRelayCloseOptions,
  type FaithRelayOptions,
  type FaithRelayStats,
  type FaithRelayUpdate,
  type FaithSessionDetail,
} from '../../index.js'
import { keep, recall, told, watch } from './kept.js'

const relay = (id: number): FaithRelay => recall(id, FaithRelay)

/** Records how its sessions end, and its close, in the order of the events. */
export function endsOf(one: FaithRelay): string[] {
  const emitted: string[] = []
  one.on('session', ({ reason }) => emitted.push(reason))
  one.on('close', () => emitted.push('close'))
  return emitted
}

export const relayVerbs = {
  /** Opens a relay, and records its events. */
  async relay(id: number, options: FaithRelayOptions): Promise<number> {
    const kept = keep(await recall(id, FaithInterface).relay(options))
    watch(kept, 'session', 'refused', 'exhausted')
    return kept
  },

  permits: (id: number, question: FaithAccessQuestion): FaithPermission =>
    relay(id).permits(question),

  relayStats: (id: number): FaithRelayStats => relay(id).stats(),

  /** Number of ends that its events have reported so far, for tests with too many to list. */
  toldEnds: (id: number): number => told(id)['session']?.length ?? 0,

  async sessions(id: number): Promise<FaithLiveSession[]> {
    const sessions: FaithLiveSession[] = []
    for await (const session of relay(id).sessions()) sessions.push(session)
    return sessions
  },

  session: (id: number, session: number): FaithSessionDetail | undefined =>
    relay(id).session(session),

  async clients(id: number, options: FaithClientsOptions): Promise<FaithClient[]> {
    const clients: FaithClient[] = []
    for await (const client of relay(id).clients(options)) clients.push(client)
    return clients
  },

  abortSession: (id: number, session: number): boolean => relay(id).abort(session),

  updateRelay: (id: number, settings: FaithRelayUpdate): Promise<void> =>
    relay(id).update(settings),

  stopRelay: (id: number): Promise<void> => relay(id).stop(),

  /** Closes a relay, again meanwhile, and once more after; returns the events emitted by then. */
  async closeAgain(id: number, options: FaithRelayCloseOptions): Promise<string[]> {
    const emitted = endsOf(relay(id))
    await Promise.all([relay(id).close(options), relay(id).close()])
    await relay(id).close()
    // Waits a turn: an event now would be one too many.
    await setImmediate()
    return emitted
  },
}
