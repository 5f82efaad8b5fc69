/** Lists, shows and ends sessions. */
import type * as z from 'zod'
import type { FaithLiveSession } from '../../index.js'
import type { Daemon } from '../daemon.js'
import type { RunningInterface, RunningRelay } from '../running.js'
import { Chunks, jsonItems } from './chunks.js'
import { addressKey, within } from './networks.js'
import { Places } from './places.js'
import { ProblemError } from './problem.js'
import { sessionFilter, sessionsQuery } from './queries.js'
import { Ranking } from './ranking.js'
import { route, type ValuesOf } from './route.js'
import { aborted, type Session, sessionDetail, sessions } from './schemas.js'

type Filter = ValuesOf<typeof sessionFilter>

/** A session, with its relay and interface. */
interface Place {
  running: RunningInterface
  relay: RunningRelay
}
interface Placed extends Place {
  session: FaithLiveSession
}

/** The entries of an answer that wait for no place. */
const FEW = 1000
/** Answers with more entries that may be in the making at a time. */
const places = new Places(4)

export const listSessions = route({
  method: 'GET',
  path: '/v1/sessions',
  summary: 'List active sessions',
  query: sessionsQuery,
  answer: sessions,
  work: ({ daemon }, { query }) => new Chunks(listing(daemon, query)),
})

async function* listing(
  daemon: Daemon,
  query: ValuesOf<typeof sessionsQuery>,
): AsyncGenerator<string> {
  const leave = query.limit > FEW ? await places.take() : () => {}
  try {
    const { sort, limit } = query
    const order = query.order ?? (sort === 'client' || sort === 'destination' ? 'asc' : 'desc')
    const ranking = new Ranking<Placed>(limit, order)
    const matches = matcher(query)
    let active = 0
    for await (const placed of allSessions(daemon)) {
      active += 1
      if (matches(placed)) ranking.add(KEYS[sort](placed.session), placed)
    }
    yield '{"sessions":['
    yield* jsonItems(ranking.inOrder(), bodyOf)
    yield `],"matching":${ranking.added},"active":${active}}`
  } finally {
    leave()
  }
}

const KEYS: Readonly<
  Record<z.output<typeof sessionsQuery.sort>, (session: FaithLiveSession) => number | string>
> = {
  age: ({ ageMs }) => ageMs,
  idle: ({ idleMs }) => idleMs,
  bytes: ({ bytesUp, bytesDown }) => bytesUp + bytesDown,
  up: ({ bytesUp }) => bytesUp,
  down: ({ bytesDown }) => bytesDown,
  client: ({ client }) => addressKey(client.address),
  destination: ({ destination }) => addressKey(destination.address),
}

export const showSession = route({
  method: 'GET',
  path: '/v1/sessions/{id}',
  summary: 'Show a session, with both of its connections',
  answer: sessionDetail,
  problems: [404, 422],
  work: ({ daemon }, { at: { id = '' } }) => {
    const place = placeOf(daemon, id)
    const detail = place?.relay.relay.session(place.session)
    if (place === undefined || detail === undefined) throw noSession(id)
    const { running, relay } = place
    const { legs, slow, rule } = detail
    return {
      ...bodyOf({ running, relay, session: detail }),
      relay: { number: relay.number, ports: relay.configuration.ports },
      ...(rule === undefined ? {} : { rule }),
      ...(legs === undefined ? {} : { legs, slow }),
    }
  },
})

export const endSession = route({
  method: 'DELETE',
  path: '/v1/sessions/{id}',
  summary: 'End a session: its client and its server are reset',
  answer: aborted,
  problems: [404, 422],
  work: ({ daemon }, { at: { id = '' } }) => {
    const place = placeOf(daemon, id)
    if (place === undefined || !place.relay.relay.abort(place.session)) throw noSession(id)
    return { aborted: 1 }
  },
})

export const endSessions = route({
  method: 'DELETE',
  path: '/v1/sessions',
  summary: 'End all sessions that match a filter',
  query: sessionFilter,
  answer: aborted,
  work: async ({ daemon }, { query }) => {
    if (Object.values(query).every((value) => value === undefined)) {
      const names = Object.keys(query).join(', ')
      throw new ProblemError(400, `name the sessions to end by one parameter at least: ${names}`)
    }
    const matches = matcher(query)
    let count = 0
    for await (const placed of allSessions(daemon)) {
      if (matches(placed) && placed.relay.relay.abort(placed.session.id)) count += 1
    }
    return { aborted: count }
  },
})

/** Iterates over the sessions of all relays, the oldest of each relay first. */
async function* allSessions(daemon: Daemon): AsyncGenerator<Placed> {
  for (const running of daemon.interfaces) {
    for (const relay of running.allRelays) {
      for await (const session of relay.relay.sessions()) yield { running, relay, session }
    }
  }
}

/** Makes the test that a session passes if it matches all that is given. */
function matcher(filter: Filter): (placed: Placed) => boolean {
  const { client, destination, port, protocol, state, olderThan, youngerThan, idleFor, tag } =
    filter
  const tests: ((session: FaithLiveSession) => boolean)[] = []
  if (client !== undefined) {
    const isClient = within(client)
    tests.push((session) => isClient(session.client.address))
  }
  if (destination !== undefined) {
    const isThere = within(destination)
    tests.push(
      (session) =>
        isThere(session.destination.address) ||
        (session.server !== undefined && isThere(session.server.address)),
    )
  }
  if (port !== undefined) tests.push((session) => session.destination.port === port)
  if (protocol !== undefined) tests.push((session) => session.protocol === protocol)
  if (state !== undefined) tests.push((session) => session.state === state)
  if (olderThan !== undefined) tests.push(({ ageMs }) => ageMs >= olderThan * 1000)
  if (youngerThan !== undefined) tests.push(({ ageMs }) => ageMs <= youngerThan * 1000)
  if (idleFor !== undefined) tests.push(({ idleMs }) => idleMs >= idleFor * 1000)
  if (tag !== undefined) tests.push((session) => session.tag === tag)
  const { interface: name } = filter
  return ({ running, session }) =>
    (name === undefined || running.faith.name === name) && tests.every((test) => test(session))
}

/** Finds the relay of an id, and the id of the session within it. */
function placeOf(daemon: Daemon, id: string): (Place & { session: number }) | undefined {
  const [, number, session] = /^(\d{1,15})-(\d{1,15})$/.exec(id) ?? []
  if (session === undefined) {
    const shown = JSON.stringify(id)
    throw new ProblemError(422, `${shown} is not the id of a session, such as 1-42`)
  }
  for (const running of daemon.interfaces) {
    const relay = running.allRelays.find((one) => one.number === Number(number))
    if (relay !== undefined) return { running, relay, session: Number(session) }
  }
  return undefined
}

function noSession(id: string): ProblemError {
  return new ProblemError(404, `there is no session ${JSON.stringify(id)}; it may have ended`)
}

function bodyOf({ running, relay, session }: Placed): Session {
  const { id, protocol, client, destination, server, state, startedAt, ageMs, idleMs, tag, name } =
    session
  return {
    id: `${relay.number}-${id}`,
    interface: running.faith.name,
    protocol,
    client,
    destination,
    ...(server === undefined ? {} : { server }),
    state,
    bytesUp: session.bytesUp,
    bytesDown: session.bytesDown,
    startedAt: startedAt.toISOString(),
    ageMs,
    idleMs,
    ...(tag === undefined ? {} : { tag }),
    ...(name === undefined ? {} : { name }),
  }
}
