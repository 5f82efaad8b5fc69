import test from 'ava'
import { parseOptions } from '../cli/options.js'
import { warningsAbout } from '../cli/warnings.js'

const warnings = (...args: string[]) => warningsAbout(parseOptions(args))

test('sessions that held SYNs can take up all of are warned of, with what to do', (t) => {
  t.deepEqual(warnings('--max-sessions', '1000'), [
    '--max-sessions 1000 is not above --max-held 4096: held SYNs count as sessions, so that a flood of forged ones ' +
      'can have every real client refused; lower --max-held or raise --max-sessions',
  ])
  t.is(warnings('--max-sessions', '4096').length, 1)
  t.is(warnings('--max-sessions', '50', '--max-held', '50').length, 1)
})

for (const args of [
  [],
  ['--max-sessions', '0', '--max-held', '1'],
  ['--max-sessions', '4097'],
  ['--max-sessions', '51', '--max-held', '50'],
  ['--max-sessions', '50', '--no-connect-first'],
]) {
  test(`nothing is to be warned of: faithd ${args.join(' ')}`, (t) => {
    t.deepEqual(warnings(...args), [])
  })
}
