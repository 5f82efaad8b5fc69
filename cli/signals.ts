/** What faithd does when it is told something: SIGINT and SIGTERM stop it, SIGHUP has it read its rules again. */
import { exitAtOnce } from '../lib/at-exit.js'

/**
 * The first SIGINT or SIGTERM. A second one ends the process at once, with the shell's code for it: what clients would
 * still have been told, their resets included, may be lost.
 */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    const stop = (signal: NodeJS.Signals, number: number): void => {
      if (asked) exitAtOnce(128 + number)
      asked = true
      resolve(signal)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}

/**
 * SIGHUPs, from now on. What they ask for is done once it is known how, one at a time; those that come meanwhile ask
 * for it once more, because it may already have looked at what they are about.
 */
export class Hangups {
  #asked = false
  #working = false
  #work: (() => Promise<void>) | undefined

  constructor() {
    process.on('SIGHUP', () => {
      this.#asked = true
      void this.#answer()
    })
  }

  /** Has each answered by `work`, those that have come already too. */
  answerBy(work: () => Promise<void>): void {
    this.#work = work
    void this.#answer()
  }

  async #answer(): Promise<void> {
    if (this.#work === undefined || this.#working) return
    this.#working = true
    while (this.#asked) {
      this.#asked = false
      await this.#work()
    }
    this.#working = false
  }
}
