/** Opens objects without keeping them: the program holds only what their handlers record. */
import type { EventEmitter } from 'node:events'
import {
  createFaithInterface,
  type FaithListener,
  type FaithRoute,
  type FaithRouteVerdict,
} from '../../index.js'
import { greet } from './faith-verbs.js'

const noted: Record<string, number> = {}
const opened = new Map<string, WeakRef<object>>()
const controller = new AbortController()

function note(what: string): void {
  noted[what] = (noted[what] ?? 0) + 1
}

/** Records the end of an emitter, and if it is collected. */
function watch(name: string, emitter: EventEmitter): void {
  opened.set(name, new WeakRef(emitter))
  emitter.on('error', ({ code }: NodeJS.ErrnoException) => note(`${name}: ${code}`))
  emitter.on('close', () => note(`${name}: close`))
}

async function greetEach(listener: FaithListener): Promise<void> {
  for await (const socket of listener) greet(socket, 'loop')
  note('loop: done')
}

const verdicts: Record<number, FaithRouteVerdict> = {
  82: { socket: true },
  83: { reject: 'refused' },
}

const route: FaithRoute = ({ destination: { port } }) => {
  note(`route: ${port}`)
  return verdicts[port]
}

export const unkeptVerbs = {
  /**
   * Opens faith0 with listeners on port 80 (for a handler) and 81 (for a loop until {@link unkeptVerbs.abortUnkept}),
   * and a relay on the other ports, whose route takes connections to port 82 and refuses those to 83. Opens faith1 with
   * nothing on it.
   */
  async openUnkept(accessList: string): Promise<void> {
    const unreferenced = {}
    opened.set('unreferenced', new WeakRef(unreferenced))

    const faith = await createFaithInterface()
    watch('interface', faith)
    faith.on('keepfaith', (on) => note(`interface: keepfaith ${on}`))

    const listener = await faith.listen({ port: 80 })
    watch('listener', listener)
    listener.on('connection', (socket) => greet(socket, 'handler'))

    const signal = AbortSignal.any([controller.signal])
    const iterated = await faith.listen({ port: 81, signal })
    watch('iterated listener', iterated)
    void greetEach(iterated)

    const relay = await faith.relay({ ports: [7, 82, 83], accessList, route })
    watch('relay', relay)
    relay.on('session', ({ reason }) => note(`relay: ${reason}`))
    relay.on('refused', ({ reason }) => note(`relay: ${reason}`))
    relay.on('connection', (socket) => greet(socket, 'route'))

    const bare = await createFaithInterface({ name: 'faith1', prefixes: ['64:ff9b:1::/96'] })
    watch('bare interface', bare)
    bare.on('keepfaith', (on) => note(`bare interface: keepfaith ${on}`))
  },

  /** Counts of the handlers' calls. */
  noted: (): Record<string, number> => noted,

  /** Names of the objects that are not yet collected. */
  uncollected: (): string[] =>
    [...opened].filter(([, one]) => one.deref() !== undefined).map(([name]) => name),

  abortUnkept: (): void => controller.abort(),
}
