/** Shows one session: both connections side by side, and the side that is slow. */
import type { Leg, SessionDetail } from '../control/schemas.js'
import { endpointText } from './endpoint.js'
import { ruleText } from './rule.js'
import { slowness } from './slowness.js'
import { facts, table, wrap } from './table.js'
import { type Run, show } from './task.js'
import { bytes, duration, grouped, networkTime, rate } from './units.js'

export const run: Run = async ({ daemon, words: [id = ''] }) =>
  show(await daemon.get<SessionDetail>(`/v1/sessions/${encodeURIComponent(id)}`), sessionLines)

/** Makes the lines about a session. */
export function sessionLines(session: SessionDetail, width: number): string[] {
  const { client, destination, server, relay, tag, name, legs, slow, protocol, idleMs } = session
  return [
    `session ${session.id}: ${session.state}, age ${duration(session.ageMs)}, idle ${duration(session.idleMs)}`,
    ...(legs && slow ? [...wrap(slowness({ legs, slow, idleMs }), width), ''] : ['']),
    ...facts(
      [
        ['protocol', protocol],
        ['client', endpointText(client)],
        ['destination', endpointText(destination)],
        ['server', server && endpointText(server)],
        ['name', name],
        ['relay', `${relay.number} of ${session.interface}, ports ${relay.ports}`],
        ['rule', ruleOf(session)],
        ['tag', tag],
        ['bytes', `${bytes(session.bytesUp)} up, ${bytes(session.bytesDown)} down`],
      ],
      width,
    ),
    ...(legs === undefined ? [] : ['', ...measures(legs, width)]),
  ]
}

/** Names the rule that permits a session. */
function ruleOf({ rule }: SessionDetail): string {
  return rule === undefined ? 'none: permitted by default' : ruleText(rule)
}

/** Makes the table of both connections. */
function measures(legs: NonNullable<SessionDetail['legs']>, width: number): string[] {
  return table(
    [
      { title: '', value: ({ name }) => name },
      { title: 'CLIENT', align: 'right', value: ({ value }) => value(legs.client) },
      { title: 'SERVER', align: 'right', value: ({ value }) => value(legs.server) },
    ],
    MEASURES,
    width,
  )
}

interface Measure {
  name: string
  value(leg: Leg): string
}

const MEASURES: readonly Measure[] = [
  { name: 'state', value: ({ state }) => state },
  { name: 'round trip', value: ({ rttMs }) => networkTime(rttMs) },
  { name: 'its variance', value: ({ rttVarianceMs }) => networkTime(rttVarianceMs) },
  { name: 'its minimum', value: ({ minimumRttMs }) => networkTime(minimumRttMs) },
  { name: 'delivery rate', value: ({ deliveryRate }) => rate(deliveryRate) },
  { name: 'pacing rate', value: ({ pacingRate }) => rate(pacingRate) },
  {
    name: 'congestion window',
    value: ({ congestionWindow, mss }) => `${grouped(congestionWindow)} × ${mss} B`,
  },
  { name: 'segments sent again', value: ({ retransmitted }) => grouped(retransmitted) },
  { name: 'segments lost now', value: ({ lost }) => grouped(lost) },
  { name: 'not acknowledged', value: ({ unacknowledged }) => bytes(unacknowledged) },
  { name: 'waits to be sent', value: ({ unsent }) => bytes(unsent) },
  { name: 'waits to be read', value: ({ unread }) => bytes(unread) },
  { name: 'busy', value: ({ busyMs }) => duration(busyMs) },
  {
    name: 'held up by its window',
    value: ({ limitedByPeerMs, busyMs }) => part(limitedByPeerMs, busyMs),
  },
  {
    name: 'held up by the send buffer',
    value: ({ limitedByBufferMs, busyMs }) => part(limitedByBufferMs, busyMs),
  },
  { name: 'congestion control', value: ({ congestionControl }) => congestionControl },
]

function part(milliseconds: number, whole: number): string {
  if (whole === 0) return '-'
  return `${duration(milliseconds)} (${Math.round((milliseconds / whole) * 100)} %)`
}
