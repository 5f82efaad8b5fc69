/** Ends sessions, by their numbers or by the options that choose them. */
import type { Sessions } from '../control/schemas.js'
import { Exit } from '../exit.js'
import { ProblemError } from './daemon.js'
import { CommandLineError } from './parse.js'
import { filterOf, hasFilter } from './sessions.js'
import { agreed, DECLINED, type Run, show, type Shown, type Task } from './task.js'
import { counted } from './units.js'

export const run: Run = async (task) => {
  const { words, command } = task
  const chosen = hasFilter(task)
  if (words.length > 0 && chosen) {
    throw new CommandLineError('abort takes IDs or options that choose sessions, not both', command)
  }
  if (words.length > 0) return await abortEach(task)
  if (!chosen) {
    throw new CommandLineError(
      'abort: sessions missing: give their IDs, or choose them by options such as --client',
      command,
    )
  }
  return await abortChosen(task)
}

async function abortChosen(task: Task): Promise<Shown | number> {
  const filter = filterOf(task)
  const { body } = await task.daemon.get<Sessions>('/v1/sessions', { ...filter, limit: 1 })
  if (body.matching > 1 && !(await agreed(task, `End ${counted(body.matching, 'session')}?`))) {
    return DECLINED
  }
  const answer = await task.daemon.delete<{ aborted: number }>('/v1/sessions', filter)
  return show(answer, ({ aborted }) => [told(aborted)])
}

async function abortEach(task: Task): Promise<Shown | number> {
  const ids = [...new Set(task.words)]
  if (ids.length > 1 && !(await agreed(task, `End ${counted(ids.length, 'session')}?`))) {
    return DECLINED
  }
  const missing: string[] = []
  for (const id of ids) {
    try {
      await task.daemon.delete(`/v1/sessions/${encodeURIComponent(id)}`)
    } catch (error) {
      if (!(error instanceof ProblemError) || error.status !== 404) throw error
      missing.push(id)
    }
  }
  const aborted = ids.length - missing.length
  return {
    json: JSON.stringify({ aborted }),
    lines: () => [told(aborted)],
    ...(missing.length === 0
      ? {}
      : { warning: `no session ${missing.join(', ')}`, exitCode: Exit.unavailable }),
  }
}

function told(aborted: number): string {
  return `ended ${counted(aborted, 'session')}`
}
