/**
 * Carries out a spec's requests in one of the lab's hosts: the calls of this library, and plain TCP. A request is a
 * line of JSON on standard input. Its answer is a line on standard output; answers come in any order:
 *
 *   {"id":1,"verb":"create","args":[{"name":"faith0"}]}
 *   {"id":1,"value":7}      or      {"id":1,"error":{"name":"FaithError","code":"EEXIST",…}}
 *
 * Objects that JSON cannot hold (interfaces, listeners, sockets) stay here and are addressed by number. After the end
 * of its input the program is passive, so that only open objects of the library keep it running.
 */
import { createInterface } from 'node:readline'
import type { FaithError } from '../../index.js'
import { abortVerbs } from './abort-verbs.js'
import { attachVerbs } from './attach-verbs.js'
import { blockVerbs } from './block-verbs.js'
import { blockingVerbs } from './blocking-verbs.js'
import { eventVerbs } from './event-verbs.js'
import { faithVerbs } from './faith-verbs.js'
import { loadVerbs } from './load-verbs.js'
import { readingVerbs } from './reading-verbs.js'
import { relayVerbs } from './relay-verbs.js'
import { routeVerbs } from './route-verbs.js'
import { socketVerbs } from './socket-verbs.js'
import { spliceVerbs } from './splice-verbs.js'
import { unkeptVerbs } from './unkept-verbs.js'

const processVerbs = {
  /** Lets the program end although more requests may come. */
  rest: (): void => void process.stdin.unref(),

  /** Ends the program: by process.exit(), or by an uncaught error. */
  die(how: 'exit' | 'throw'): void {
    setImmediate(() => {
      if (how === 'exit') process.exit(3)
      throw new Error('as told')
    })
  },
}

const verbs = {
  ...abortVerbs,
  ...attachVerbs,
  ...blockVerbs,
  ...blockingVerbs,
  ...eventVerbs,
  ...faithVerbs,
  ...loadVerbs,
  ...readingVerbs,
  ...relayVerbs,
  ...routeVerbs,
  ...socketVerbs,
  ...spliceVerbs,
  ...unkeptVerbs,
  ...processVerbs,
}

/** The requests that the program understands. */
export type Verbs = typeof verbs

/** An error in the form that is sent to the spec. */
export type SentError = Pick<FaithError, 'name' | 'message' | 'code'> &
  Partial<Pick<FaithError, 'errno' | 'syscall' | 'hint'>>

interface Request {
  id: number
  verb: keyof Verbs
  args: unknown[]
}

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

async function answer({ id, verb, args }: Request): Promise<void> {
  try {
    const call = verbs[verb] as (...args: unknown[]) => unknown
    say({ id, value: await call(...args) })
  } catch (error) {
    const { name, message, code, errno, syscall, hint } = error as SentError
    say({ id, error: { name, message, code, errno, syscall, hint } })
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  void answer(JSON.parse(line) as Request)
})
say({ ready: true })
