import test from 'ava'
import { Exit, exitCodeOf, explain, UsageError } from '../cli/exit.js'
import { FaithError } from '../lib/errors.js'

const codes: [code: string, exit: number][] = [
  ['ERR_FAITH_NAME', Exit.usage],
  ['ERR_FAITH_PREFIX', Exit.usage],
  ['ENOENT', Exit.unavailable],
  ['ENODEV', Exit.unavailable],
  ['ENOSYS', Exit.unavailable],
  ['EPERM', Exit.permission],
  ['EACCES', Exit.permission],
  ['EEXIST', Exit.config],
  ['ERR_FAITH_ACCESS_LIST', Exit.config],
]

for (const [code, exit] of codes) {
  test(`${code} ends faithd with ${exit}`, (t) => {
    t.is(exitCodeOf(new FaithError(code, 'it failed')), exit)
  })
}

test('an unforeseen error ends faithd as a bug', (t) => {
  t.is(exitCodeOf(new TypeError('x is not a function')), Exit.software)
})

test('an error is explained in one line, with the remedy', (t) => {
  t.is(
    explain(new FaithError('EPERM', 'cannot create faith0', { hint: 'run as root' })),
    'cannot create faith0; run as root',
  )
  t.is(explain(new FaithError('EIO', 'cannot create faith0')), 'cannot create faith0')
  t.is(explain(new UsageError('no')), 'no; see faithd --help')
  t.is(explain(new FaithError('ERR_FAITH_ACCESS_LIST', 'a:1: x\na:3: y')), 'a:1: x; a:3: y')
})
