/** Places among the sessions of a relay, for connections that the program makes for a client. */
import { isIPv6 } from 'node:net'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import type { NativeRelay } from './native.js'
import { show } from './option-reader.js'
import { type FaithCause, isCause } from './refusal.js'

/**
 * The answer of {@link FaithRelay.takePlace}.
 *
 * @group Relay and route
 */
export interface FaithPlace {
  /** `true` if the connection may be made: it counts towards the limits until `release()`. */
  taken: boolean
  /** The limit that is reached: `max-sessions`, `max-sessions-per-client` or `max-rate-per-client`; absent if `taken`. */
  cause?: FaithCause
  /** Gives the place back. A further call does nothing. */
  release(): void
}

/** @internal Takes a place for a client. */
export function takePlace(relay: NativeRelay, client: unknown): FaithPlace {
  if (typeof client !== 'string' || !isIPv6(client)) {
    const message = `relay.takePlace: the client must be an IPv6 address, got ${show(client)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  const place = unwrap(relay.takePlace(client))
  const cause = place.cause ?? undefined
  return {
    taken: cause === undefined,
    ...(cause !== undefined && isCause(cause) ? { cause } : {}),
    release: () => place.release(),
  }
}
