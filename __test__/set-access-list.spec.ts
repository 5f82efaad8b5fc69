import test from 'ava'
import { FaithError, type FaithRelaySettings } from '../index.js'
import type { NativeFailure, NativeInterface } from '../lib/native.js'
import { FaithRelay } from '../lib/relay.js'

type Given = [text: string, name: string, allowLoopback: boolean, endDenied: boolean]

const malformed: NativeFailure = {
  failed: true,
  code: 'ERR_FAITH_ACCESS_LIST',
  message: 'accessList:1: a source is missing',
}

/** A relay over a fake addon that records its arguments, and answers when the test says so. */
async function open(options: FaithRelaySettings = {}) {
  const given: Given[] = []
  const answers: ((failure: NativeFailure | null) => void)[] = []
  const addon = {
    setAccessList: (...args: Given) => {
      given.push(args)
      return new Promise<NativeFailure | null>((resolve) => answers.push(resolve))
    },
    close: () => Promise.resolve(),
  }
  const faith = { relay: () => Promise.resolve(addon) } as unknown as NativeInterface
  const relay = await FaithRelay.open(faith, { ports: 'all', ...options }, () => undefined)
  const answer = async (failure: NativeFailure | null = null): Promise<void> => {
    answers.shift()?.(failure)
    await new Promise(setImmediate)
  }
  return { relay, given, answer }
}

test('a list is passed on as text; sessions go on and loopback stays as it was', async (t) => {
  const { relay, given, answer } = await open({ allowLoopback: true })
  const set = relay.setAccessList([{ action: 'deny', destination: '0.0.0.0/0', ports: 25 }])
  await new Promise(setImmediate)
  await answer()
  await set
  t.deepEqual(given, [['::/0 deny 0.0.0.0/0 port 25', 'accessList', true, false]])
})

test('a refused list leaves loopback unchanged', async (t) => {
  const { relay, given, answer } = await open()
  const refused = t.throwsAsync(relay.setAccessList('x', { allowLoopback: true }), {
    instanceOf: FaithError,
    message: malformed.message,
  })
  const taken = relay.setAccessList('::/0 permit 0.0.0.0/0', { endDenied: true })
  await new Promise(setImmediate)
  await answer(malformed)
  await answer()
  t.is((await refused)?.code, 'ERR_FAITH_ACCESS_LIST')
  await taken
  t.deepEqual(
    given.map(([, , ...flags]) => flags),
    [
      [true, false],
      [false, true],
    ],
  )
})

test('lists are put in force in the order of the calls', async (t) => {
  const { relay, given, answer } = await open()
  const all = Promise.all([relay.setAccessList('# one'), relay.setAccessList('# two')])
  await new Promise(setImmediate)
  t.deepEqual(
    given.map(([text]) => text),
    ['# one'],
  )
  await answer()
  t.deepEqual(
    given.map(([text]) => text),
    ['# one', '# two'],
  )
  await answer()
  await all
})

test('an invalid list never reaches the relay', async (t) => {
  const { relay, given } = await open()
  for (const list of [undefined, null, Promise.resolve('')]) {
    const error = await t.throwsAsync(relay.setAccessList(list as never), {
      instanceOf: FaithError,
    })
    t.is(error?.code, 'ERR_FAITH_ARGUMENT')
  }
  const misspelt = relay.setAccessList('', { endDenyed: true } as never)
  const error = await t.throwsAsync(misspelt, { instanceOf: FaithError })
  t.is(error?.message, 'relay.setAccessList: unknown option `endDenyed`; did you mean `endDenied`?')
  t.deepEqual(given, [])
})

test('a closed relay accepts no list', async (t) => {
  const { relay, given } = await open()
  await relay.close()
  const error = await t.throwsAsync(relay.setAccessList(''), { instanceOf: FaithError })
  t.is(error?.code, 'ERR_FAITH_CLOSED')
  t.deepEqual(given, [])
})
