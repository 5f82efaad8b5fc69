/** Asks the daemon for the words that a shell may offer. A daemon that does not answer at once offers none. */
import type { Clients, FaithInterfaceStatus, Sessions } from '../control/schemas.js'
import { Daemon } from './daemon.js'
import type { Live } from './candidates.js'
import { endpointText } from './endpoint.js'
import { counted, duration } from './units.js'

/** The operator waits for these words, so a busy daemon gets no more time. */
const PATIENCE_MS = 1000
const MOST = 200

export const liveWords: Live = async (kind, socket) => {
  const daemon = new Daemon(socket, PATIENCE_MS)
  try {
    return await ASK[kind](daemon)
  } catch {
    return []
  } finally {
    daemon.close()
  }
}

type Kind = Parameters<Live>[0]

const ASK: Readonly<Record<Kind, (daemon: Daemon) => ReturnType<Live>>> = {
  session: async (daemon) => {
    const query = { limit: MOST, sort: 'idle', order: 'asc' }
    const { body } = await daemon.get<Sessions>('/v1/sessions', query)
    return body.sessions.map(({ id, client, server, destination, ageMs }) => ({
      word: id,
      help: `${client.address} to ${endpointText(server ?? destination)}, ${duration(ageMs)}`,
    }))
  },
  client: async (daemon) => {
    const { body } = await daemon.get<Clients>('/v1/clients', { limit: MOST })
    return body.clients.map(({ network, sessions }) => ({
      word: network,
      help: counted(sessions, 'session'),
    }))
  },
  interface: async (daemon) =>
    (await interfacesOf(daemon)).map(({ name, prefixes }) => ({
      word: name,
      help: prefixes.join(', '),
    })),
  prefix: async (daemon) =>
    (await interfacesOf(daemon)).flatMap(({ name, prefixes }) =>
      prefixes.map((prefix) => ({ word: prefix, help: name })),
    ),
}

async function interfacesOf(daemon: Daemon): Promise<readonly FaithInterfaceStatus[]> {
  const { body } = await daemon.get<{ interfaces: FaithInterfaceStatus[] }>('/v1/interfaces')
  return body.interfaces
}
