/** The work of a command: its words and options, the daemon to ask, and the answer to print. */
import { Exit } from '../exit.js'
import type { Answer, Daemon } from './daemon.js'
import { CommandLineError, type Given } from './parse.js'
import { readDuration } from './units.js'

export interface Task {
  /** The name of the command. */
  command: string
  words: readonly string[]
  given: Given
  daemon: Daemon
}

/** The result of a command. */
export interface Shown {
  /** The answer of the daemon as it came, for `--json`. */
  json: string
  /** Lines for people, for a terminal of that width. */
  lines(width: number): readonly string[]
  /** A line for stderr, for people. */
  warning?: string | undefined
  exitCode?: number | undefined
}

/** Runs a command. A command that prints by itself gives its exit code. */
export type Run = (task: Task) => Promise<Shown | number>

/** Makes the result of an answer. */
export function show<T>(
  { text, body }: Answer<T>,
  lines: (body: T, width: number) => readonly string[],
): Shown {
  return { json: text, lines: (width) => lines(body, width) }
}

/** Asks the operator on the terminal. Gives true without a question if `--yes` was given. */
export async function agreed(task: Task, question: string): Promise<boolean> {
  if (task.given.has('yes')) return true
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CommandLineError(
      `${question} This is no terminal to ask on: give --yes`,
      task.command,
    )
  }
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // Ctrl-D closes the terminal, and the question would stay open.
  const closed = new Promise<string>((resolve) => {
    terminal.once('close', () => resolve(''))
  })
  const answer = await Promise.race([terminal.question(`${question} [y/N] `), closed])
  terminal.close()
  return /^y(?:es)?$/i.test(answer.trim())
}

/** The result of a question that was answered with no. */
export const DECLINED = 1

export const DONE = Exit.ok

/** Reads an option that is a whole number. */
export function numberOf(
  task: Task,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const text = task.given.text(name)
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new CommandLineError(
      `--${name}: '${text}' is not a whole number from ${least} to ${most}`,
      task.command,
    )
  }
  return value
}

/** Reads an option that is a duration, in seconds. */
export function secondsOf(task: Task, name: string): number | undefined {
  const text = task.given.text(name)
  if (text === undefined) return undefined
  const seconds = readDuration(text)
  if (seconds === undefined) {
    throw new CommandLineError(
      `--${name}: '${text}' is not a duration; write 90, 90s, 10m, 2h or 1d`,
      task.command,
    )
  }
  return seconds
}

/** Reads an option, or a word, that is one of several. */
export function choiceOf<T extends string>(
  task: Task,
  name: string,
  text: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (text === undefined) return undefined
  const choice = choices.find((one) => one === text)
  if (choice === undefined) {
    throw new CommandLineError(
      `${name}: '${text}' is not one of ${choices.join(', ')}`,
      task.command,
    )
  }
  return choice
}
