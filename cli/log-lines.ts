/**
 * Writes the lines of the log to stderr, which may be a pipe without a reader.
 *
 * A thread of the addon writes them, so that this thread, which handles signals, never blocks. The thread's queue is
 * bounded: lines beyond it are lost, and a later line tells their number. Sessions end in batches, so the lines of a
 * batch go to the thread together. The few lines before the addon is loaded are written synchronously, because faithd
 * relays nothing yet.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const STDERR = 2
/** Bytes that may wait for a reader: several thousand lines. */
export const QUEUE_BYTES = 1 << 20
const LOOK_AGAIN_MS = 100
/** Time for the last lines. A reader that keeps up needs less. */
const END_MS = 1000
const EXIT_MS = 100

/** A thread that writes lines. */
export interface LineThread {
  /** Queues lines. Gives `false` if some are lost. */
  write(lines: string): boolean
  /** Gives the number of lines lost since the last call; 0 while the queue has no room to report them. */
  takeLost(): number
  /** Waits until the queue is written, for at most `limitMs`. Gives `true` if it is. */
  flush(limitMs: number): boolean
}

/** The lines of one log. */
export class LogLines {
  #thread: LineThread | undefined
  #tellLost: (lost: number) => void = () => {}
  /** Lines of this turn of the event loop, not yet queued. */
  #lines = ''
  /** Runs while lost lines are unreported. */
  #timer: NodeJS.Timeout | undefined
  #gaveUp = false

  readonly write = (line: string): void => {
    if (this.#thread === undefined) return writeNow(line)
    if (this.#lines === '') queueMicrotask(() => this.#handOver())
    this.#lines += line
  }

  /** Makes a thread write from now on. `tellLost` writes a line about lost lines. */
  useThread(thread: LineThread, tellLost: (lost: number) => void): void {
    this.#thread = thread
    this.#tellLost = tellLost
    process.on('exit', () => {
      this.#handOver()
      if (!this.#gaveUp) thread.flush(EXIT_MS)
    })
  }

  /** Waits until all is written, for at most a second: a reader that stopped reading must not block the exit. */
  async end(): Promise<void> {
    const thread = this.#thread
    if (thread === undefined) return
    const deadline = performance.now() + END_MS
    this.#handOver()
    while (!thread.flush(0) || this.#timer !== undefined) {
      if (performance.now() >= deadline) {
        this.#gaveUp = true
        return
      }
      this.#handOver()
      await sleep(1)
    }
  }

  #handOver(): void {
    if (this.#timer !== undefined) this.#look()
    const lines = this.#lines
    this.#lines = ''
    if (lines === '' || this.#thread?.write(lines) !== false) return
    this.#timer ??= setInterval(() => this.#handOver(), LOOK_AGAIN_MS).unref()
  }

  /** Reports lost lines, if there is room, ahead of the lines that wait here. */
  #look(): void {
    const lost = this.#thread?.takeLost() ?? 0
    if (lost === 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    const later = this.#lines
    this.#lines = ''
    this.#tellLost(lost)
    this.#lines += later
  }
}

/** Writes at once. A closed or full pipe is no reason to stop. */
export function writeNow(line: string, descriptor = STDERR): void {
  try {
    writeSync(descriptor, line)
  } catch {
    // stderr is the only place to report to.
  }
}
