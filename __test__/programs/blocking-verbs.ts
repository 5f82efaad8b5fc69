/** Blocks JavaScript while the rest of the process goes on. */
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { FaithInterface, FaithRelay, type FaithRelayStats } from '../../index.js'
import { recall } from './kept.js'
import { endsOf, relayVerbs } from './relay-verbs.js'

let toldAtOnce: Promise<number> = Promise.resolve(0)

const clock = new Int32Array(new SharedArrayBuffer(4))

/** Waits without turning the event loop. */
function blockUntil(condition: () => boolean): void {
  while (!condition()) Atomics.wait(clock, 0, 0, 5)
}

/** The relay's counters, and the number of ends its events had reported, before JavaScript went on. */
export interface Meanwhile {
  stats: FaithRelayStats
  told: number
}

export const blockingVerbs = {
  /**
   * Blocks JavaScript, after making the file `begun`, until the file `over` exists and the relay's sessions have ended.
   */
  block(id: number, begun: string, over: string): Meanwhile {
    const relay = recall(id, FaithRelay)
    writeFileSync(begun, '')
    blockUntil(() => existsSync(over) && relay.stats().sessions.active === 0)
    return { stats: relay.stats(), told: relayVerbs.toldEnds(id) }
  },

  /** Answers, then blocks until a relay has dropped that many ends. */
  blockUntilDropped(id: number, count: number): void {
    const relay = recall(id, FaithRelay)
    setImmediate(() => blockUntil(() => relay.stats().untold.sessions >= count))
    toldAtOnce = once(relay, 'session').then(() => relayVerbs.toldEnds(id))
  },

  /** Number of ends that waited meanwhile, reported in one go. */
  waited(): Promise<number> {
    return toldAtOnce
  },

  /**
   * Closes a relay and, after making a file, blocks JavaScript until its sessions have ended. Returns the events
   * emitted by the time it is closed.
   */
  async blockClosing(id: number, faith: number, begun: string): Promise<string[]> {
    const relay = recall(id, FaithRelay)
    const emitted = endsOf(relay)
    // A turn of the event loop looks for ended sessions, and then resolves the addon's promises one after the other. So
    // an end that happens while the first of two continues is reported in the next turn, although the second promise is
    // resolved in this one.
    const first = recall(faith, FaithInterface).prefixes.add('2001:db8:100::/40')
    const closing = relay.close({ drainMs: 60_000 })
    await first
    writeFileSync(begun, '')
    blockUntil(() => relay.stats().sessions.active === 0)
    // Waits briefly, because nothing shows when the addon has seen it too. A longer wait would only find more.
    Atomics.wait(clock, 0, 0, 50)
    await closing
    await nextTurn()
    return emitted
  },

  /**
   * Makes a file, blocks JavaScript until another file exists, and exits at once: nothing runs in between. Earlier
   * requests are still carried out.
   */
  exitFromBlock(begun: string, over: string): void {
    setImmediate(() => {
      writeFileSync(begun, '')
      blockUntil(() => existsSync(over))
      process.exit(3)
    })
  },
}
