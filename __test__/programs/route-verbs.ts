/** Relays whose route follows a spec's orders, as the driver offers them. */
import { FaithRelay, type FaithRelayOptions, type FaithRouteVerdict } from '../../index.js'
import { recall } from './kept.js'
import { relayVerbs } from './relay-verbs.js'

/** The route's verdicts by port; for the ports in `waits` it answers when told to. */
export interface Route {
  verdicts: Record<number, FaithRouteVerdict>
  waits?: number[]
}

interface Waiting {
  port: number
  decide: () => void
}

const waiting: Waiting[] = []

function answerOf({ verdicts, waits = [] }: Route, port: number) {
  if (!waits.includes(port)) return verdicts[port]
  return new Promise<FaithRouteVerdict | undefined>((resolve) => {
    waiting.push({ port, decide: () => resolve(verdicts[port]) })
  })
}

export const routeVerbs = {
  /** Opens a relay with such a route. */
  routingRelay: (id: number, options: FaithRelayOptions, route: Route): Promise<number> =>
    relayVerbs.relay(id, {
      ...options,
      route: ({ destination }) => answerOf(route, destination.port),
    }),

  /** Number of connections to a port that wait for the verdict. */
  undecided: (port: number): number => waiting.filter((one) => one.port === port).length,

  /** Lets a route answer for a port. With `deaf`, that relay has no handler for connections afterwards. */
  decide(port: number, deaf?: number): void {
    for (const one of waiting.splice(0)) {
      if (one.port === port) one.decide()
      else waiting.push(one)
    }
    if (deaf === undefined) return
    setImmediate(() => recall(deaf, FaithRelay).removeAllListeners('connection'))
  },
}
