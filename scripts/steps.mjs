// Runs the long steps of the scripts. Each step prints one line with its duration. On a terminal, its last line of
// output shows while it runs; its whole output is printed when it fails. An interrupted script ends its steps and waits
// for them, so that nothing runs on behind the prompt.
//
// These scripts run on a fresh clone, before `npm ci`, so nothing here may need a package.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { constants } from 'node:os'
import { stripVTControlCharacters } from 'node:util'

/** The top of the checkout. */
export const root = fileURLToPath(new URL('..', import.meta.url))

const terminal = process.stdout.isTTY === true && !process.env['CI']
const colour = terminal && !process.env['NO_COLOR']
/** @param {number} code @returns {(text: string) => string} */
const paint = (code) => (text) => (colour ? `\u001B[${code}m${text}\u001B[0m` : text)
export const bold = paint(1)
export const dim = paint(2)
export const green = paint(32)
export const red = paint(31)

/** An error the reader can act on: printed without a stack. */
export class Failure extends Error {}

/**
 * Running children; the value tells if a child may be killed.
 *
 * @type {Map<import('node:child_process').ChildProcess, boolean>}
 */
const running = new Map()
/** @type {NodeJS.Signals | undefined} */
let interruption

/**
 * The first signal asks the running steps to end. npm takes 15 seconds to end, so steps are killed after three
 * seconds or at the second signal.
 *
 * @param {NodeJS.Signals} signal
 */
function onSignal(signal) {
  const again = interruption !== undefined
  interruption ??= signal
  if (running.size === 0) return
  if (again) return killRunning()
  print('interrupted; waiting for the running steps to end')
  for (const child of running.keys()) signalGroup(child, signal)
  setTimeout(killRunning, 3000).unref()
}

function killRunning() {
  for (const [child, killable] of running) if (killable) signalGroup(child, 'SIGKILL')
}

// Ends the steps with the script: each step has its own process group, which Ctrl-C does not reach.
process.on('exit', killRunning)

// Ends like a process killed by SIGPIPE when the reader is gone, as in `npm test | head`.
process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(128 + constants.signals.SIGPIPE)
})

/**
 * Runs a script's main function. A Failure becomes one line and exit code 1; a signal becomes its exit code once the
 * running step has ended.
 *
 * @param {string} name
 * @param {() => Promise<number | void>} main
 */
export async function runScript(name, main) {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, onSignal)
  }
  try {
    process.exitCode = (await main()) ?? 0
  } catch (error) {
    if (interruption === undefined) {
      const text =
        error instanceof Failure ? error.message : error instanceof Error ? error.stack : error
      process.stderr.write(`${red(`${name}:`)} ${text}\n`)
    }
    process.exitCode = 1
  }
  if (interruption !== undefined) {
    process.stderr.write(`${name}: interrupted\n`)
    process.exitCode = 128 + constants.signals[interruption]
  }
}

/**
 * @typedef {object} StepOptions
 * @property {NodeJS.ProcessEnv} [env] added to the script's own
 * @property {(output: string) => string} [summary] text of the step's line on success
 * @property {boolean} [killable] false for a step that must not be cut short
 */

/**
 * @typedef {object} Outcome
 * @property {boolean} ok
 * @property {string} output
 * @property {number} seconds
 */

/**
 * Runs a command as a step; throws a Failure when it fails.
 *
 * @param {string} title
 * @param {string} command
 * @param {readonly string[]} args
 * @param {StepOptions} [options]
 */
export async function step(title, command, args, options = {}) {
  const outcome = await attempt(title, command, args, options)
  if (!outcome.ok) throw new Failure(`${title} failed: ${[command, ...args].join(' ')}`)
  return outcome
}

/**
 * Runs a command as a step and returns its outcome. The output of a failed command is already on the screen.
 *
 * @param {string} title
 * @param {string} command
 * @param {readonly string[]} args
 * @param {StepOptions} [options]
 * @returns {Promise<Outcome>}
 */
export async function attempt(title, command, args, { env = {}, summary, killable = true } = {}) {
  if (interruption !== undefined) throw new Failure('interrupted')
  const start = performance.now()
  const elapsed = () => (performance.now() - start) / 1000
  const child = spawn(command, args, {
    cwd: root,
    // Starts its own process group: Ctrl-C reaches the script alone, which passes it on once and waits.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  running.set(child, killable)
  let output = ''
  const progressed = progress(title, elapsed, () => lastLine(output))
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      output += text
    })
  }
  const problem = await ended(child)
  running.delete(child)
  progressed.stop()
  const seconds = elapsed()
  if (interruption !== undefined) throw new Failure('interrupted')
  if (problem === undefined) {
    const said = summary?.(output)
    print(`${green('✓')} ${title}${said ? `: ${said}` : ''} ${dim(duration(seconds))}`)
  } else {
    if (output !== '') print(output.replace(/\n$/, ''))
    print(`${red('✗')} ${title}: ${problem} ${dim(duration(seconds))}`)
  }
  return { ok: problem === undefined, output, seconds }
}

/**
 * Hands the terminal to a command, and ends when the command ends.
 *
 * @param {readonly [string, ...string[]]} command
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>} its exit code
 */
export async function become([command, ...args], env = {}) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  const pass = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal)
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, pass)
  return await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      // The command itself has reported the interruption.
      if (interruption !== undefined) interruption = undefined
      resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL'])
    })
  })
}

/** True while the last line on the terminal is one that `draw` rewrites. */
let live = false

/**
 * Steps in progress.
 *
 * @type {Set<{ title: string, elapsed: () => number, detail: () => string }>}
 */
const shown = new Set()
/** @type {NodeJS.Timeout | undefined} */
let drawing
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
let drawn = 0

/** Draws one line for all running steps: each title with its time, and the detail of the first. */
function draw() {
  drawn += 1
  const width = process.stdout.columns || 80
  const titles = [...shown].map(({ title, elapsed }) => `${title} ${duration(elapsed())}`)
  const head = `${frames[drawn % frames.length]} ${titles.join(' · ')}  `
  const [first] = shown
  const tail = (first?.detail() ?? '').slice(0, Math.max(0, width - head.length - 1))
  process.stdout.write(`${eraseLive()}${head.slice(0, width - 1)}${dim(tail)}`)
  live = true
}

function eraseLive() {
  const erase = live ? '\r\u001B[2K' : ''
  live = false
  return erase
}

/** @param {string} line */
export function print(line) {
  process.stdout.write(`${eraseLive()}${line}\n`)
}

/** @param {number} seconds */
export function duration(seconds) {
  const tenths = seconds.toFixed(1)
  if (Number(tenths) < 60) return `${tenths} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/**
 * Shows progress: on a terminal as a line that is rewritten; elsewhere as a line every 30 seconds, because a log that
 * stays silent for minutes looks stuck.
 *
 * @param {string} title
 * @param {() => number} elapsed seconds
 * @param {() => string} detail
 */
export function progress(title, elapsed, detail) {
  const item = { title, elapsed, detail }
  shown.add(item)
  if (terminal) drawing ??= setInterval(draw, 100)
  const timer = terminal
    ? undefined
    : setInterval(() => print(`… ${title} ${duration(elapsed())}  ${detail()}`), 30_000)
  return {
    stop() {
      shown.delete(item)
      clearInterval(timer)
      if (shown.size === 0) {
        clearInterval(drawing)
        drawing = undefined
      }
      process.stdout.write(eraseLive())
    },
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<string | undefined>} the reason of a failure
 */
async function ended(child) {
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      if (code === 0) resolve(undefined)
      else resolve(signal === null ? `exit code ${code}` : signal)
    })
  })
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} signal */
function signalGroup(child, signal) {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The process has ended.
  }
}

/** @param {string} output */
function lastLine(output) {
  const tail = stripVTControlCharacters(output.slice(-2000)).trimEnd()
  return tail.slice(tail.lastIndexOf('\n') + 1).trim()
}
