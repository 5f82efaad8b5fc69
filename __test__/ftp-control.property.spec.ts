/** FTP's control connection gives the same however its bytes are cut, and no bytes make it throw. */
import * as fc from 'fast-check'
import test from 'ava'
import { Control } from '../cli/gateways/ftp/control.js'
import { LONGEST_LINE } from '../cli/gateways/ftp/lines.js'
import { cases } from './fixtures/cases.js'

const ends = { client: '2001:db8:1::2', destination: '64:ff9b::198.51.100.2' }

type Side = 'client' | 'server'
type Piece = readonly [side: Side, text: string]

const line = (...lines: string[]) => fc.constantFrom(...lines)
const garbage = fc.string({ unit: 'binary', maxLength: 40 })
const commands = fc.oneof(
  line('EPSV', 'EPSV 1', 'EPSV ALL', 'LPSV', 'PASV', 'ALGS STATUS64', 'ALGS DISABLE64', 'AUTH TLS'),
  line('EPRT |2|2001:db8:1::2|6000|', 'EPRT |2|2001:db8::9|1|', 'LPRT 6,16', 'RETR a\xff\xff', ''),
  line('\xff\xf4\xff\xf2ABOR', '\xff\xfd\x01NOOP', 'X'.repeat(LONGEST_LINE + 2)),
  garbage,
)
const replies = fc.oneof(
  line('227 (1,2,3,4,19,137)', '227-x', '227 (1,2,3,4,999,1)', '200 ok', '150 opening', '226 done'),
  line('234 go', '530 no', '421 bye', '211-begin', '211 end', '\xff\xfb\x01200 ok', '', '22'),
  garbage,
)
const pieces: fc.Arbitrary<Piece[]> = fc.array(
  fc.oneof(
    commands.map((text): Piece => ['client', `${text}\r\n`]),
    replies.map((text): Piece => ['server', `${text}\r\n`]),
  ),
  { maxLength: 12 },
)

/** The bytes for each side and the other steps, as a whole. Each listener is there at once. */
function outcome(dialogue: readonly Piece[]): string {
  const control = new Control(ends)
  const sent = { client: '', server: '' }
  const others: string[] = []
  for (const [side, text] of dialogue) {
    const bytes = Buffer.from(text, 'latin1')
    const steps = side === 'client' ? control.fromClient(bytes) : control.fromServer(bytes)
    for (const step of steps) {
      if ('to' in step) sent[step.to] += step.bytes.toString('latin1')
      else others.push(JSON.stringify(step))
      if ('listen' in step) steps.push(...control.listening('192.0.2.7', 5001))
    }
  }
  for (const step of [...control.clientEnded(), ...control.serverEnded()]) {
    if ('to' in step) sent[step.to] += step.bytes.toString('latin1')
  }
  return JSON.stringify({ ...sent, others })
}

test('any cut of the bytes gives the same', (t) => {
  const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(pieces, cuts, (dialogue, lengths) => {
      let turn = 0
      const cut = dialogue.flatMap(([side, text]) => {
        const parts: Piece[] = []
        for (let at = 0; at < text.length;) {
          const length =
            text.length > LONGEST_LINE ? LONGEST_LINE - 1 : (lengths[turn % lengths.length] ?? 1)
          turn += 1
          parts.push([side, text.slice(at, at + length)])
          at += length
        }
        return parts
      })
      t.is(outcome(cut), outcome(dialogue))
    }),
    cases,
  )
})

test('lines of one side that come together give the same', (t) => {
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 12 }), (texts) => {
      const each = texts.map((text): Piece => ['client', `${text}\r\n`])
      const together: Piece[] = [['client', texts.map((text) => `${text}\r\n`).join('')]]
      t.is(outcome(together), outcome(each))
    }),
    cases,
  )
})

test('no bytes make it throw', (t) => {
  const any = fc.array(fc.tuple(line('client', 'server'), fc.string({ unit: 'binary' })))
  fc.assert(
    fc.property(any, (dialogue) => {
      t.notThrows(() => outcome(dialogue as Piece[]))
    }),
    cases,
  )
})
