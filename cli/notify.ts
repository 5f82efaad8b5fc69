/**
 * Tells the service manager how faithd is, by the protocol of sd_notify(3): systemd names a socket in `NOTIFY_SOCKET`.
 * Without that variable nothing is told.
 *
 * The manager also expects a sign of life, at least every `WATCHDOG_USEC`. faithd gives one while this event loop turns
 * and every worker answers. A worker that does not answer for three eighths of that time ends the process, before the
 * manager kills it without a word.
 */
import { exitAtOnce } from '../lib/at-exit.js'
import { native } from '../lib/native.js'
import { Exit } from './exit.js'
import type { Logger } from './log.js'

/** The status is sent when it has changed, and not more often than this. */
const STATUS_MS = 5000
/** Looks at the workers in the watchdog's time. */
const LOOKS = 8
/** A sign of life is given at every so many looks, which is twice in the watchdog's time. */
const LOOKS_OF_A_SIGN = 4
/** A worker is lost after this many looks in a row that found it silent. */
const PATIENCE = 3
/** Time that closing may take after the drain, as an extension of the manager's own. */
const CLOSING_MS = 15_000

/** The part of the environment that a service manager sets. */
export interface ManagerEnvironment {
  socket: string | undefined
  /** The watchdog's time; `undefined` if it does not watch this process. */
  watchdogMs: number | undefined
}

/** Takes the manager's variables out of the environment, so that no child process speaks for faithd. */
export function takeManager(environment: NodeJS.ProcessEnv): ManagerEnvironment {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name]
  const isForThis = pid === undefined || Number(pid) === process.pid
  const watchdogMs = isForThis && /^[1-9]\d*$/.test(usec ?? '') ? Number(usec) / 1000 : undefined
  return { socket: socket === '' ? undefined : socket, watchdogMs }
}

/** The service manager of this process, if it has one. */
export class ServiceManager {
  readonly #log: Logger
  readonly #socket: string | undefined
  readonly #watchdogMs: number | undefined
  #status = ''
  #statusTimer: NodeJS.Timeout | undefined
  #isDeaf = false

  constructor({ socket, watchdogMs }: ManagerEnvironment, log: Logger) {
    this.#log = log
    this.#socket = socket
    this.#watchdogMs = watchdogMs
  }

  /**
   * Tells that faithd captures, and from now on its status and that it lives.
   *
   * @param status - describes the present state in a sentence
   */
  ready(status: () => string): void {
    if (this.#socket === undefined) return
    this.#status = status()
    this.#tell('READY=1', `MAINPID=${process.pid}`, `STATUS=${this.#status}`)
    this.#statusTimer = setInterval(() => this.#tellStatus(status()), STATUS_MS).unref()
    if (this.#watchdogMs !== undefined) this.#live(this.#watchdogMs)
  }

  /** Tells that a reload runs, and its end. */
  async reloading(reload: () => Promise<void>): Promise<void> {
    // CLOCK_MONOTONIC, which systemd compares with the time of its request.
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
    try {
      await reload()
    } finally {
      this.#tell('READY=1')
    }
  }

  /** Tells that faithd ends, and how long its sessions may drain. */
  stopping(drainMs: number): void {
    clearInterval(this.#statusTimer)
    const limit = Math.ceil(drainMs + CLOSING_MS) * 1000
    this.#tell('STOPPING=1', 'STATUS=draining', `EXTEND_TIMEOUT_USEC=${limit}`)
  }

  #tellStatus(status: string): void {
    if (status === this.#status) return
    this.#status = status
    this.#tell(`STATUS=${status}`)
  }

  #live(watchdogMs: number): void {
    let looks = 0
    setInterval(() => {
      looks += 1
      const silent = native.silentWorkers()
      const lost = silent.find((worker) => worker.looks >= PATIENCE)
      if (lost !== undefined) return this.#end(lost.name, (watchdogMs / LOOKS) * PATIENCE)
      if (silent.length > 0 || looks < LOOKS_OF_A_SIGN) return
      looks = 0
      this.#tell('WATCHDOG=1')
    }, watchdogMs / LOOKS).unref()
  }

  /** Ends the process. Closing its interface would wait for the worker. */
  #end(worker: string, silentMs: number): void {
    const why = `worker ${worker} has not answered for ${silentMs / 1000} s`
    this.#log.fatal({ worker }, `${why}; faithd ends, so that its service manager starts it again`)
    this.#tell(`STATUS=${why}`)
    exitAtOnce(Exit.unavailable)
  }

  #tell(...assignments: string[]): void {
    if (this.#socket === undefined) return
    try {
      native.notify(this.#socket, assignments.join('\n'))
      this.#isDeaf = false
    } catch (error) {
      if (!this.#isDeaf) {
        const why = error instanceof Error ? error.message : String(error)
        this.#log.warn(`the service manager does not hear faithd at ${this.#socket}: ${why}`)
      }
      this.#isDeaf = true
    }
  }
}
