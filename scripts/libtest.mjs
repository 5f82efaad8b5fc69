// Runs the tests of Rust with a limit for each: `node scripts/libtest.mjs SECONDS COMMAND ARGUMENT …`.
//
// libtest ends no test, however long it hangs. It says which one has run for a minute, so the limit is a minute at least.
// Behind the limit the command is killed, and the last line names the test.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'

/** The seconds after which libtest names a test that still runs. */
const NAMED = 60

const [seconds, command = '', ...args] = process.argv.slice(2)
const limit = Number(seconds)
// Has a process group of its own, with the programs of the tests.
const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
const { pid } = child

/** @param {NodeJS.Signals} signal */
function signalAll(signal) {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // It has ended.
  }
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => signalAll(signal))
}

/**
 * Tests that have run for a minute, and still run.
 *
 * @type {Map<string, NodeJS.Timeout>}
 */
const slow = new Map()
let failed = false

/** @param {string} line */
function read(line) {
  const [, name = '', what] = /^test (.+?) (has been running for over|\.\.\. )/.exec(line) ?? []
  clearTimeout(slow.get(name))
  slow.delete(name)
  if (what?.startsWith('has') !== true) return
  const end = () => {
    failed = true
    console.error(`the test ${name} still ran after ${limit} seconds, so it was ended`)
    signalAll('SIGKILL')
  }
  slow.set(name, setTimeout(end, (limit - NAMED) * 1000))
}

createInterface({ input: child.stdout }).on('line', (line) => {
  console.log(line)
  read(line)
})
child.on('error', (error) => {
  console.error(error.message)
  failed = true
})
child.on('close', (code, signal) => {
  for (const timer of slow.values()) clearTimeout(timer)
  process.exitCode = failed ? 1 : signal === null ? (code ?? 1) : 128 + constants.signals[signal]
})
