/** The state of `top`, and the effect of each key on it. */
import type { Client, Session, SessionDetail, Status } from '../../control/schemas.js'
import type { Rated } from '../rates.js'

export type SessionOrder = 'rate' | 'bytes' | 'age' | 'idle'
export type ClientOrder = 'rate' | 'sessions' | 'bytes' | 'age' | 'idle'

/** Sums over all relays, a second. */
export interface Totals {
  up: number
  down: number
  begun: number
  refused: number
}

/** The last answers of the daemon. */
export interface Known {
  status?: Status
  totals?: Totals
  sessions: readonly Rated<Session>[]
  /** Sessions that match, also those that were not asked for. */
  matching: number
  clients: readonly Rated<Client>[]
  detail?: SessionDetail
}

export type Effect =
  { do: 'quit' } | { do: 'look' } | { do: 'redraw' } | { do: 'end'; id?: string; client?: string }

export interface State {
  columns: number
  rows: number
  view: 'sessions' | 'clients' | 'session'
  sessionOrder: SessionOrder
  clientOrder: ClientOrder
  reverse: boolean
  /** The network whose sessions alone are shown. */
  client?: string | undefined
  /** The session of the view `session`. */
  id?: string | undefined
  /** The id or the network of the selected line. */
  selected?: string | undefined
  /** The place of the selected line, or of the first line of a session. */
  at: number
  help: boolean
  question?: { text: string; effect: Effect } | undefined
  message?: string | undefined
  known: Known
}

export function begin(view: 'sessions' | 'clients', columns: number, rows: number): State {
  return {
    columns,
    rows,
    view,
    sessionOrder: 'rate',
    clientOrder: 'rate',
    reverse: false,
    at: 0,
    help: false,
    known: { sessions: [], matching: 0, clients: [] },
  }
}

/** Gives the keys of the lines that are shown. */
function keysShown({ view, known }: State): readonly string[] {
  if (view === 'clients') return known.clients.map(({ network }) => network)
  return view === 'sessions' ? known.sessions.map(({ id }) => id) : []
}

/** Takes in what the daemon says. The selection stays on its line, or in its place where the line has gone. */
export function learn(state: State, known: Known): State {
  if (state.view === 'session') return { ...state, known }
  const next = { ...state, known }
  const keys = keysShown(next)
  const found = state.selected === undefined ? -1 : keys.indexOf(state.selected)
  return select(next, found === -1 ? state.at : found)
}

function select(state: State, at: number): State {
  const keys = keysShown(state)
  const place = Math.max(0, Math.min(at, keys.length - 1))
  return { ...state, at: place, selected: keys[place] }
}

/** The keys that choose an order. */
const SESSION_KEYS: Readonly<Record<string, SessionOrder>> = {
  r: 'rate',
  b: 'bytes',
  a: 'age',
  i: 'idle',
}
const CLIENT_KEYS: Readonly<Record<string, ClientOrder>> = { ...SESSION_KEYS, n: 'sessions' }

/** Answers a key: with the next state, and the work to do. */
export function press(state: State, key: string): { state: State; effect?: Effect } {
  const { question } = state
  const quiet = { ...state, message: undefined, question: undefined }
  if (question !== undefined) {
    return key === 'y' || key === 'Y'
      ? { state: quiet, effect: question.effect }
      : { state: { ...quiet, message: 'nothing was ended' } }
  }
  if (state.help) return { state: { ...quiet, help: false } }
  switch (key) {
    case 'q':
      return { state, effect: { do: 'quit' } }
    case '?':
    case 'h':
      return { state: { ...quiet, help: true } }
    case 'redraw':
      return { state, effect: { do: 'redraw' } }
    case 'escape':
    case 'backspace':
      return back(quiet)
    case 'tab':
    case 'c':
      return turnTo(quiet, quiet.view === 'clients' ? 'sessions' : 'clients')
    case 'enter':
      return open(quiet)
    case 'x':
    case 'delete':
      return { state: ask(quiet) }
    default:
      return order(quiet, key) ?? { state: move(quiet, key) }
  }
}

function move(state: State, key: string): State {
  const page = Math.max(1, state.rows - 6)
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    'page-up': -page,
    'page-down': page,
    home: -Infinity,
    end: Infinity,
  }
  const step = steps[key]
  if (step === undefined) return state
  // The view knows how many lines a session has, and stops at the last one.
  if (state.view === 'session') return { ...state, at: Math.max(0, Math.min(state.at + step, 99)) }
  return select(state, state.at + step)
}

function order(state: State, key: string): { state: State; effect: Effect } | undefined {
  const effect: Effect = { do: 'look' }
  if (state.view === 'sessions') {
    const sessionOrder = SESSION_KEYS[key]
    if (sessionOrder === undefined) return undefined
    const reverse = sessionOrder === state.sessionOrder && !state.reverse
    return { state: { ...state, sessionOrder, reverse, at: 0, selected: undefined }, effect }
  }
  const clientOrder = state.view === 'clients' ? CLIENT_KEYS[key] : undefined
  if (clientOrder === undefined) return undefined
  const reverse = clientOrder === state.clientOrder && !state.reverse
  return { state: { ...state, clientOrder, reverse, at: 0, selected: undefined }, effect }
}

/** Gives the key of the line that is shown as selected. Between a change of order and the next look it is the first. */
function selectedKey(state: State): string | undefined {
  return state.selected ?? keysShown(state)[state.at]
}

/** Opens the selected line: a client shows its sessions, a session its connections. */
function open(state: State): { state: State; effect?: Effect } {
  const { view, known } = state
  const selected = selectedKey(state)
  if (selected === undefined || view === 'session') return { state }
  if (view === 'clients') {
    const opened = { ...state, client: selected, known: { ...known, sessions: [], matching: 0 } }
    return turnTo(opened, 'sessions')
  }
  const { detail: _, ...others } = known
  return {
    state: { ...state, view: 'session', id: selected, at: 0, known: others },
    effect: { do: 'look' },
  }
}

/** Goes back to where the view was opened from. */
function back(state: State): { state: State; effect?: Effect } {
  if (state.view === 'session') {
    const at = state.known.sessions.findIndex(({ id }) => id === state.id)
    return {
      state: select({ ...state, view: 'sessions', id: undefined }, Math.max(0, at)),
      effect: { do: 'look' },
    }
  }
  if (state.client === undefined) return { state }
  return turnTo({ ...state, client: undefined }, 'clients')
}

function turnTo(state: State, view: 'sessions' | 'clients'): { state: State; effect: Effect } {
  const client = view === 'clients' ? undefined : state.client
  return {
    state: { ...state, view, client, id: undefined, reverse: false, at: 0, selected: undefined },
    effect: { do: 'look' },
  }
}

/** Asks before anything is ended. The question names it, because the lines below may move. */
function ask(state: State): State {
  const { view, known } = state
  const selected = selectedKey(state)
  const id = view === 'session' ? state.id : view === 'sessions' ? selected : undefined
  if (id !== undefined) {
    const session = known.sessions.find((one) => one.id === id) ?? known.detail
    const whose = session === undefined ? '' : ` of ${session.client.address}`
    return {
      ...state,
      question: { text: `End session ${id}${whose}? y/n`, effect: { do: 'end', id } },
    }
  }
  const client = known.clients.find(({ network }) => network === selected)
  if (view !== 'clients' || client === undefined) return state
  const { network, sessions } = client
  const what = sessions === 1 ? 'the session' : `all ${sessions} sessions`
  return {
    ...state,
    question: { text: `End ${what} of ${network}? y/n`, effect: { do: 'end', client: network } },
  }
}
