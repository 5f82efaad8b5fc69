/**
 * Where the lines of the log go: to stderr, which may be a pipe that is not read.
 *
 * A thread of the addon writes them, so that this thread, which handles signals, never waits. The thread has a bounded
 * queue: lines beyond it are lost, and their number is told as soon as there is room. Sessions end in batches, so the lines
 * of a batch are handed to the thread together. Before the addon is loaded there are a line or two, and nothing is relayed
 * yet: they are written at once.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const STDERR = 2
/** Bytes that may wait for a reader: some thousand lines. */
export const QUEUE_BYTES = 1 << 20
const LOOK_AGAIN_MS = 100
/** How long the last lines may take; one that reads has them in less. */
const END_MS = 1000
const EXIT_MS = 100

/** A thread that writes lines. */
export interface LineThread {
  /** Has lines written; `false` where some are lost. */
  write(lines: string): boolean
  /** How many were lost since this was last asked; 0 as long as there is no room to tell. */
  takeLost(): number
  /** Waits until all is written, at most for so long. Gives `true` if it is. */
  flush(limitMs: number): boolean
}

/** The lines of one log. */
export class LogLines {
  #thread: LineThread | undefined
  #tellLost: (lost: number) => void = () => {}
  /** Lines of this turn that the thread does not have yet. */
  #lines = ''
  /** Runs while lines were lost that were not told. */
  #timer: NodeJS.Timeout | undefined
  #gaveUp = false

  readonly write = (line: string): void => {
    if (this.#thread === undefined) return writeNow(line)
    if (this.#lines === '') queueMicrotask(() => this.#handOver())
    this.#lines += line
  }

  /** Has a thread write from now on. `tellLost` writes a line about those that were lost. */
  useThread(thread: LineThread, tellLost: (lost: number) => void): void {
    this.#thread = thread
    this.#tellLost = tellLost
    process.on('exit', () => {
      this.#handOver()
      if (!this.#gaveUp) thread.flush(EXIT_MS)
    })
  }

  /** Waits a short time until all is written; a reader that does not read keeps nothing from ending. */
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

  /** Tells of lines that were lost before those that wait here, if there is room. */
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

/** Writes at once. A reader that is gone, or does not read, is no reason to stop. */
export function writeNow(line: string, descriptor = STDERR): void {
  try {
    writeSync(descriptor, line)
  } catch {
    // No other place would be read instead.
  }
}
