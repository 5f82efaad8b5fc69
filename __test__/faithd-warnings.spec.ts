import test from 'ava'
import { parseOptions } from '../cli/options.js'
import { loopbackWarnings } from '../cli/warnings.js'

const rules = (...lines: string[]) => loopbackWarnings(lines.join('\n'), parseOptions([]))

const ineffective = (destination: string) =>
  `a rule permits ${destination}, which is denied all the same: loopback needs --allow-loopback`

test('rules that permit loopback in vain are warned of, with what to do', (t) => {
  t.deepEqual(rules('::/0 permit 127.0.0.1/32'), [ineffective('127.0.0.1/32')])
  t.deepEqual(
    rules('# ours', '::/0\tPERMIT  127.0.0.0/8 port 80 # loopback', '2001:db8::/32 permit 0.0.0.0'),
    [ineffective('127.0.0.0/8'), ineffective('0.0.0.0')],
  )
})

test('rules that permit more than loopback, or deny it, are not', (t) => {
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

test('rules that permit loopback where it is allowed are not', (t) => {
  t.deepEqual(loopbackWarnings('::/0 permit 127.0.0.1/32', parseOptions(['--allow-loopback'])), [])
})
