/** JavaScript that stands still while the rest of the process goes on, as the driver has it. */
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { FaithRelay, type FaithRelayStats } from '../../../index.js'
import { recall } from './kept.js'
import { relayVerbs } from './relay-verbs.js'

const clock = new Int32Array(new SharedArrayBuffer(4))

/** Waits without a turn of the event loop. */
function blockUntil(condition: () => boolean): void {
  while (!condition()) Atomics.wait(clock, 0, 0, 5)
}

/** What a relay had done, and how many ends its events had told, before JavaScript went on. */
export interface Meanwhile {
  stats: FaithRelayStats
  told: number
}

export const blockingVerbs = {
  /** Makes a file when no JavaScript runs any more, until there is another file and the relay's sessions have ended. */
  block(id: number, begun: string, over: string): Meanwhile {
    const relay = recall(id, FaithRelay)
    writeFileSync(begun, '')
    blockUntil(() => existsSync(over) && relay.stats().active === 0)
    return { stats: relay.stats(), told: relayVerbs.told(id).session.length }
  },

  /** Stands still until so many ends of a relay were dropped; how many waited, as they are told in one go. */
  async blockUntilDropped(id: number, count: number): Promise<number> {
    const relay = recall(id, FaithRelay)
    blockUntil(() => relay.stats().eventsDropped >= count)
    await once(relay, 'session')
    return relayVerbs.told(id).session.length
  },
}
