/** Chooses and lists active sessions. */
import type { Session, Sessions } from '../control/schemas.js'
import { FILTERS, PROTOCOLS, SESSION_ORDERS, STATES } from './command-options.js'
import type { Query } from './daemon.js'
import { endpointText } from './endpoint.js'
import { follow } from './events.js'
import { type Column, table } from './table.js'
import { choiceOf, numberOf, type Run, secondsOf, show, type Task } from './task.js'
import { bytes, counted, duration, grouped } from './units.js'

/** Each order with its usual direction. */
const DIRECTIONS: Readonly<Record<(typeof SESSION_ORDERS)[number], 'asc' | 'desc'>> = {
  age: 'desc',
  idle: 'desc',
  bytes: 'desc',
  up: 'desc',
  down: 'desc',
  client: 'asc',
  destination: 'asc',
}

export const run: Run = async (task) => {
  if (task.given.has('follow')) return await follow(task)
  const sort = choiceOf(task, '--sort', task.given.text('sort'), SESSION_ORDERS) ?? 'age'
  const usual = DIRECTIONS[sort]
  const order = task.given.has('reverse') ? (usual === 'asc' ? 'desc' : 'asc') : usual
  const limit = numberOf(task, 'limit', 1, 100_000) ?? 100
  const answer = await task.daemon.get<Sessions>('/v1/sessions', {
    ...filterOf(task),
    sort,
    order,
    limit,
  })
  return show(answer, (body, width) => sessionLines(body, width))
}

/** Reads the options that choose sessions. */
export function filterOf(task: Task): Query {
  const { given } = task
  return {
    interface: given.text('interface'),
    client: given.text('client'),
    destination: given.text('destination'),
    port: numberOf(task, 'port', 1, 65_535),
    protocol: choiceOf(task, '--protocol', given.text('protocol'), PROTOCOLS),
    state: choiceOf(task, '--state', given.text('state'), STATES),
    olderThan: secondsOf(task, 'older'),
    youngerThan: secondsOf(task, 'younger'),
    idleFor: secondsOf(task, 'idle'),
    tag: given.text('tag'),
  }
}

/** Tells if options choose sessions. */
export function hasFilter({ given }: Task): boolean {
  return given.names().some((name) => FILTERS.has(name))
}

function sessionLines({ sessions, matching, active }: Sessions, width: number): string[] {
  const chosen = matching === active ? '' : `${grouped(matching)} of them chosen, `
  const cut = sessions.length < matching ? `; ${grouped(sessions.length)} shown, see --limit` : ''
  const total = `${counted(active, 'session')}, ${chosen}`.replace(/, $/, '') + cut
  return sessions.length === 0 ? [total] : [...table(columnsFor(sessions), sessions, width), total]
}

/** The columns of a list of sessions. Those that would be empty or the same in every line are left out. */
function columnsFor(sessions: readonly Session[]): Column<Session>[] {
  const interfaces = new Set(sessions.map((session) => session.interface))
  const protocols = new Set(sessions.map(({ protocol }) => protocol))
  return [
    { title: 'ID', value: ({ id }) => id },
    ...(protocols.size > 1
      ? [{ title: 'PROTOCOL', value: ({ protocol }: Session) => protocol } as const]
      : []),
    { title: 'CLIENT', value: ({ client }) => endpointText(client), elastic: true },
    {
      title: 'SERVER',
      value: ({ server, destination }) => endpointText(server ?? destination),
      elastic: true,
    },
    { title: 'STATE', value: ({ state }) => state },
    { title: 'AGE', align: 'right', value: ({ ageMs }) => duration(ageMs) },
    { title: 'IDLE', align: 'right', value: ({ idleMs }) => duration(idleMs) },
    { title: 'UP', align: 'right', value: ({ bytesUp }) => bytes(bytesUp) },
    { title: 'DOWN', align: 'right', value: ({ bytesDown }) => bytes(bytesDown) },
    ...(sessions.some(({ name }) => name !== undefined)
      ? [{ title: 'NAME', value: ({ name }: Session) => name ?? '', elastic: true } as const]
      : []),
    ...(sessions.some(({ tag }) => tag !== undefined)
      ? [{ title: 'TAG', value: ({ tag }: Session) => tag ?? '', elastic: true } as const]
      : []),
    ...(interfaces.size > 1
      ? [
          {
            title: 'INTERFACE',
            value: (session: Session) => session.interface,
            spare: true,
          } as const,
        ]
      : []),
    {
      title: 'DESTINATION',
      value: ({ destination }) => endpointText(destination),
      spare: true,
    },
  ]
}
