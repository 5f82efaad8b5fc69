/** Lists the clients that have sessions. */
import { Chunks, jsonItems } from './chunks.js'
import { addressKey } from './networks.js'
import { clientsQuery } from './queries.js'
import { Ranking } from './ranking.js'
import { route } from './route.js'
import { type Client, clients } from './schemas.js'

export const listClients = route({
  method: 'GET',
  path: '/v1/clients',
  summary: 'List the clients that have sessions, by network',
  query: clientsQuery,
  answer: clients,
  work: async ({ daemon }, { query }) => {
    const { prefixLength, sort, limit } = query
    const all = new Map<string, Client>()
    for (const running of daemon.interfaces) {
      for (const { relay } of running.allRelays) {
        for await (const client of relay.clients({ prefixLength })) add(all, client)
      }
    }
    const ranking = new Ranking<Client>(limit, query.order ?? (sort === 'client' ? 'asc' : 'desc'))
    let active = 0
    for (const client of all.values()) {
      active += client.sessions
      ranking.add(KEYS[sort](client), client)
    }
    return new Chunks(listing(ranking, active))
  },
})

async function* listing(ranking: Ranking<Client>, active: number): AsyncGenerator<string> {
  yield '{"clients":['
  yield* jsonItems(ranking.inOrder(), (client) => client)
  yield `],"matching":${ranking.added},"active":${active}}`
}

const KEYS = {
  sessions: ({ sessions }: Client) => sessions,
  bytes: ({ bytesUp, bytesDown }: Client) => bytesUp + bytesDown,
  up: ({ bytesUp }: Client) => bytesUp,
  down: ({ bytesDown }: Client) => bytesDown,
  age: ({ oldestMs }: Client) => oldestMs,
  idle: ({ idleMs }: Client) => idleMs,
  client: ({ network }: Client) => addressKey(network.replace(/\/.*/, '')),
}

/** Adds the sessions that a client has with a relay to those that it has with others. */
function add(all: Map<string, Client>, client: Client): void {
  const before = all.get(client.network)
  if (before === undefined) return void all.set(client.network, { ...client })
  before.sessions += client.sessions
  before.bytesUp += client.bytesUp
  before.bytesDown += client.bytesDown
  before.oldestMs = Math.max(before.oldestMs, client.oldestMs)
  before.idleMs = Math.min(before.idleMs, client.idleMs)
  before.portBlocks += client.portBlocks
}
