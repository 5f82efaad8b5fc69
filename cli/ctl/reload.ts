/** Has the daemon read its configuration file and its access lists again. */
import type { Reloaded } from '../control/schemas.js'
import { Exit, ExitError } from '../exit.js'
import { ProblemError } from './daemon.js'
import { printable } from './table.js'
import { type Run, show } from './task.js'

export const run: Run = async ({ daemon }) => {
  const answer = await daemon.post<Reloaded>('/v1/reload').catch((error: unknown) => {
    // The request has nothing that could be wrong, so the file has.
    if (error instanceof ProblemError && error.status === 422) {
      throw new ExitError(Exit.config, error.message)
    }
    throw error
  })
  return show(answer, ({ changes, warnings }) =>
    [
      ...(changes.length === 0 ? ['reloaded: nothing changed'] : changes),
      ...warnings.map((warning) => `warning: ${warning}`),
    ].map(printable),
  )
}
