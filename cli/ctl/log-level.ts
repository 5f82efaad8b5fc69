/** Shows the level of the daemon's log, or sets it. */
import type { Log } from '../control/schemas.js'
import { LEVELS } from './command-options.js'
import { choiceOf, type Run, show } from './task.js'

export const run: Run = async (task) => {
  const { daemon, words } = task
  const level = choiceOf(task, 'log-level', words[0], LEVELS)
  const answer =
    level === undefined
      ? await daemon.get<Log>('/v1/log')
      : await daemon.put<Log>('/v1/log', { level })
  return show(answer, (log) => [`log level ${log.level}, format ${log.format}`])
}
