/**
 * The terminal that `top` draws on: its alternate screen, without a cursor, and its keys one by one. It is restored
 * however faithctl ends, except by SIGKILL.
 */
import { changes, type Grid } from './grid.js'
import { keysOf } from './keys.js'

const ENTER = '\u001b[?1049h\u001b[?25l'
/** Clears first: tmux may keep lines of an alternate screen that was resized, if the cursor is low. */
const LEAVE = '\u001b[0m\u001b[H\u001b[J\u001b[?25h\u001b[?1049l'
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
/** The size of a terminal that does not tell it. */
const USUAL = { columns: 80, rows: 24 }

export interface Hearers {
  onKey(key: string): void
  onResize(): void
}

export class Terminal {
  readonly #colours = (process.env['NO_COLOR'] ?? '') === ''
  readonly #hearers: Hearers
  #shown: Grid | undefined
  #entered = false

  /** Takes the terminal over. */
  constructor(hearers: Hearers) {
    this.#hearers = hearers
    process.on('exit', this.#restore)
    for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) {
      process.on(signal, this.#end)
    }
    process.on('SIGCONT', this.#enter)
    process.stdin.on('data', this.#read)
    // The terminal has gone.
    process.stdin.on('end', this.#hangUp)
    process.stdin.on('error', this.#hangUp)
    process.stdout.on('resize', this.#resized)
    this.#enter()
  }

  get size(): { columns: number; rows: number } {
    const { columns, rows } = process.stdout
    return { columns: columns || USUAL.columns, rows: rows || USUAL.rows }
  }

  /** Shows a screen: only the cells that differ are written. */
  show(grid: Grid): void {
    if (!this.#entered) return
    process.stdout.write(changes(this.#shown, grid, this.#colours))
    this.#shown = grid
  }

  /** Has the next screen drawn from nothing. */
  forget(): void {
    this.#shown = undefined
  }

  /** Gives the terminal back. */
  close(): void {
    this.#restore()
    process.removeListener('exit', this.#restore)
    process.removeListener('SIGCONT', this.#enter)
    process.stdin.removeListener('data', this.#read)
    process.stdin.removeListener('end', this.#hangUp)
    process.stdout.removeListener('resize', this.#resized)
    process.stdin.pause()
  }

  readonly #enter = (): void => {
    if (this.#entered) return
    this.#entered = true
    process.stdin.setRawMode(true)
    process.stdin.setEncoding('utf8').resume()
    process.stdout.write(ENTER)
    this.#resized()
  }

  /** Writes to a terminal are synchronous, so this works at the exit too. */
  readonly #restore = (): void => {
    if (!this.#entered) return
    this.#entered = false
    process.stdout.write(LEAVE)
    process.stdin.setRawMode(false)
  }

  readonly #end = (signal: NodeJS.Signals): void => {
    process.exit(128 + SIGNALS[signal as keyof typeof SIGNALS])
  }

  readonly #hangUp = (): void => {
    process.exit(128 + SIGNALS.SIGHUP)
  }

  readonly #resized = (): void => {
    this.forget()
    this.#hearers.onResize()
  }

  readonly #read = (text: string): void => {
    for (const key of keysOf(text)) {
      if (key === 'interrupt') this.#end('SIGINT')
      else if (key === 'suspend') this.#suspend()
      else this.#hearers.onKey(key)
    }
  }

  /** Ctrl-Z: the shell gets its terminal, and SIGCONT brings the view back. */
  #suspend(): void {
    this.#restore()
    process.kill(process.pid, 'SIGSTOP')
  }
}
