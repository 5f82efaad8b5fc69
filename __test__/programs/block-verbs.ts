/** What the driver opens for a block, and leaves that block's end to close: by `using` and `await using`. */
import { EventEmitter, once } from 'node:events'
import {
  createFaithInterface,
  FaithInterface,
  FaithListener,
  type FaithInterfaceOptions,
  type FaithListenOptions,
  type FaithRelayOptions,
  type FaithServer,
} from '../../index.js'
import { happened, keep, recall } from './kept.js'

/** How a block is left. */
export type Leaving = 'ends' | 'throws'

/** What a block has thrown, and what had happened to what it opened when it was left. */
export interface Left {
  thrown: string | null
  happened: string[]
}

function leave(how: Leaving): void {
  if (how === 'throws') throw new Error('as told')
}

async function left(block: (opened: (one: EventEmitter) => void) => Promise<void>): Promise<Left> {
  let id = 0
  let thrown: string | null = null
  try {
    await block((one) => {
      id = keep(one)
    })
  } catch (error) {
    thrown = (error as Error).message
  }
  // Its `close` is for the next turn.
  await new Promise<void>((resolve) => process.nextTick(resolve))
  return { thrown, happened: [...happened(id)] }
}

export const blockVerbs = {
  createForBlock: (options: FaithInterfaceOptions, how: Leaving): Promise<Left> =>
    left(async (opened) => {
      await using faith = await createFaithInterface(options)
      opened(faith)
      leave(how)
    }),

  listenForBlock: (id: number, options: FaithListenOptions, how: Leaving): Promise<Left> =>
    left(async (opened) => {
      await using listener = await recall(id, FaithInterface).listen(options)
      opened(listener)
      leave(how)
    }),

  relayForBlock: (id: number, options: FaithRelayOptions, how: Leaving): Promise<Left> =>
    left(async (opened) => {
      await using relay = await recall(id, FaithInterface).relay(options)
      opened(relay)
      leave(how)
    }),

  /** Attaches a server until it has got a connection. */
  attachForBlock: (listener: number, server: number, how: Leaving): Promise<Left> =>
    left(async (opened) => {
      const attachable = recall(server, EventEmitter) as EventEmitter & FaithServer
      const attachedTo = recall(listener, FaithListener)
      opened(attachedTo)
      using _ = attachedTo.attach(attachable)
      await once(attachedTo, 'connection')
      leave(how)
    }),
}
