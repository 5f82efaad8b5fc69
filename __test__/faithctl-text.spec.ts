/** The numbers, tables and sentences of faithctl. */
import test from 'ava'
import { readDestination } from '../cli/ctl/access.js'
import { sessionLines } from '../cli/ctl/session.js'
import { slowness } from '../cli/ctl/slowness.js'
import { type Column, cutMiddle, facts, printable, table } from '../cli/ctl/table.js'
import { bytes, counted, duration, rate, readDuration } from '../cli/ctl/units.js'
import { detail, leg } from './fixtures/fake-daemon.js'

test('bytes have three digits and SI units', (t) => {
  const counts = [0, 999, 1000, 1234, 12_345, 999_499, 999_500, 123_456_789, 5e15]
  t.deepEqual(counts.map(bytes), [
    '0 B',
    '999 B',
    '1.00 kB',
    '1.23 kB',
    '12.3 kB',
    '999 kB',
    '1.00 MB',
    '123 MB',
    '5.00 PB',
  ])
  t.is(rate(12_500_000), '12.5 MB/s')
  t.is(rate(undefined), '-')
})

test('durations have their two largest units', (t) => {
  const times = [0, 449, 12_000, 192_000, 7_500_000, 273_600_000]
  t.deepEqual(times.map(duration), ['0.0s', '0.4s', '12s', '3m12s', '2h05m', '3d04h'])
})

test('counts have groups of digits, and their noun', (t) => {
  t.is(counted(1, 'session'), '1 session')
  t.is(counted(20_000, 'session'), '20,000 sessions')
  t.is(counted(1_234_567, 'packet'), '1,234,567 packets')
})

test('a duration of the command line is a number with units', (t) => {
  const texts = ['90', '90s', '10m', '1h30m', '1.5h', '1d', '', 'm', '10x', '1h 30m', '-5']
  t.deepEqual(texts.map(readDuration), [
    90,
    90,
    600,
    5400,
    5400,
    86_400,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

interface Row {
  name: string
  size: string
  note: string
}
const columns: Column<Row>[] = [
  { title: 'NAME', value: ({ name }) => name, elastic: true },
  { title: 'SIZE', align: 'right', value: ({ size }) => size },
  { title: 'NOTE', value: ({ note }) => note, spare: true },
]
const rows: Row[] = [
  { name: '2001:db8:1:2:3:4:5:6', size: '1 B', note: 'first' },
  { name: '2001:db8::1', size: '23 MB', note: '' },
]

test('a table aligns its columns', (t) => {
  t.deepEqual(table(columns, rows, Infinity), [
    'NAME                   SIZE  NOTE',
    '2001:db8:1:2:3:4:5:6    1 B  first',
    '2001:db8::1           23 MB',
  ])
})

test('a narrow table loses spare columns first, and the middle of elastic ones then', (t) => {
  t.deepEqual(table(columns, rows, 30), [
    'NAME                   SIZE',
    '2001:db8:1:2:3:4:5:6    1 B',
    '2001:db8::1           23 MB',
  ])
  t.deepEqual(table(columns, rows, 22), [
    'NAME              SIZE',
    '2001:db…3:4:5:6    1 B',
    '2001:db8::1      23 MB',
  ])
  for (let width = 1; width < 40; width += 1) {
    for (const line of table(columns, rows, width))
      t.true(line.length <= width, `${width}: ${line}`)
  }
})

test('text of others moves no cursor and keeps its width', (t) => {
  t.is(printable('a\u001b[2J\tb\u0007é漢'), 'a?[2J?b?é?')
  t.is(cutMiddle('abcdefgh', 5), 'ab…gh')
  t.deepEqual(
    facts(
      [
        ['tag', 'x\ny'],
        ['none', undefined],
      ],
      80,
    ),
    ['tag  x?y'],
  )
})

test('a destination is an address with or without a port', (t) => {
  t.deepEqual(readDestination('198.51.100.7:80'), { address: '198.51.100.7', port: 80 })
  t.deepEqual(readDestination('198.51.100.7'), { address: '198.51.100.7', port: 443 })
  t.deepEqual(readDestination('[64:ff9b::1]:22'), { address: '64:ff9b::1', port: 22 })
  t.deepEqual(readDestination('[64:ff9b::1]'), { address: '64:ff9b::1', port: 443 })
  t.deepEqual(readDestination('64:ff9b::198.51.100.7'), {
    address: '64:ff9b::198.51.100.7',
    port: 443,
  })
  for (const wrong of [
    '',
    'server',
    '[198.51.100.7]:80',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '1.2.3:80',
  ]) {
    t.is(readDestination(wrong), undefined, wrong)
  }
})

test('a session of datagrams has neither connections nor a slow side', (t) => {
  const { id, interface: name, client, destination, server, state, startedAt, relay } = detail
  const { bytesUp, bytesDown, ageMs, idleMs } = detail
  const ends = { client, destination, server, bytesUp, bytesDown, ageMs, idleMs }
  const session = {
    id,
    interface: name,
    protocol: 'udp',
    ...ends,
    state,
    startedAt,
    relay,
  } as const
  const lines = sessionLines(session, 80).join('\n')
  t.regex(lines, /^protocol +udp$/m)
  t.notRegex(lines, /slow|round trip/)
  t.regex(lines, /^rule +none/m)
  t.regex(sessionLines(detail, 80).join('\n'), /^rule .*round trip/ms)
})

const slow = (which: 'client' | 'server', more: Partial<typeof leg>) =>
  slowness({ ...detail, slow: which, legs: { ...detail.legs, [which]: { ...leg, ...more } } })

test('a sentence names the slow side and the reason', (t) => {
  t.regex(
    slow('client', { limitedByPeerMs: 8300, unsent: 2_100_000 }),
    /^The client is slow: its program reads too slowly; .* 83 % of the time; 2\.10 MB wait for it/,
  )
  t.regex(
    slow('server', { lost: 3, retransmitted: 120 }),
    /^The server is slow: the path loses packets; 3 segments lost now, 120 segments sent again/,
  )
  t.regex(
    slow('server', { limitedByBufferMs: 5000 }),
    /^The server is slow: the send buffer .* 50 % of the time; net\.ipv4\.tcp_wmem sets it/,
  )
  t.regex(
    slow('server', { deliveryRate: 1_000_000, rttMs: 80 }),
    /^The server is slow: the path to the server carries 1\.00 MB\/s .* round trip of 80\.0 ms/,
  )
  t.regex(slowness({ ...detail, slow: 'neither', idleMs: 192_000 }), /^Neither side .* for 3m12s/)
  t.regex(slowness({ ...detail, slow: 'neither', idleMs: 10 }), /^Neither side is slow: each takes/)
})
