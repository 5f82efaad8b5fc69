/** Lists clients by network, with rates from two looks at the daemon. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, Clients } from '../control/schemas.js'
import { CLIENT_ORDERS } from './command-options.js'
import { type Column, table } from './table.js'
import { choiceOf, numberOf, type Run } from './task.js'
import { byRate, type Rated, withRates } from './rates.js'
import { amount, bytes, counted, duration, grouped } from './units.js'

/** Time between the two looks. */
const BETWEEN_MS = 1000
/** Clients that are looked at for their rates. */
const BUSIEST = 1000

export type ClientOrder = (typeof CLIENT_ORDERS)[number]

export const run: Run = async (task) => {
  const { daemon, given } = task
  const sort = choiceOf(task, '--sort', given.text('sort'), CLIENT_ORDERS) ?? 'rate'
  const limit = numberOf(task, 'limit', 1, 100_000) ?? 100
  const prefixLength = numberOf(task, 'prefix-length', 0, 128) ?? 64
  const reverse = given.has('reverse')
  const query = { prefixLength, ...clientQuery(sort, reverse, limit) }
  const look = async () => await daemon.get<Clients>('/v1/clients', query)
  const first = await look()
  if (given.has('json')) return { json: first.text, lines: () => [] }
  const since = performance.now()
  await sleep(BETWEEN_MS)
  const { text, body } = await look()
  const rated = withRates(
    body.clients,
    first.body.clients,
    (performance.now() - since) / 1000,
    ({ network }) => network,
  )
  const sorted = sort === 'rate' ? byRate(rated, reverse) : rated
  return { json: text, lines: (width) => clientLines(sorted.slice(0, limit), body, width) }
}

/**
 * Makes the query for clients in an order. The daemon knows no rates, so those by rate are the clients in which a byte
 * moved last.
 */
export function clientQuery(sort: ClientOrder, reverse: boolean, limit: number) {
  if (sort === 'rate')
    return { sort: 'idle', order: 'asc', limit: Math.max(limit, BUSIEST) } as const
  return { sort, order: reverse ? 'asc' : 'desc', limit } as const
}

/** Blocks of ports, where clients have some. */
const BLOCKS: Column<Rated<Client>> = {
  title: 'BLOCKS',
  align: 'right',
  value: ({ portBlocks }) => grouped(portBlocks),
}

function clientLines(shown: readonly Rated<Client>[], all: Clients, width: number): string[] {
  const cut = shown.length < all.matching ? `; ${grouped(shown.length)} shown, see --limit` : ''
  const total = `${counted(all.matching, 'client')}, ${counted(all.active, 'session')}${cut}`
  if (shown.length === 0) return [total]
  const lines = table(
    [
      { title: 'CLIENT', value: ({ network }) => network, elastic: true },
      { title: 'SESSIONS', align: 'right', value: ({ sessions }) => grouped(sessions) },
      { title: 'UP/S', align: 'right', value: ({ up }) => amount(up) },
      { title: 'DOWN/S', align: 'right', value: ({ down }) => amount(down) },
      { title: 'UP', align: 'right', value: ({ bytesUp }) => bytes(bytesUp) },
      { title: 'DOWN', align: 'right', value: ({ bytesDown }) => bytes(bytesDown) },
      { title: 'IDLE', align: 'right', value: ({ idleMs }) => duration(idleMs) },
      ...(shown.some(({ portBlocks }) => portBlocks > 0) ? [BLOCKS] : []),
      { title: 'OLDEST', align: 'right', value: ({ oldestMs }) => duration(oldestMs), spare: true },
    ],
    shown,
    width,
  )
  return [...lines, total]
}
