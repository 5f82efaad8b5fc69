/** The sessions of a working relay: an iteration over them, and the id of one. */
import { setImmediate } from 'node:timers/promises'
import { FaithError } from './errors.js'
import type { NativeRelay } from './native.js'
import { show } from './option-reader.js'
import { type FaithLiveSession, toLiveSession } from './session.js'

/** Sessions per request. A request delays a worker first and the event loop then, so it must stay short. */
const BATCH = 256

/** @internal Gives the current sessions. */
export async function* liveSessions(
  relay: Pick<NativeRelay, 'sessions'>,
): AsyncGenerator<FaithLiveSession, undefined> {
  let after = 0
  // Without this bound, new sessions could keep the iteration going for ever.
  const { newest } = relay.sessions(0, 0)
  for (;;) {
    const { sessions } = relay.sessions(after, BATCH)
    for (const session of sessions) {
      if (session.id > newest) return undefined
      yield toLiveSession(session)
      after = session.id
    }
    if (sessions.length < BATCH) return undefined
    await setImmediate()
  }
}

/** @internal Checks the id of a session. */
export function readSessionId(call: string, id: unknown): number {
  if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0) return id
  throw new FaithError(
    'ERR_FAITH_ARGUMENT',
    `${call}: \`id\` must be the number that a session has as \`id\`, got ${show(id)}`,
    { hint: 'take it from relay.sessions()' },
  )
}
