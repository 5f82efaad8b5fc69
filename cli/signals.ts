/** Signals of faithd: SIGINT and SIGTERM stop it; on SIGHUP it reads its access list again. */
import { exitAtOnce } from '../lib/at-exit.js'

/**
 * Waits for the first SIGINT or SIGTERM. A second one ends the process at once, with the shell's exit code for it
 * (128 + signal). Last bytes and resets for clients may then be lost.
 *
 * @param again - told of the second signal, before the end
 */
export function stopSignal(again: (signal: NodeJS.Signals) => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    const stop = (signal: NodeJS.Signals, number: number): void => {
      if (asked) {
        again(signal)
        exitAtOnce(128 + number)
      }
      asked = true
      resolve(signal)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}

/**
 * Collects SIGHUPs from its creation on, and answers them once `answerBy` has set the work. One run answers all SIGHUPs
 * that wait. Those that arrive during a run cause another one, because the run may have read the old file already.
 */
export class Hangups {
  readonly #failed: (error: unknown) => void
  #asked = false
  #working = false
  #work: (() => Promise<void>) | undefined

  /** @param failed - gets the error of a run that failed; later SIGHUPs are answered all the same */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
    process.on('SIGHUP', () => {
      this.#asked = true
      void this.#answer()
    })
  }

  /** Sets the work that answers SIGHUPs, earlier ones included. */
  answerBy(work: () => Promise<void>): void {
    this.#work = work
    void this.#answer()
  }

  async #answer(): Promise<void> {
    if (this.#work === undefined || this.#working) return
    this.#working = true
    while (this.#asked) {
      this.#asked = false
      try {
        await this.#work()
      } catch (error) {
        this.#failed(error)
      }
    }
    this.#working = false
  }
}
