/**
 * SIGUSR1 and SIGUSR2. Left to Node, the first opens its inspector, by which every user of the host can run code in this
 * process, and the second ends it without a drain. The handlers are there from when this module is evaluated, so faithd
 * imports it before every other.
 */
import { Exit, ExitError } from './exit.js'

type UserSignal = 'SIGUSR1' | 'SIGUSR2'

let answer: (signal: UserSignal) => void = () => {}
process.on('SIGUSR1', () => answer('SIGUSR1'))
process.on('SIGUSR2', () => answer('SIGUSR2'))

/** Sets the answer to both signals. Before, they do nothing. */
export function answerUserSignals(by: (signal: UserSignal) => void): void {
  answer = by
}

/**
 * Ends the inspector that a SIGUSR1 has opened before there was a handler.
 *
 * @throws ExitError when there was one: code that is not faithd's may have run
 */
export async function refuseInspector(): Promise<void> {
  if (!process.features.inspector || isInspected()) return
  const { close, url } = await import('node:inspector')
  if (url() === undefined) return
  close()
  throw new ExitError(
    Exit.unavailable,
    "a SIGUSR1 during the start opened Node's inspector, which is closed again; start faithd again, and send it " +
      'no SIGUSR1 before it captures',
  )
}

/** Tells if the inspector was asked for, by `--inspect` and the like. */
function isInspected(): boolean {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? '']
  return given.some((option) => option.includes('--inspect'))
}
