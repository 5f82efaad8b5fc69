/** Blocks that what was opened is closed by, through `using` and `await using`. */
import { EventEmitter } from 'node:events'
import { attachmentOf } from './attach-verbs.js'
import { recall } from './kept.js'

/** How a block is left. */
export type Leaving = 'ends' | 'throws'

/** Leaves a block that something was opened for; tells what it has thrown. */
async function leave(opened: Disposable | AsyncDisposable, how: Leaving): Promise<string | null> {
  try {
    await using _ = opened
    if (how === 'throws') throw new Error('as told')
    return null
  } catch (error) {
    return (error as Error).message
  }
}

export const blockVerbs = {
  /** Leaves the block of an interface, a listener or a relay. */
  leaveBlock: (id: number, how: Leaving): Promise<string | null> =>
    leave(recall(id, EventEmitter) as unknown as AsyncDisposable, how),

  /** Leaves the block that a server was attached for. */
  leaveAttached: (listener: number, how: Leaving): Promise<string | null> =>
    leave(attachmentOf(listener), how),
}
