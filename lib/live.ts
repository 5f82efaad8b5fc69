/** Looking through the sessions of a relay while it works. */
import { setImmediate } from 'node:timers/promises'
import type { NativeRelay } from './native.js'
import { type FaithLiveSession, toLiveSession } from './session.js'

/** How many sessions are asked for at a time: what a worker waits for, and then the event loop. */
const BATCH = 256

/** @internal The sessions that go on. */
export async function* liveSessions(
  relay: Pick<NativeRelay, 'sessions'>,
): AsyncGenerator<FaithLiveSession, undefined> {
  let after = 0
  // Those that begin from now on could keep it going for ever.
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
