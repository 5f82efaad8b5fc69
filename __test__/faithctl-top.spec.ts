/** The view of `faithctl top`, as its state has it, and the bytes that bring it to a terminal. */
import test from 'ava'
import * as fc from 'fast-check'
import { changes, Grid, type Style } from '../cli/ctl/top/grid.js'
import { keysOf } from '../cli/ctl/top/keys.js'
import { begin, learn, press, type State } from '../cli/ctl/top/state.js'
import { draw } from '../cli/ctl/top/view.js'
import { client, detail, session, status } from './fixtures/fake-daemon.js'

/** A terminal that understands what `changes` writes, and nothing else. */
class FakeTerminal {
  readonly cells = new Map<string, string>()
  writes = 0

  feed(text: string): void {
    let [row, column, style] = [1, 1, '0']
    // eslint-disable-next-line no-control-regex
    const tokens = /\u001b\[(\?2026[hl]|[\d;]*[HmJ])|([^\u001b])/gu
    let read = 0
    for (const [whole, control, character] of text.matchAll(tokens)) {
      read += whole.length
      if (character !== undefined) {
        this.cells.set(`${row}:${column}`, `${style} ${character}`)
        this.writes += 1
        column += 1
      } else if (control === '2J') this.cells.clear()
      else if (control?.endsWith('H'))
        [row = 1, column = 1] = control.slice(0, -1).split(';').map(Number)
      else if (control?.endsWith('m')) style = control.slice(0, -1)
    }
    if (read !== text.length) throw new Error('the text has other sequences')
    if (style !== '0') throw new Error('the style is not reset')
  }

  /** Tells if it shows a screen as another terminal does that was drawn from nothing. */
  shows(grid: Grid, colours: boolean): boolean {
    const fresh = new FakeTerminal()
    fresh.feed(changes(undefined, grid, colours))
    const blank = '0  '
    const places = new Set([...this.cells.keys(), ...fresh.cells.keys()])
    return [...places].every(
      (place) => (this.cells.get(place) ?? blank) === (fresh.cells.get(place) ?? blank),
    )
  }
}

const styles: Style[] = ['plain', 'bold', 'dim', 'head', 'selected', 'warning']
const writes = fc.array(
  fc.tuple(
    fc.integer({ min: -2, max: 12 }),
    fc.integer({ min: -1, max: 5 }),
    fc.stringMatching(/^[a-c ]{0,8}$/),
    fc.constantFrom(...styles),
  ),
  { maxLength: 8 },
)
const grids = writes.map((all) => {
  const grid = new Grid(10, 4)
  for (const [column, row, text, style] of all) grid.write(column, row, text, style)
  return grid
})

test('a terminal that gets the changes shows the new screen', (t) => {
  fc.assert(
    fc.property(
      fc.array(grids, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (screens, colours) => {
        const terminal = new FakeTerminal()
        let before: Grid | undefined
        for (const next of screens) {
          terminal.feed(changes(before, next, colours))
          before = next
          if (!terminal.shows(next, colours)) return false
        }
        return true
      },
    ),
  )
  t.pass()
})

test('only the cells that differ are written, in one synchronised step', (t) => {
  const before = new Grid(80, 24)
  before.line(3, 'the same')
  const next = new Grid(80, 24)
  next.line(3, 'the same')
  t.is(changes(before, next, true), '')
  next.write(10, 5, 'new')
  t.is(changes(before, next, true), '\u001b[?2026h\u001b[6;11Hnew\u001b[?2026l')
})

test('a screen of another size is drawn from nothing', (t) => {
  t.true(changes(new Grid(80, 24), new Grid(100, 24), true).includes('\u001b[2J'))
})

test('without colours no colour is written', (t) => {
  const grid = new Grid(20, 6)
  for (const [row, style] of styles.entries()) grid.line(row, 'x', style)
  // eslint-disable-next-line no-control-regex
  t.notRegex(changes(undefined, grid, false), /\u001b\[[\d;]*\b[34]\d/)
  // eslint-disable-next-line no-control-regex
  t.regex(changes(undefined, grid, true), /\u001b\[[\d;]*\b[34]\d/)
})

test('keys are characters and the sequences of terminals', (t) => {
  t.deepEqual(keysOf('q\u001b[A\u001bOB\u001b[5~\r\t\u0003\u001b'), [
    'q',
    'up',
    'down',
    'page-up',
    'enter',
    'tab',
    'interrupt',
    'escape',
  ])
  t.deepEqual(keysOf('\u001b[200~x\u001b[201~'), ['x'], 'unknown sequences are left out')
})

const sessions = [1, 2, 3].map((number) =>
  Object.assign({}, session, { id: `1-${number}`, up: number * 1000, down: 0 }),
)
const known = { status, sessions, matching: 3, clients: [client] }

/** A state after keys; the work that they ask for is not done. */
function after(
  keys: readonly string[],
  state: State = learn(begin('sessions', 80, 24), known),
): State {
  return keys.reduce((one, key) => press(one, key).state, state)
}

function screen(state: State): string {
  const grid = draw(state)
  return Array.from({ length: grid.rows }, (_, row) => grid.text(row)).join('\n')
}

test('it fits 80 columns and 24 rows, with the address of the server whole', (t) => {
  const grid = draw(after([]))
  t.deepEqual([grid.columns, grid.rows], [80, 24])
  t.regex(screen(after([])), /^faithd 0\.2\.0, up 3d04h +2 sessions, 3 attempts$/m)
  t.regex(screen(after([])), /^1-1 +2001:db8:1::7 +198\.51\.100\.7:443 +1\.00 kB +0 B +0\.4s/m)
  t.is(grid.at(0, 3).style, 'selected')
})

test('the column of the order is shown in 80 columns', (t) => {
  const long = sessions.map((one) => ({
    ...one,
    client: { address: '2001:db8:1111:2222:3333:4444:5555:6666', port: 1 },
  }))
  const narrow = learn(begin('sessions', 80, 24), { ...known, sessions: long })
  t.notRegex(screen(narrow), /BYTES/)
  t.regex(screen(after(['b'], narrow)), /BYTES/)
  t.regex(screen(after(['a'], narrow)), /AGE/)
})

test('a key chooses an order, and the same key again reverses it', (t) => {
  const { state, effect } = press(after([]), 'b')
  t.like(state, { sessionOrder: 'bytes', reverse: false })
  t.deepEqual(effect, { do: 'look' })
  t.like(after(['b', 'b']), { sessionOrder: 'bytes', reverse: true })
  t.like(after(['b', 'b', 'r']), { sessionOrder: 'rate', reverse: false })
  t.like(after(['tab', 'n']), { view: 'clients', clientOrder: 'sessions' })
})

test('between a change of order and the next look, the first line is the selected one', (t) => {
  t.like(after(['down', 'b', 'enter']), { view: 'session', id: '1-1' })
  t.deepEqual(press(after(['down', 'b', 'x']), 'y').effect, { do: 'end', id: '1-1' })
})

test('the selection stays on its session when the order changes', (t) => {
  const state = after(['down'])
  t.like(state, { selected: '1-2', at: 1 })
  const turned = learn(state, { ...known, sessions: sessions.toReversed().slice(1) })
  t.like(turned, { selected: '1-2', at: 0 })
  const gone = learn(state, { ...known, sessions: sessions.filter(({ id }) => id !== '1-2') })
  t.like(gone, { selected: '1-3', at: 1 })
  t.like(learn(state, { ...known, sessions: [] }), { selected: undefined, at: 0 })
})

test('Enter opens a client and a session, and Esc goes back', (t) => {
  const clients = after(['tab'])
  t.is(clients.view, 'clients')
  const known1 = learn(clients, known)
  const drilled = after(['enter'], known1)
  t.like(drilled, { view: 'sessions', client: client.network })
  const opened = after(['enter'], learn(drilled, known))
  t.like(opened, { view: 'session', id: '1-1' })
  t.regex(screen(learn(opened, { ...known, detail })), /^The client is slow: /m)
  t.like(after(['escape'], opened), { view: 'sessions', client: client.network, id: undefined })
  t.like(after(['escape', 'escape'], opened), { view: 'clients', client: undefined })
})

test('a session ends only after a question that names it, answered with y', (t) => {
  const asking = after(['down', 'x'])
  t.regex(screen(asking), /^ End session 1-2 of 2001:db8:1::7\? y\/n$/m)
  t.deepEqual(press(asking, 'y').effect, { do: 'end', id: '1-2' })
  for (const key of ['n', 'enter', 'escape', 'x', 'q']) {
    t.is(press(asking, key).effect, undefined, key)
    t.is(press(asking, key).state.question, undefined, key)
  }
  // The lines may move while it asks.
  t.deepEqual(press(learn(asking, { ...known, sessions: [] }), 'y').effect, {
    do: 'end',
    id: '1-2',
  })
})

test('all sessions of a client end after a question', (t) => {
  const asking = after(['x'], learn(after(['tab']), known))
  t.regex(screen(asking), /^ End all 2 sessions of 2001:db8:1::\/64\? y\/n$/m)
  t.deepEqual(press(asking, 'y').effect, { do: 'end', client: client.network })
})

test('? explains the keys within 80 columns, and any key goes back', (t) => {
  const text = screen(after(['?']))
  for (const line of text.split('\n')) t.true(line.length < 80, line)
  t.regex(text, /^  q +quit$/m)
  t.is(after(['?', 'q']).help, false)
  t.deepEqual(press(after([]), 'q').effect, { do: 'quit' })
})

test('the first problem of the daemon stands above the list', (t) => {
  const troubled = { ...status, problems: ['IPv6 forwarding is off', 'keepfaith is 0'] }
  const text = screen(learn(after([]), { ...known, status: troubled }))
  t.regex(text, /^IPv6 forwarding is off \(and 1 more: faithctl status\)$/m)
})

test('a terminal of any size is drawn', (t) => {
  for (const columns of [1, 10, 20, 79, 300]) {
    for (const rows of [1, 2, 3, 5, 60]) {
      for (const keys of [[], ['tab'], ['?'], ['enter'], ['x']]) {
        const state = after(keys, { ...after([]), columns, rows })
        t.notThrows(
          () => draw({ ...state, known: { ...state.known, detail } }),
          `${columns}×${rows}`,
        )
      }
    }
  }
})
