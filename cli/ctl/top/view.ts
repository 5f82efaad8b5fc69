/** Draws what `top` shows: a function of its state alone. */
import type { Client, Session } from '../../control/schemas.js'
import { endpointText } from '../endpoint.js'
import type { Rated } from '../rates.js'
import { sessionLines } from '../session.js'
import { type Column, cutEnd, printable, table } from '../table.js'
import { amount, bytes, counted, duration, grouped, rate } from '../units.js'
import { Grid } from './grid.js'
import type { State } from './state.js'

/** The columns of sessions. The one that orders them is always there; others go where the terminal is narrow. */
function sessionColumns({ sessionOrder }: State): Column<Rated<Session>>[] {
  return [
    { title: 'ID', least: 6, value: ({ id }) => id },
    { title: 'CLIENT', value: ({ client }) => client.address, elastic: true },
    {
      title: 'SERVER',
      value: ({ server, destination }) => endpointText(server ?? destination),
      elastic: true,
    },
    { title: 'UP/S', align: 'right', least: 7, value: ({ up }) => amount(up) },
    { title: 'DOWN/S', align: 'right', least: 7, value: ({ down }) => amount(down) },
    { title: 'IDLE', align: 'right', least: 5, value: ({ idleMs }) => duration(idleMs) },
    {
      title: 'BYTES',
      align: 'right',
      least: 7,
      value: ({ bytesUp, bytesDown }) => bytes(bytesUp + bytesDown),
      ...spareUnless(sessionOrder === 'bytes'),
    },
    {
      title: 'AGE',
      align: 'right',
      least: 6,
      value: ({ ageMs }) => duration(ageMs),
      ...spareUnless(sessionOrder === 'age'),
    },
    { title: 'STATE', value: ({ state }) => state, spare: true },
    { title: 'NAME', value: ({ name }) => name ?? '', spare: true },
    { title: 'TAG', value: ({ tag }) => tag ?? '', spare: true },
  ]
}

function spareUnless(needed: boolean): { spare?: true } {
  return needed ? {} : { spare: true }
}

const CLIENT_COLUMNS: readonly Column<Rated<Client>>[] = [
  { title: 'CLIENT', value: ({ network }) => network, elastic: true },
  { title: 'SESSIONS', align: 'right', value: ({ sessions }) => grouped(sessions) },
  { title: 'UP/S', align: 'right', least: 7, value: ({ up }) => amount(up) },
  { title: 'DOWN/S', align: 'right', least: 7, value: ({ down }) => amount(down) },
  {
    title: 'BYTES',
    align: 'right',
    least: 7,
    value: ({ bytesUp, bytesDown }) => bytes(bytesUp + bytesDown),
  },
  { title: 'OLDEST', align: 'right', least: 6, value: ({ oldestMs }) => duration(oldestMs) },
  { title: 'IDLE', align: 'right', least: 5, value: ({ idleMs }) => duration(idleMs) },
]

/** Draws the screen. */
export function draw(state: State): Grid {
  const grid = new Grid(state.columns, state.rows)
  if (state.help) drawHelp(grid)
  else {
    const top = drawSummary(grid, state)
    if (state.view === 'session') drawSession(grid, state, top)
    else if (state.view === 'clients')
      drawTable(grid, state, top, CLIENT_COLUMNS, state.known.clients)
    else drawTable(grid, state, top, sessionColumns(state), state.known.sessions)
  }
  drawFoot(grid, state)
  return grid
}

/** Draws the state of the daemon. Gives the first row below. */
function drawSummary(grid: Grid, { known: { status, totals } }: State): number {
  if (status === undefined) return 1
  const relays = status.interfaces.flatMap((faith) => faith.relays)
  const active = relays.reduce((sum, { sessions }) => sum + sessions.active, 0)
  const attempts = relays.reduce((sum, relay) => sum + relay.attempts, 0)
  const on = status.keepfaith ? '' : ', keepfaith 0'
  const draining = status.draining ? ', draining' : ''
  const head = `faithd ${status.version}, up ${duration(status.uptimeMs)}${on}${draining}`
  grid.line(0, head, 'bold')
  const count = `${counted(active, 'session')}, ${counted(attempts, 'attempt')}`
  grid.write(Math.max(head.length + 2, grid.columns - count.length), 0, count, 'bold')
  if (totals !== undefined) {
    const { up, down, begun, refused } = totals
    grid.line(
      1,
      `${rate(up)} up, ${rate(down)} down; ${begun.toFixed(1)} sessions/s begun, ${refused.toFixed(1)}/s refused`,
    )
  }
  const [problem, ...more] = status.problems
  if (problem === undefined) return 2
  const others = more.length === 0 ? '' : ` (and ${more.length} more: faithctl status)`
  grid.line(2, cutEnd(printable(problem), grid.columns - others.length) + others, 'warning')
  return 3
}

function drawTable<Row extends { id: string } | { network: string }>(
  grid: Grid,
  state: State,
  top: number,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  const [titles = '', ...lines] = table(columns, rows, grid.columns)
  grid.line(top, titles, 'head')
  const room = grid.rows - top - 2
  // Keeps the selected line in sight, near the middle where the list is long.
  const most = Math.max(0, lines.length - room)
  const first = Math.max(0, Math.min(state.at - Math.floor(room / 2), most))
  for (const [index, line] of lines.slice(first, first + room).entries()) {
    const isSelected = first + index === state.at
    grid.line(top + 1 + index, line, isSelected ? 'selected' : 'plain')
  }
  if (lines.length === 0) grid.write(0, top + 1, 'none', 'dim')
}

function drawSession(grid: Grid, { known, at, id }: State, top: number): void {
  const { detail } = known
  if (detail === undefined) {
    grid.write(0, top + 1, `session ${id} …`, 'dim')
    return
  }
  const lines = sessionLines(detail, grid.columns)
  const room = grid.rows - top - 2
  const first = Math.max(0, Math.min(at, lines.length - room))
  for (const [index, line] of lines.slice(first, first + room).entries()) {
    grid.line(top + 1 + index, line, first + index === 0 ? 'bold' : 'plain')
  }
}

/** Draws the question, the message or the keys. */
function drawFoot(grid: Grid, state: State): void {
  const row = grid.rows - 1
  const { question, message } = state
  if (question !== undefined) grid.line(row, ` ${printable(question.text)}`, 'warning')
  else if (message !== undefined) grid.line(row, ` ${printable(message)}`, 'warning')
  else grid.line(row, ` ${cutEnd(footText(state), grid.columns - 1)}`, 'head')
}

function footText(state: State): string {
  if (state.help) return 'any key: back'
  if (state.view === 'session')
    return 'Esc back  Up/Down scroll  x end this session  ? help  q quit'
  const sort = state.view === 'clients' ? state.clientOrder : state.sessionOrder
  const order = `by ${sort}${state.reverse ? ', reversed' : ''}`
  if (state.view === 'clients') {
    return `clients ${order}  Enter sessions  x end all  Tab sessions  ? help  q quit`
  }
  const { known, client } = state
  const of = client === undefined ? '' : ` of ${client}`
  const some = known.sessions.length < known.matching ? ` (${known.sessions.length} looked at)` : ''
  const leave = client === undefined ? 'Tab clients  ? help  q quit' : 'Esc back  ? help'
  return `${counted(known.matching, 'session')}${some}${of} ${order}  Enter open  x end  ${leave}`
}

const HELP = [
  ['Up Down PgUp PgDn', 'select a line; also j and k, Home and End'],
  ['Enter', 'show the sessions of a client, the details of a session'],
  ['Esc', 'go back'],
  ['Tab, c', 'change between sessions and clients'],
  ['r', 'sort by rate'],
  ['b', 'sort by bytes so far'],
  ['a', 'sort by age'],
  ['i', 'sort by time without a byte'],
  ['n', 'sort clients by the number of their sessions'],
  ['', 'the same key again reverses the order'],
  ['x', 'end the session, or all of the client, after a question'],
  ['Ctrl-L', 'draw the screen again'],
  ['q', 'quit'],
] as const

function drawHelp(grid: Grid): void {
  grid.line(0, 'Keys of faithctl top', 'bold')
  for (const [index, [keys, effect]] of HELP.entries()) {
    grid.write(2, index + 2, keys, 'bold')
    grid.write(22, index + 2, effect)
  }
  grid.write(
    2,
    HELP.length + 3,
    'UP is from clients to servers. Rates are those of the last interval.',
  )
  grid.write(
    2,
    HELP.length + 4,
    'By rate, the sessions in which a byte moved last are looked at.',
    'dim',
  )
}
