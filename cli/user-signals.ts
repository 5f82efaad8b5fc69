/**
 * Handles SIGUSR1 and SIGUSR2. Without a handler, SIGUSR1 makes Node open its inspector, through which every user of the
 * host can run code in this process, and SIGUSR2 kills the process without a drain. Evaluating this module installs the
 * handlers, so faithd imports it before every other module.
 */
import { Exit, ExitError } from './exit.js'

type UserSignal = 'SIGUSR1' | 'SIGUSR2'

const answers = new Map<UserSignal, () => void>()
for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
  process.on(signal, () => answers.get(signal)?.())
}

/**
 * Sets the answer to a signal. Until then it does nothing. Signals that come while an answer is under way get one more
 * answer together, so a storm of them leaves no queue behind.
 */
export function answerUserSignal(signal: UserSignal, by: () => void | Promise<void>): void {
  let isBusy = false
  let isAskedAgain = false
  const answer = async (): Promise<void> => {
    isAskedAgain = isBusy
    if (isBusy) return
    isBusy = true
    do {
      isAskedAgain = false
      await by()
    } while (isAskedAgain)
    isBusy = false
  }
  answers.set(signal, () => void answer())
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
