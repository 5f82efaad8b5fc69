/** The driver's calls that take a signal, and the abort of that signal. */
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

/** Opens with a signal; `after` keeps it for {@link abortVerbs.abort}. */
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

  /**
   * Iterates until {@link abortVerbs.abortIteration}; returns the ports of the connections it took and the error's
   * code.
   */
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
