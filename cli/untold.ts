/** Logs sums of the sessions and refusals without a line of their own. The statistics count all of them. */
import type { FaithRelayStats, FaithUntold } from '../lib/relay-stats.js'
import type { Logger } from './log.js'
import { untoldLine } from './session-lines.js'

const INTERVAL_MS = 10_000

/** Writes a line for each interval of 10 s in which sessions or refusals got none. */
export class UntoldSums {
  readonly #stats: () => FaithRelayStats
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #told: FaithUntold = { sessions: 0, refused: {} }
  #at = performance.now()

  constructor(stats: () => FaithRelayStats, log: Logger) {
    this.#stats = stats
    this.#log = log
    this.#timer = setInterval(() => this.tell(), INTERVAL_MS).unref()
  }

  /** Writes the last sums. */
  end(): void {
    clearInterval(this.#timer)
    this.tell()
  }

  tell(): void {
    const { untold } = this.#stats()
    const [before, since] = [this.#told, this.#at]
    this.#told = untold
    this.#at = performance.now()
    const more = difference(untold, before)
    if (more.sessions === 0 && Object.keys(more.refused).length === 0) return
    const intervalMs = Math.round(this.#at - since)
    this.#log.info({ untold: more, intervalMs }, untoldLine(more, intervalMs))
  }
}

function difference(now: FaithUntold, before: FaithUntold): FaithUntold {
  const refused: FaithUntold['refused'] = {}
  for (const why of Object.keys(now.refused) as (keyof FaithUntold['refused'])[]) {
    const more = (now.refused[why] ?? 0) - (before.refused[why] ?? 0)
    if (more > 0) refused[why] = more
  }
  return { sessions: now.sessions - before.sessions, refused }
}
