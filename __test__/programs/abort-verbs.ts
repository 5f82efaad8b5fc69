/** What the driver opens until a signal is aborted. */
import type { EventEmitter } from 'node:events'
import {
  createFaithInterface,
  FaithInterface,
  FaithListener,
  type FaithInterfaceOptions,
  type FaithListenOptions,
  type FaithRelayOptions,
} from '../../index.js'
import { keep, recall } from './kept.js'

const controllers = new Map<number, AbortController>()
const iterations = new Map<number, AbortController>()
const aborted = AbortSignal.abort(new Error('as told'))

type When = 'before' | 'meanwhile' | 'after'

/** Opens with a signal; `after` keeps it to be aborted by {@link abortVerbs.abort}. */
async function open(
  when: When,
  begin: (signal: AbortSignal) => Promise<EventEmitter>,
): Promise<number> {
  const controller = new AbortController()
  const opening = begin(when === 'before' ? aborted : controller.signal)
  if (when === 'meanwhile') controller.abort(new Error('as told'))
  const id = keep(await opening)
  controllers.set(id, controller)
  return id
}

export const abortVerbs = {
  createUntil: (when: When, options: FaithInterfaceOptions): Promise<number> =>
    open(when, (signal) => createFaithInterface({ ...options, signal })),

  listenUntil: (when: When, id: number, options: FaithListenOptions): Promise<number> =>
    open(when, (signal) => recall(id, FaithInterface).listen({ ...options, signal })),

  relayUntil: (when: When, id: number, options: FaithRelayOptions): Promise<number> =>
    open(when, (signal) => recall(id, FaithInterface).relay({ ...options, signal })),

  abort: (id: number): void => controllers.get(id)?.abort(),

  /** Iterates until {@link abortVerbs.abortIteration}; tells the ports it took, and the code of the error. */
  async iterateUntil(id: number, when: 'before' | 'after'): Promise<string[]> {
    const controller = new AbortController()
    iterations.set(id, controller)
    const signal = when === 'before' ? aborted : controller.signal
    const seen: string[] = []
    try {
      for await (const socket of recall(id, FaithListener).connections({ signal })) {
        socket
          .on('error', () => undefined)
          .resume()
          .end('taken\n')
        seen.push(String(socket.destination.port))
      }
      seen.push('done')
    } catch (error) {
      seen.push((error as NodeJS.ErrnoException).code ?? '')
    }
    return seen
  },

  abortIteration: (id: number): void => iterations.get(id)?.abort(),
}
