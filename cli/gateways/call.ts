/** Connections that a server makes to a client through a gateway, such as data of active FTP. */
import type { Socket } from 'node:net'
import type { FaithConnectOptions, FaithSplice } from '../../index.js'
import type { Place } from './gateway.js'

/**
 * Connects to the client, and has Rust carry the connection of the server on to it. It counts towards the limits of the relay
 * like a session. Resolves when the client is connected.
 *
 * @throws a limit is reached, or the client cannot be connected
 */
export async function callClient(
  server: Socket,
  client: FaithConnectOptions,
  { faith, relay, keepAliveTimeoutMs }: Place,
  idleTimeoutMs: number,
): Promise<{ splice: FaithSplice }> {
  const place = relay.takePlace(client.to)
  try {
    if (!place.taken) throw new Error(`a limit of sessions is reached (${place.cause})`)
    const socket = await faith.connect(client)
    socket.on('error', () => server.resetAndDestroy())
    const splice = socket.spliceTo(server, { idleTimeoutMs, keepAliveTimeoutMs })
    splice.catch(() => socket.resetAndDestroy()).finally(() => place.release())
    // Not the splice itself, which is the promise of its end.
    return { splice }
  } catch (error) {
    place.release()
    throw error
  }
}
