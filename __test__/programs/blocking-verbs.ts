/** JavaScript that stands still while the rest of the process goes on, as the driver has it. */
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { FaithInterface, FaithRelay, type FaithRelayStats } from '../../index.js'
import { recall } from './kept.js'
import { endsOf, relayVerbs } from './relay-verbs.js'

let toldAtOnce: Promise<number> = Promise.resolve(0)

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
    blockUntil(() => existsSync(over) && relay.stats().sessions.active === 0)
    return { stats: relay.stats(), told: relayVerbs.toldEnds(id) }
  },

  /** Answers, and then stands still until so many ends of a relay were dropped. */
  blockUntilDropped(id: number, count: number): void {
    const relay = recall(id, FaithRelay)
    setImmediate(() => blockUntil(() => relay.stats().untold.sessions >= count))
    toldAtOnce = once(relay, 'session').then(() => relayVerbs.toldEnds(id))
  },

  /** How many ends waited meanwhile, as they are told in one go. */
  waited(): Promise<number> {
    return toldAtOnce
  },

  /**
   * Closes a relay, and makes a file when no JavaScript runs any more, until its sessions have ended; what it has emitted
   * by the time it is closed.
   */
  async blockClosing(id: number, faith: number, begun: string): Promise<string[]> {
    const relay = recall(id, FaithRelay)
    const emitted = endsOf(relay)
    // A turn of the event loop looks for ended sessions, and then resolves the addon's promises one after the other: what
    // ends while the first of two goes on is told in the next turn, though the second is resolved in this one.
    const first = recall(faith, FaithInterface).prefixes.add('2001:db8:100::/40')
    const closing = relay.close({ drainMs: 60_000 })
    await first
    writeFileSync(begun, '')
    blockUntil(() => relay.stats().sessions.active === 0)
    // Nothing shows when the addon has seen it too, and a longer wait would only find more.
    Atomics.wait(clock, 0, 0, 50)
    await closing
    await nextTurn()
    return emitted
  },

  /**
   * Makes a file when no JavaScript runs any more, and exits as soon as there is another: nothing runs in between. What
   * was asked for just before is done.
   */
  exitFromBlock(begun: string, over: string): void {
    setImmediate(() => {
      writeFileSync(begun, '')
      blockUntil(() => existsSync(over))
      process.exit(3)
    })
  },
}
