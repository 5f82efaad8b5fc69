/**
 * `null` is no value of any option: it may be a value that was lost on its way. The error of an unknown option lists
 * the options of a call, so this spec sees options that are added later too.
 */
import { Socket } from 'node:net'
import test from 'ava'
import {
  createFaithInterface,
  FaithError,
  FaithInterface,
  FaithListener,
  FaithRelay,
  FaithUdpSocket,
  matchAccessList,
} from '../index.js'
import { readEnd, readSendOptions } from '../lib/bind-udp-options.js'
import type { NativeInterface } from '../lib/native.js'
import { readVerdict } from '../lib/route.js'
import { splice } from '../lib/splice.js'

/** An addon whose listener or relay would be opened if the options were accepted. */
const addon = {
  name: 'faith0',
  listen: () => ({}),
  relay: () => ({}),
  bindUdp: () => ({}),
} as unknown as NativeInterface

/** Not made by `faith.listen()` and its like: each method reads its options first. */
const unmade = {} as never

const captured = { faith: addon, connection: {} as never, socket: new Socket(), isCaptured: true }
const question = { client: '2001:db8::1', destination: { address: '192.0.2.1', port: 80 } }
const rule = { action: 'permit', destination: '192.0.2.1' } as const

interface Call {
  /** Makes the call with these options. */
  run(options: object | null): unknown
  /** The options without which the call fails, or does too much. */
  base?: object
  /** Options that objects of this package have, and the call ignores. */
  ignored?: string[]
}

const calls: Record<string, Call> = {
  createFaithInterface: {
    run: (options) => createFaithInterface(options as never),
    base: { signal: AbortSignal.abort() },
  },
  'faith.close': {
    run: (options) => FaithInterface.prototype.close.call(unmade, options as never),
  },
  'faith.listen': {
    run: (options) => FaithListener.open(addon, options as never, () => undefined),
    base: { port: 80 },
  },
  'listener.close': {
    run: (options) => FaithListener.prototype.close.call(unmade, options as never),
  },
  'listener.connections': {
    run: (options) => FaithListener.prototype.connections.call(unmade, options as never),
  },
  'a mapping': {
    run: (mapping) =>
      FaithListener.open(addon, { port: 80, mappings: [mapping as never] }, () => undefined),
    base: { ipv6: '2001:db8::1', ipv4: '192.0.2.1' },
  },
  'faith.bindUdp': {
    run: (options) => FaithUdpSocket.open(addon, options as never, () => undefined),
    base: { port: 53 },
  },
  'udp.send': { run: (options) => readSendOptions(options) },
  'an end of a datagram': {
    run: (end) => readEnd('udp.send', end),
    base: { address: '2001:db8::1', port: 53 },
    ignored: ['ipv4', 'ipv4Port'],
  },
  'udp.messages': {
    run: (options) => FaithUdpSocket.prototype.messages.call(unmade, options as never),
  },
  'faith.relay': {
    run: (options) => FaithRelay.open(addon, options as never, () => undefined),
    base: { port: 80 },
  },
  'relay.close': { run: (options) => FaithRelay.prototype.close.call(unmade, options as never) },
  'relay.clients': {
    run: (options) => FaithRelay.prototype.clients.call(unmade, options as never),
  },
  'relay.setAccessList': {
    run: (options) => FaithRelay.prototype.setAccessList.call(unmade, '', options as never),
  },
  'a verdict': {
    run: (verdict) => readVerdict(verdict),
    base: { host: '192.0.2.1', port: 80 },
  },
  'socket.spliceTo a server': {
    run: (options) => splice(captured, options, undefined),
    base: { host: '192.0.2.1', port: 80 },
  },
  'socket.spliceTo a socket': { run: (options) => splice(captured, new Socket(), options) },
  matchAccessList: {
    run: (options) => matchAccessList('', question, options as never),
  },
  'a question': {
    run: (options) => matchAccessList('', options as never),
    base: question,
    ignored: ['id'],
  },
  'a client': {
    run: (client) => matchAccessList('', { ...question, client: client as never }),
    base: { address: '2001:db8::1' },
    ignored: ['port'],
  },
  'a destination': {
    run: (destination) => matchAccessList('', { ...question, destination: destination as never }),
    base: { address: '64:ff9b::1', port: 80, ipv4: '192.0.2.1' },
    ignored: ['prefix', 'interface'],
  },
  'an access rule': {
    run: (options) => matchAccessList([options as never], question),
    base: rule,
  },
}

/** The FaithError that a call throws, or that its promise rejects with. */
async function refusalOf(run: () => unknown): Promise<FaithError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof FaithError) return error
    throw error
  }
  throw new Error('the options were accepted')
}

for (const [name, { run, base = {}, ignored = [] }] of Object.entries(calls)) {
  test(`${name} refuses null for each option, and names the option`, async (t) => {
    const { hint } = await refusalOf(() => run({ ...base, '': 1 }))
    const options = hint?.replace('its options are ', '').split(', ') ?? []
    t.true(options.length > 0)
    t.deepEqual(
      ignored.filter((option) => !options.includes(option)),
      [],
    )
    for (const option of options.filter((one) => !ignored.includes(one))) {
      const given: Record<string, unknown> = { ...base, [option]: null }
      if (option === 'ports') delete given['port']
      const error = await refusalOf(() => run(given))
      t.regex(error.code, /^ERR_FAITH_(?:ACCESS_LIST|ARGUMENT|PORT)$/, option)
      const names = option === 'accessList' ? 'an access list' : `\`${option}\``
      t.true(error.message.includes(names), `${option}: ${error.message}`)
    }
  })

  test(`${name} refuses null in place of an object`, async (t) => {
    const { code } = await refusalOf(() => run(null))
    t.is(code, name === 'an access rule' ? 'ERR_FAITH_ACCESS_LIST' : 'ERR_FAITH_ARGUMENT')
  })
}
