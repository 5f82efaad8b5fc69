import { once } from 'node:events'
import test from 'ava'
import { FaithError, type FaithRelaySettings } from '../index.js'
import type {
  NativeFailure,
  NativeInterface,
  NativeQuestion,
  NativeRelayCallbacks,
  NativeRelayOptions,
  NativeVerdict,
} from '../lib/native.js'
import { FaithRelay } from '../lib/relay.js'

type Answer = [id: number, verdict: NativeVerdict | null | undefined]

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function question(id: number, more: Partial<NativeQuestion> = {}): NativeQuestion {
  return {
    id,
    protocol: 'tcp',
    client: '2001:db8:1::2',
    clientPort: 40_000 + id,
    destination: '64:ff9b::c633:6402',
    destinationPort: 80,
    ipv4: '198.51.100.2',
    ipv4Port: 80,
    ...more,
  }
}

// Keeps the process running, as an open relay of the real addon does. Time limits alone do not.
const running = setInterval(() => undefined, 60_000)
test.after.always(() => clearInterval(running))

/** A decision that the test makes when it likes. */
function pending() {
  let decide: ((verdict: undefined) => void) | undefined
  let fail: ((error: Error) => void) | undefined
  const decision = new Promise<undefined>((resolve, reject) => {
    decide = resolve
    fail = reject
  })
  return { decision, decide: () => decide?.(undefined), fail: () => fail?.(new Error('late')) }
}

/**
 * A relay over a fake addon. The addon asks the test's questions, `early` ones before the relay exists, and records the
 * answers.
 */
async function open(
  options: FaithRelaySettings,
  early: NativeQuestion[] = [],
  refusal: NativeFailure | null = null,
) {
  const answers: Answer[] = []
  let callbacks: NativeRelayCallbacks = {}
  let given: NativeRelayOptions | undefined
  const addon = {
    answer: (...answer: Answer) => {
      answers.push(answer)
      return refusal
    },
    close: () => Promise.resolve(),
  }
  const faith = {
    relay: (settings: NativeRelayOptions, handed: NativeRelayCallbacks) => {
      given = settings
      callbacks = handed
      handed.onQuestions?.(early)
      return Promise.resolve(addon)
    },
  } as unknown as NativeInterface
  const relay = await FaithRelay.open(faith, { ports: 'all', ...options }, () => undefined)
  const errors: FaithError[] = []
  const listen = (): void => void relay.on('error', (error) => errors.push(error))
  const ask = (...batch: NativeQuestion[]): void => callbacks.onQuestions?.(batch)
  const withdraw = (...ids: number[]): void => callbacks.onWithdrawn?.(ids)
  return {
    relay,
    answers,
    errors,
    listen,
    ask,
    withdraw,
    asks: () => callbacks.onQuestions !== undefined,
    given,
  }
}

test('without a route the addon gets no function to ask', async (t) => {
  t.false((await open({})).asks())
  t.true((await open({ route: () => undefined })).asks())
})

test('the limits are passed on to the addon', async (t) => {
  const { given } = await open({ route: () => undefined, routeTimeoutMs: 250, maxUndecided: 9 })
  t.like(given, { routeTimeoutMs: 250, maxUndecided: 9 })
})

test('a connection that comes before the relay exists is decided once it does', async (t) => {
  const { answers } = await open({ route: () => ({ reject: 'refused' }) }, [question(1)])
  t.deepEqual(answers, [])
  await turn()
  await turn()
  t.deepEqual(answers, [[1, { reject: 'refused' }]])
})

test('a route gets the client, the destination and its meaning', async (t) => {
  const seen: unknown[] = []
  const { ask } = await open({ route: ({ ...own }) => void seen.push(own) as undefined })
  await turn()
  const { ipv4: _, ipv4Port: __, ...unmapped } = question(2, { destination: '3fff::1' })
  ask(question(1, { ipv4Port: 8080 }), unmapped)
  t.deepEqual(seen, [
    {
      id: 1,
      protocol: 'tcp',
      client: { address: '2001:db8:1::2', port: 40_001 },
      destination: {
        address: '64:ff9b::c633:6402',
        port: 80,
        ipv4: '198.51.100.2',
        ipv4Port: 8080,
      },
    },
    {
      id: 2,
      protocol: 'tcp',
      client: { address: '2001:db8:1::2', port: 40_002 },
      destination: { address: '3fff::1', port: 80 },
    },
  ])
})

test('a slow decision delays no other connection', async (t) => {
  const { decision, decide } = pending()
  const { answers, ask } = await open({
    route: ({ client }) => (client.port === 40_001 ? decision : { host: '192.0.2.1', port: 81 }),
  })
  await turn()
  ask(question(1), question(2))
  await turn()
  t.deepEqual(answers, [[2, { host: '192.0.2.1', port: 81 }]])
  decide()
  await turn()
  t.deepEqual(answers[1], [1, {}])
})

const failing: [how: string, route: () => never, why: string][] = [
  [
    'throws',
    () => {
      throw new TypeError('no such tenant')
    },
    'no such tenant',
  ],
  ['rejects', () => Promise.reject(new TypeError('no database')) as never, 'no database'],
  [
    'throws a value that is not an error',
    () => {
      // oxlint-disable-next-line typescript/only-throw-error
      throw 'up'
    },
    "'up' was thrown",
  ],
  [
    'answers nonsense',
    () => 'direct' as never,
    "the verdict must be an object or undefined, got 'direct'",
  ],
  [
    'blocks the event loop',
    () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
      return undefined as never
    },
    'no answer within 500 ms',
  ],
  ['never answers', () => new Promise<never>(() => undefined) as never, 'no answer within 500 ms'],
]

for (const [how, route, why] of failing) {
  test(`a route that ${how} refuses that client, and is reported`, async (t) => {
    const { relay, answers, ask } = await open({
      routeTimeoutMs: 500,
      route: ({ client }) => (client.port === 40_001 ? route() : undefined),
    })
    await turn()
    ask(question(1), question(2))
    const [error] = (await once(relay, 'error')) as [FaithError]
    t.true(error instanceof FaithError)
    t.is(error.code, 'ERR_FAITH_ROUTE')
    t.is(error.message, `route: refused [2001:db8:1::2]:40001 to [64:ff9b::c633:6402]:80: ${why}`)
    t.not(error.cause, undefined)
    t.deepEqual(
      answers.toSorted(([one], [other]) => one - other),
      [
        [1, null],
        [2, {}],
      ],
    )
  })
}

test.serial('failures without a listener are one warning of the process', async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const { answers, ask } = await open({
    route: () => {
      throw new Error('as told')
    },
  })
  await turn()
  ask(question(1), question(2))
  await turn()
  ask(question(3))
  await turn()
  await turn()
  t.is(answers.length, 3)
  const ours = warnings.filter(({ name }) => name === 'FaithWarning')
  t.is(ours.length, 1)
  t.like(ours[0], { code: 'ERR_FAITH_ROUTE' })
  t.regex(ours[0]?.message ?? '', /40001 .*as told$/)
})

test('a connection without a `connection` listener is refused, and reported', async (t) => {
  const { relay, answers, ask } = await open({ route: () => ({ socket: true }) })
  await turn()
  ask(question(1))
  const [error] = (await once(relay, 'error')) as [FaithError]
  t.like(error, { code: 'ERR_FAITH_ROUTE', hint: "listen to the relay's `connection` event" })
  t.regex(error.message, /the relay has no `connection` listener$/)
  relay.on('connection', () => undefined)
  ask(question(2))
  await turn()
  t.deepEqual(answers, [
    [1, null],
    [2, { socket: true }],
  ])
})

test('each failure reaches the `error` listener', async (t) => {
  const { ask, errors, listen } = await open({
    route: () => {
      throw new Error('as told')
    },
  })
  listen()
  await turn()
  ask(question(1), question(2))
  await turn()
  t.is(errors.length, 2)
})

test('a decision after its time limit is not sent', async (t) => {
  const { decision, decide } = pending()
  const { relay, answers, ask } = await open({ routeTimeoutMs: 1, route: () => decision })
  await turn()
  ask(question(1))
  await once(relay, 'error')
  decide()
  await turn()
  t.deepEqual(answers, [[1, null]])
})

test('an answer that the addon refuses is reported', async (t) => {
  const { relay, answers, ask } = await open({ route: () => undefined }, [], {
    failed: true,
    code: 'ERR_FAITH_ARGUMENT',
    message: 'as told',
    hint: 'think',
  })
  await turn()
  ask(question(1))
  const [error] = (await once(relay, 'error')) as [FaithError]
  t.like(error, { code: 'ERR_FAITH_ROUTE', hint: 'think' })
  t.deepEqual(answers, [
    [1, {}],
    [1, null],
  ])
})

/** A route that takes its time, with the signals that it gets. */
function slow() {
  const { decision, decide, fail } = pending()
  const signals: AbortSignal[] = []
  const route = ({ signal }: { signal: AbortSignal }): Promise<undefined> => {
    signals.push(signal)
    return decision
  }
  return { route, signals, decide, fail }
}

const reasonOf = (signal: AbortSignal | undefined): string | undefined =>
  (signal?.reason as Error | undefined)?.message

test('a client that has gone aborts only its own signal, and gets no answer', async (t) => {
  const { route, signals, fail } = slow()
  const { answers, errors, listen, ask, withdraw } = await open({ route })
  listen()
  await turn()
  ask(question(1), question(2))
  withdraw(1, 7)
  t.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false],
  )
  t.is(reasonOf(signals[0]), 'the client has gone')
  fail()
  await turn()
  t.deepEqual(answers, [[2, null]])
  await turn()
  t.is(errors.length, 1)
})

test('a signal that is read late is aborted as well', async (t) => {
  const connections: { signal: AbortSignal }[] = []
  const { decision } = pending()
  const { ask, withdraw } = await open({
    route: (connection) => {
      connections.push(connection)
      return decision
    },
  })
  await turn()
  ask(question(1))
  withdraw(1)
  t.true(connections[0]?.signal.aborted)
  t.is(reasonOf(connections[0]?.signal), 'the client has gone')
})

test('a signal is aborted at the time limit', async (t) => {
  const { route, signals } = slow()
  const { relay, ask } = await open({ routeTimeoutMs: 1, route })
  await turn()
  ask(question(1))
  await once(relay, 'error')
  t.is(reasonOf(signals[0]), 'no answer within 1 ms')
})

test('a close of the relay aborts signals, but not those of given verdicts', async (t) => {
  const { route, signals } = slow()
  const given: AbortSignal[] = []
  const { relay, ask } = await open({
    route: (connection) => {
      if (connection.id === 1) return route(connection)
      given.push(connection.signal)
      return { reject: 'refused' }
    },
  })
  await turn()
  ask(question(1), question(2))
  await turn()
  await relay.close()
  t.is(reasonOf(signals[0]), 'the relay is closed')
  t.false(given[0]?.aborted)
})

test('a closed relay sends no answer and reports nothing', async (t) => {
  const { decision, fail } = pending()
  const { relay, answers, errors, listen, ask } = await open({ route: () => decision })
  listen()
  await turn()
  ask(question(1))
  await relay.close()
  fail()
  await turn()
  t.deepEqual([answers, errors], [[], []])
})
