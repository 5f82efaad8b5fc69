import { getSystemErrorName, inspect } from 'node:util'
import test from 'ava'
import { FaithError } from '../lib/errors.js'
import { toFaithError, unwrap } from '../lib/failure.js'

const failure = {
  failed: true as const,
  code: 'EPERM',
  message: 'cannot create faith0: operation not permitted',
  hint: 'give CAP_NET_ADMIN',
  errno: -1,
  syscall: 'ioctl',
}

test('a failure of the addon becomes an error with what failed, why, and the remedy', (t) => {
  const error = t.throws(() => unwrap(failure), { instanceOf: FaithError })
  const { name, code, message, hint, errno, syscall } = error
  t.deepEqual({ failed: true, code, message, hint, errno, syscall }, failure)
  t.is(name, 'FaithError')
})

test('an error is an Error whose stack leads to the caller', (t) => {
  const error = toFaithError(failure)
  t.true(error instanceof Error)
  t.regex(error.stack ?? '', /FaithError: cannot create faith0/)
  t.regex(error.stack ?? '', /errors\.spec\.ts/)
})

test('an errno without a name keeps its number, and gets the code that Node gives it', (t) => {
  const { code: _code, ...nameless } = failure
  t.like(toFaithError({ ...nameless, errno: -511 }), {
    errno: -511,
    code: getSystemErrorName(-511),
  })
  t.like(toFaithError({ ...nameless, errno: -2 }), { errno: -2, code: 'ENOENT' })
  const { errno: _errno, ...without } = nameless
  t.like(toFaithError(without), { errno: undefined, code: 'ERR_FAITH_SYSTEM' })
})

test('a value that is not a failure passes', (t) => {
  const value = { name: 'faith0' }
  t.is(unwrap(value), value)
  t.is(unwrap(null), null)
  t.is(unwrap(undefined), undefined)
})

test('a hint is printed once, with the stack and with the error', (t) => {
  const error = toFaithError(failure)
  const [line] = error.stack?.split('\n') ?? []
  t.is(line, 'FaithError: cannot create faith0: operation not permitted; give CAP_NET_ADMIN')
  t.is(error.message, failure.message)
  const printed = inspect(error)
  t.is(printed.split(failure.hint).length - 1, 1)
  t.regex(printed, /^FaithError: .*; give CAP_NET_ADMIN\n +at .*errno: -1,\n/s)
  t.regex(inspect(new Error('outer', { cause: error })), /give CAP_NET_ADMIN/)
})

test('an error without a hint is printed unchanged', (t) => {
  const error = new FaithError('ERR_FAITH_CLOSED', 'faith0 is closed')
  t.regex(
    inspect(error),
    /^FaithError: faith0 is closed\n +at .*\{\n {2}code: 'ERR_FAITH_CLOSED'\n\}$/s,
  )
})

test('an error of the library itself needs no errno', (t) => {
  const error = new FaithError('ERR_FAITH_CLOSED', 'faith0 is closed')
  t.is(error.errno, undefined)
  t.is(error.syscall, undefined)
  t.is(error.hint, undefined)
})
