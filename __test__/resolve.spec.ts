/** The queries that a program's `resolve` answers, and the failures of that function. */
import { EventEmitter, once } from 'node:events'
import test from 'ava'
import { FaithError } from '../index.js'
import { readDns64Options } from '../lib/dns64-options.js'
import type { NativeAnswer, NativeFailure } from '../lib/native.js'
import { type FaithResolve, NameAnswers, readAnswer } from '../lib/resolve.js'
import { waitFor } from '../lab/index.js'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

// Keeps the process running. Time limits alone do not.
const running = setInterval(() => undefined, 60_000)
test.after.always(() => clearInterval(running))

/** A server that keeps the answers, and the function's failures. */
function serve(resolve: FaithResolve, { timeoutMs = 60_000, late = false } = {}) {
  const answers: [id: number, answer: NativeAnswer | null | undefined][] = []
  const errors: FaithError[] = []
  const failure: NativeFailure = { failed: true, code: 'ETIMEDOUT', message: 'too late' }
  const server = {
    answer(id: number, answer?: NativeAnswer | null) {
      answers.push([id, answer])
      return late && answer !== null ? failure : null
    },
  }
  const names = new NameAnswers({ resolve, timeoutMs }, server, (error) => errors.push(error))
  const ask = (...ids: number[]): void =>
    names.ask(
      ids.map((id) => ({ id, name: `n${id}.internal`, type: 'AAAA', client: '2001:db8::1' })),
    )
  return { names, ask, answers, errors }
}

test('each answer has one form for the addon', (t) => {
  t.deepEqual(readAnswer(undefined), { ttl: 60 })
  t.deepEqual(readAnswer(null), { absent: true, ttl: 60 })
  t.deepEqual(readAnswer('NXDOMAIN'), { absent: true, ttl: 60 })
  t.deepEqual(readAnswer('REFUSED'), { refused: true, ttl: 60 })
  t.deepEqual(readAnswer([]), { addresses: [], ttl: 60 })
  const addresses = ['192.0.2.1', '2001:db8::1']
  t.deepEqual(readAnswer(addresses), { addresses, ttl: 60 })
  t.deepEqual(readAnswer({ addresses, ttl: 0 }), { addresses, ttl: 0 })
})

for (const [what, answer, message] of [
  ['an unknown code', 'SERVFAIL', /'NXDOMAIN', 'REFUSED', null or undefined, got 'SERVFAIL'$/],
  ['a number', 4, /got 4$/],
  ['a name', ['db.internal'], /`addresses` must be IP addresses without zones, got 'db.internal'$/],
  ['a zone', ['fe80::1%lan0'], /IP addresses without zones/],
  ['a number as an address', [4], /`addresses` must be an array of strings/],
  [
    'too many addresses',
    Array(257).fill('::1'),
    /`addresses` must be at most 256 addresses, got 257$/,
  ],
  ['no addresses', {}, /`addresses` must be an array, got undefined$/],
  ['a fraction of a second', { addresses: [], ttl: 0.5 }, /`ttl` must be an integer from 0 /],
  ['an unknown field', { addresses: [], tt: 1 }, /unknown option `tt`; did you mean `ttl`/],
] as const) {
  test(`${what} is no answer`, (t) => {
    t.throws(() => readAnswer(answer), { code: 'ERR_FAITH_ARGUMENT', message })
  })
}

test('the function gets name, type and client, and needs no `this`', async (t) => {
  const { ask, answers } = serve(function (this: unknown, { name, type, client, signal }) {
    t.deepEqual([this, name, type, client], [undefined, 'n1.internal', 'AAAA', '2001:db8::1'])
    t.false(signal.aborted)
    return ['192.0.2.1']
  })
  ask(1)
  await turn()
  t.deepEqual(answers, [[1, { addresses: ['192.0.2.1'], ttl: 60 }]])
})

test('a slow answer delays no other', async (t) => {
  const slow = new EventEmitter()
  const { ask, answers } = serve(({ name }) =>
    name === 'n1.internal' ? once(slow, 'answer').then(() => null) : undefined,
  )
  ask(1, 2)
  await turn()
  t.deepEqual(answers, [[2, { ttl: 60 }]])
  slow.emit('answer')
  await turn()
  t.deepEqual(answers.at(-1), [1, { absent: true, ttl: 60 }])
})

test('a function that throws, rejects or gives no answer fails its client alone', async (t) => {
  const hint = 'start the daemon'
  const { ask, answers, errors } = serve(({ name }) => {
    if (name === 'n1.internal') throw new FaithError('ENOENT', 'no daemon', { hint })
    if (name === 'n2.internal') return Promise.reject(new Error('as told'))
    return (name === 'n3.internal' ? 'no' : ['::1']) as ReturnType<FaithResolve>
  })
  ask(1, 2, 3, 4)
  await turn()
  t.deepEqual(
    answers.toSorted(([one], [other]) => one - other).map(([, answer]) => answer?.addresses),
    [undefined, undefined, undefined, ['::1']],
  )
  const start = 'resolve: no answer to 2001:db8::1 about'
  const found = errors.toSorted((one, other) => (one.message < other.message ? -1 : 1))
  t.like(found, [
    { code: 'ERR_FAITH_RESOLVE', hint, message: `${start} n1.internal AAAA: no daemon` },
    { code: 'ERR_FAITH_RESOLVE', message: `${start} n2.internal AAAA: as told` },
    { code: 'ERR_FAITH_RESOLVE' },
  ])
})

test('at the time limit the signal is aborted, and the client gets no answer', async (t) => {
  const signals: AbortSignal[] = []
  const { ask, answers, errors } = serve(
    ({ signal }) => {
      signals.push(signal)
      return new Promise(() => undefined)
    },
    { timeoutMs: 1 },
  )
  ask(1)
  await waitFor('the signal', () => signals[0]?.aborted)
  t.like(signals[0]?.reason, { message: 'no answer within 1 ms' })
  await turn()
  t.deepEqual(answers, [[1, null]])
  t.regex(errors[0]?.message ?? '', /no answer within 1 ms$/)
})

test('an answer that comes too late for the addon is reported', async (t) => {
  const { ask, answers, errors } = serve(() => ['::1'], { late: true })
  ask(1)
  await turn()
  t.deepEqual(answers.at(-1), [1, null])
  t.like(errors, [{ code: 'ERR_FAITH_RESOLVE' }])
})

test('the close aborts signals, and later queries reach no function', async (t) => {
  const signals: AbortSignal[] = []
  const { names, ask, answers, errors } = serve(({ signal }) => {
    signals.push(signal)
    return new Promise(() => undefined)
  })
  ask(1)
  names.close()
  ask(2)
  await turn()
  t.deepEqual(
    signals.map(({ reason }) => (reason as Error).message),
    ['the DNS server is closed'],
  )
  t.deepEqual([answers, errors], [[], []])
})

const resolve: FaithResolve = () => undefined

test('the options of the function go with it alone', (t) => {
  const read = readDns64Options({ resolve, resolveNames: ['internal'], resolveTimeoutMs: 5 })
  t.deepEqual(read.resolving, { resolve, timeoutMs: 5 })
  t.like(read.start, { resolveNames: ['internal'], resolveTimeoutMs: 5 })
  t.deepEqual(readDns64Options({ resolve }).resolving, { resolve, timeoutMs: 2000 })
  for (const [options, message] of [
    [{ resolve: 'own' }, /`resolve` must be a function, got 'own'$/],
    [{ resolveNames: ['internal'] }, /`resolve` must be given with `resolveNames`/],
    [{ resolveTimeoutMs: 5 }, /`resolve` must be given with `resolveTimeoutMs`/],
    [{ resolve, resolveTimeoutMs: 0 }, /`resolveTimeoutMs` must be an integer from 1/],
    [{ resolve, resolveNames: 'internal' }, /`resolveNames` must be an array/],
  ] as const) {
    t.throws(() => readDns64Options(options), { code: 'ERR_FAITH_ARGUMENT', message })
  }
})
