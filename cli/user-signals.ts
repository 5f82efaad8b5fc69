/**
 * Handles SIGUSR1 and SIGUSR2. Without a handler, SIGUSR1 makes Node open its inspector, through which every user of the
 * host can run code in this process, and SIGUSR2 kills the process without a drain. Evaluating this module installs the
 * handlers, so faithd imports it before every other module.
 */
import { Exit, ExitError } from './exit.js'

type UserSignal = 'SIGUSR1' | 'SIGUSR2'

let answer: (signal: UserSignal) => void = () => {}
process.on('SIGUSR1', () => answer('SIGUSR1'))
process.on('SIGUSR2', () => answer('SIGUSR2'))

/** Sets the answer to both signals. Until then they do nothing. */
export function answerUserSignals(by: (signal: UserSignal) => void): void {
  answer = by
}

/**
 * Closes an inspector that a SIGUSR1 opened before the handler was installed.
 *
 * @throws ExitError if one was open, because foreign code may have run
 */
export async function refuseInspector(): Promise<void> {
  if (!process.features.inspector || isInspected()) return
  const { close, url } = await import('node:inspector')
  if (url() === undefined) return
  close()
  throw new ExitError(
    Exit.unavailable,
    "a SIGUSR1 during the start opened Node's inspector; faithd closed it and stops; start it again, and send " +
      'no SIGUSR1 before it captures',
  )
}

/** Tells if the operator asked for the inspector, with `--inspect` or the like. */
function isInspected(): boolean {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? '']
  return given.some((option) => option.includes('--inspect'))
}
