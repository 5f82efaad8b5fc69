import test from 'ava'
import { limitWarnings, loopbackWarnings } from '../cli/warnings.js'
import type { FaithUdpStats } from '../index.js'
import { relayOf } from './fixtures/configured.js'

const rules = (...lines: string[]) => loopbackWarnings(lines.join('\n'), relayOf())

const ineffective = (destination: string) =>
  `a rule permits ${destination}, but faithd denies it: loopback needs --allow-loopback`

test('ineffective rules that permit loopback get a warning with the remedy', (t) => {
  t.deepEqual(rules('::/0 permit 127.0.0.1/32'), [ineffective('127.0.0.1/32')])
  t.deepEqual(
    rules('# ours', '::/0\tPERMIT  127.0.0.0/8 port 80 # loopback', '2001:db8::/32 permit 0.0.0.0'),
    [ineffective('127.0.0.0/8'), ineffective('0.0.0.0')],
  )
})

test('rules that permit more than loopback, or deny it, get no warning', (t) => {
  t.deepEqual(
    rules(
      '::/0 permit 0.0.0.0/0',
      '::/0 permit 12.0.0.0/8',
      '::/0 deny 127.0.0.1',
      '# ::/0 permit 127.0.0.1',
      '',
    ),
    [],
  )
})

test('rules that permit loopback get no warning where it is allowed', (t) => {
  t.deepEqual(loopbackWarnings('::/0 permit 127.0.0.1/32', relayOf('--allow-loopback')), [])
})

const effective = { maxHeld: 200, maxSessions: 400 }
const warnings = (...args: string[]) => limitWarnings(relayOf(...args), effective)

test('limits beyond the descriptors get a warning with the remedy', (t) => {
  t.deepEqual(warnings('--max-sessions', '1000'), [
    'the descriptor limit allows 200 held SYNs, not --max-held 4096; faithd accepts further clients before their ' +
      "servers are connected; raise it with ulimit -n, or with systemd's LimitNOFILE=",
    "the descriptor limit allows 400 sessions, not --max-sessions 1000; raise it with ulimit -n, or with systemd's LimitNOFILE=",
  ])
})

const mappingWarnings = (maxMappings: number, ...args: string[]) => {
  const udp = { maxMappings } as FaithUdpStats
  return limitWarnings(relayOf('--max-held', '200', ...args), { ...effective, udp })
}

test('a limit of mappings beyond the descriptors gets a warning, where datagrams are relayed', (t) => {
  t.deepEqual(mappingWarnings(100, '--max-mappings', '101'), [
    'the descriptor limit allows 100 ports of clients with datagrams, not --max-mappings 101; faithd refuses further ' +
      "ones; raise it with ulimit -n, or with systemd's LimitNOFILE=",
  ])
  t.deepEqual(mappingWarnings(100, '--max-mappings', '100'), [])
  t.regex(mappingWarnings(4000).join(), /not --max-mappings 16384;/)
})

for (const args of [
  ['--max-held', '200'],
  ['--max-held', '200', '--max-sessions', '400'],
  ['--no-connect-first'],
]) {
  test(`faithd ${args.join(' ')} gives no warning`, (t) => {
    t.deepEqual(warnings(...args), [])
  })
}
