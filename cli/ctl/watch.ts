/** Prints the result of a command, once or again and again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { CommandLineError } from './parse.js'
import { cutEnd } from './table.js'
import { DONE, type Run, type Shown, type Task } from './task.js'

/** The lines of a terminal that does not tell its size. */
const USUAL_ROWS = 24

/** Runs a command and prints what it gives. */
export async function printOnce(run: Run, task: Task): Promise<number> {
  const shown = await run(task)
  if (typeof shown === 'number') return shown
  const { warning, exitCode = DONE } = shown
  const { columns = Infinity } = process.stdout
  process.stdout.write(textOf(shown, task, columns))
  if (warning !== undefined) process.stderr.write(`faithctl: ${warning}\n`)
  return exitCode
}

/** Runs a command until a signal ends faithctl, and prints what it gives each time. */
export async function printAgain(run: Run, task: Task): Promise<number> {
  const text = task.given.text('watch') ?? ''
  const seconds = Number(text)
  if (!(seconds >= 0.1 && seconds <= 86_400)) {
    throw new CommandLineError(
      `--watch: '${text}' is not a number of seconds from 0.1`,
      task.command,
    )
  }
  for (;;) {
    const shown = await run(task)
    if (typeof shown === 'number') return shown
    process.stdout.write(
      process.stdout.isTTY ? redrawn(shown, task) : textOf(shown, task, Infinity),
    )
    await sleep(seconds * 1000)
  }
}

function textOf(shown: Shown, { given }: Task, width: number): string {
  if (!given.has('json')) return `${shown.lines(width).join('\n')}\n`
  return shown.json === '' ? '' : `${shown.json.trimEnd()}\n`
}

/** Redraws the terminal in one step: over what is there, and as many lines as fit. */
function redrawn(shown: Shown, task: Task): string {
  const { columns, rows = USUAL_ROWS } = process.stdout
  const lines = textOf(shown, task, columns).trimEnd().split('\n')
  const kept = lines.slice(0, rows - 1).map((line) => `${cutEnd(line, columns)}\u001b[K`)
  return `\u001b[?2026h\u001b[H${kept.join('\r\n')}\r\n\u001b[J\u001b[?2026l`
}
