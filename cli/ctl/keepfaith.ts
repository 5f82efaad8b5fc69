/** Shows the switch keepfaith, or sets it. */
import { choiceOf, type Run, show } from './task.js'

interface Keepfaith {
  on: boolean
}

export const run: Run = async (task) => {
  const { daemon, words } = task
  const value = choiceOf(task, 'keepfaith', words[0], ['0', '1'])
  const answer =
    value === undefined
      ? await daemon.get<Keepfaith>('/v1/keepfaith')
      : await daemon.put<Keepfaith>('/v1/keepfaith', { on: value === '1' })
  return show(answer, ({ on }) => [
    on
      ? 'keepfaith is 1: faithd captures'
      : 'keepfaith is 0: nothing is captured, and sessions stall',
  ])
}
