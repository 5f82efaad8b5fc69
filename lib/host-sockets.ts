/** Relays of sockets that another program has made, such as inetd or systemd, instead of a faith interface's. */
import { FaithError } from './errors.js'
import { toFaithError, unwrap } from './failure.js'
import { native } from './native.js'
import { isArray, readable } from './option-reader.js'
import { FaithRelay } from './relay.js'
import { logOf, logTo } from './relay-log.js'
import type { FaithRelaySettings } from './relay-options.js'

/**
 * Options of {@link relaySockets}: those of a relay, but for those that are about a faith interface or decide in
 * JavaScript.
 *
 * @group Relay and route
 */
export interface FaithSocketsOptions extends Omit<
  FaithRelaySettings,
  | 'address'
  | 'backlog'
  | 'connectFirst'
  | 'copyDscp'
  | 'localServices'
  | 'maxHeld'
  | 'maxHeldPerClient'
  | 'maxUndecided'
  | 'route'
  | 'routeTimeoutMs'
> {
  /**
   * Descriptors of TCP sockets of IPv6: listening ones, whose connections the relay accepts, and connected ones. The
   * relay duplicates them. Close your own descriptors then: a connection is reset only when its last descriptor closes.
   */
  sockets: readonly number[]
  /** The prefixes that map local addresses to IPv4. Default `['64:ff9b::/96']`. */
  prefixes?: readonly string[]
}

const CALL = 'relaySockets'

/**
 * Relays connections of sockets that the host's own TCP serves. The local address of a connection is what its client
 * dialled; mappings, access list, limits and timeouts are those of {@link FaithInterface.relay}. It needs no privilege and
 * no faith interface: a socket gets connections to a whole prefix by a local route and `IPV6_FREEBIND`
 * (`ip -6 route add local 64:ff9b::/96 dev lo`). The clients are accepted before their servers are connected, so a refused
 * client is reset.
 *
 * Closing the relay stops accepting. A process that stays open for other reasons keeps the descriptors that it has not
 * closed itself.
 *
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `ERR_FAITH_PREFIX`; `EBADF`; `ERR_FAITH_SYSTEM` for a descriptor that is
 * not a listening or connected TCP socket of IPv6; and those of {@link FaithInterface.relay} about sources and access lists
 *
 * @example
 * ```ts
 * import { relaySockets } from 'faithd'
 *
 * // A supervisor, such as systemd, has made the socket and passes it as descriptor 3.
 * async function serve(descriptor = 3): Promise<void> {
 *   const relay = await relaySockets({ sockets: [descriptor], prefixes: ['64:ff9b::/96'] })
 *   process.once('SIGTERM', () => relay.close({ drainMs: 5_000 }))
 * }
 * ```
 *
 * @group Relay and route
 */
export async function relaySockets(options: FaithSocketsOptions): Promise<FaithRelay> {
  const {
    sockets,
    prefixes = ['64:ff9b::/96'],
    ...settings
  } = readable(CALL, () => ({
    ...options,
  }))
  const refused = UNFIT.find((name) => (settings as Record<string, unknown>)[name] !== undefined)
  if (refused !== undefined) throw wrong(`\`${refused}\` is an option of faith.relay()`)
  if (!isArray(sockets) || !sockets.every((one) => Number.isInteger(one) && one >= 0)) {
    throw wrong('`sockets` must be an array of descriptors')
  }
  if (!isArray(prefixes) || !prefixes.every((one) => typeof one === 'string')) {
    throw wrong('`prefixes` must be an array of strings')
  }
  const unready = native.unready()
  if (unready) throw toFaithError(unready)
  const host = unwrap(
    await native.openHostSockets([...prefixes], (warnings) => {
      for (const { message } of warnings) process.emitWarning(message, 'FaithWarning')
    }),
  )
  const close = (): void => void host.close()
  try {
    return await FaithRelay.openOn(
      {
        name: host.name,
        faith: undefined,
        start: (given, callbacks, log) => host.relay([...sockets], given, callbacks, log),
      },
      logTo(logOf(options), { ...settings, ports: 'all' as const }),
      close,
    )
  } catch (error) {
    close()
    throw error
  }
}

const UNFIT = [
  'address',
  'backlog',
  'connectFirst',
  'copyDscp',
  'localServices',
  'maxHeld',
  'maxHeldPerClient',
  'maxUndecided',
  'port',
  'ports',
  'route',
  'routeTimeoutMs',
] as const

function wrong(message: string): FaithError {
  return new FaithError('ERR_FAITH_ARGUMENT', `${CALL}: ${message}`)
}
