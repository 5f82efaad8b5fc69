/** Closes opened objects by leaving a block, through `using` and `await using`. */
import { EventEmitter } from 'node:events'
import { attachmentOf } from './attach-verbs.js'
import { recall } from './kept.js'

/** The way to leave a block. */
export type Leaving = 'ends' | 'throws'

/** Leaves the block that owns an opened object; returns the error's message, if it throws. */
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

  /** Leaves the block of an attachment. */
  leaveAttached: (listener: number, how: Leaving): Promise<string | null> =>
    leave(attachmentOf(listener), how),
}
