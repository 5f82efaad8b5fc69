/** Every call returns or throws a FaithError, even with arguments that make no sense. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import * as faithd from '../index.js'
import { FaithError, FaithSocket } from '../index.js'
import { FaithListener } from '../lib/listener.js'
import type { NativeInterface } from '../lib/native.js'
import { FaithRelay } from '../lib/relay.js'
import { FaithPrefixes } from '../lib/prefixes.js'
import { readVerdict } from '../lib/route.js'
import { splice } from '../lib/splice.js'
import { CapturedPlace } from './fixtures/places.js'

function fail(): never {
  throw new TypeError('this cannot be read')
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

const trap = new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail })
const getter = Object.defineProperty({}, 'port', { enumerable: true, get: fail })
const item = Object.defineProperty([0], 0, { get: fail })

/** Values that no program passes on purpose, by name. */
const odd: Record<string, unknown> = {
  null: null,
  true: true,
  'a fraction': 1.5,
  'no number': Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  'a negative number': -1,
  'a number beyond 32 bits': 2 ** 40,
  'a bigint': 10n,
  'an empty text': '',
  'a text with a NUL': 'a\0b',
  'half a character': '\ud800',
  'a symbol': Symbol('odd'),
  'a function': () => undefined,
  'an array': [],
  'an array with holes': Array.from({ length: 2 }).fill(0) && Array(2),
  'an array of nothing': [undefined, null],
  'an array of arrays': [[1], [2]],
  'an array of symbols': [Symbol('odd')],
  'an array whose item throws': item,
  'a date': new Date(0),
  'an object whose getter throws': getter,
  'an object whose text throws': { toString: fail, [Symbol.toPrimitive]: fail },
  'a proxy that throws': trap,
  'a proxy that was revoked': revoked({}),
  'an array that was revoked': revoked([]),
  'a pretended signal': Object.create(AbortSignal.prototype),
  'a pretended socket': Object.create(Socket.prototype),
  'a pretended captured socket': Object.create(FaithSocket.prototype),
}

const aborted = AbortSignal.abort()
const addon = { name: 'faith0', listen: () => ({}), relay: () => ({}) } as unknown
const native = addon as NativeInterface

type Call = (value: never) => unknown

/** Makes one call for each option; the value is passed as that option. */
function each(names: string, call: (options: object) => unknown): Record<string, Call> {
  return Object.fromEntries(
    names.split(' ').map((name) => [name, (value: never) => call({ [name]: value })]),
  )
}

const calls: Record<string, Call> = {
  setKeepfaith: (value) => faithd.setKeepfaith(value),
  'embed address': (value) => faithd.embed(value, '64:ff9b::/96'),
  'embed prefix': (value) => faithd.embed('192.0.2.1', value),
  'extract address': (value) => faithd.extract(value, '64:ff9b::/96'),
  'extract prefix': (value) => faithd.extract('64:ff9b::1', value),
  checkAccessList: (value) => faithd.checkAccessList(value),
  'checkAccessList rule': (value) => faithd.checkAccessList([value]),
  'checkAccessList name': (value) => faithd.checkAccessList('', value),
  readAccessList: (value) => faithd.readAccessList(value),
  destinationOf: (value) => faithd.destinationOf(value),
  'destinationOf ends': (value) => faithd.destinationOf({ remoteAddress: value } as never),
  FaithInterface: (value) => Reflect.construct(faithd.FaithInterface, [value]) as unknown,
  FaithListener: (value) => Reflect.construct(faithd.FaithListener, [value]) as unknown,
  FaithRelay: (value) => Reflect.construct(faithd.FaithRelay, [value]) as unknown,
  FaithSocket: (value) => Reflect.construct(FaithSocket, [value]) as unknown,
  verdict: (value) => readVerdict(value),
  'listen options': (value) => FaithListener.open(native, value, () => undefined),
  'relay options': (value) => FaithRelay.open(native, value, () => undefined),
  ...each('name prefixes mtu routes unsupported workers steering shortcut', (options) =>
    faithd.createFaithInterface({ signal: aborted, ...options }),
  ),
  ...each(
    'port ports address backlog mapping mappings allowHalfOpen pauseOnConnect signal',
    (options) =>
      FaithListener.open(native, { signal: aborted, port: 80, ...options }, () => undefined),
  ),
  ...each(
    'accessList connectFirst maxHeld connectTimeoutMs idleTimeoutMs keepAliveTimeoutMs maxSessions localAddresses route proxyProtocol',
    (options) =>
      FaithRelay.open(native, { signal: aborted, port: 80, ...options }, () => undefined),
  ),
  ...each('action client destination localAddress', (rule) =>
    faithd.checkAccessList([{ action: 'permit', destination: '192.0.2.1', ...rule } as never]),
  ),
}

for (const [name, call] of Object.entries(calls)) {
  test(`${name} throws a FaithError or nothing`, async (t) => {
    for (const [what, value] of Object.entries(odd)) {
      const error = await outcome(() => call(value as never))
      t.true(isProper(error), `${what}: ${String(error)}`)
    }
  })
}

/** The error that a call throws, or that its promise rejects with. */
async function outcome(call: () => unknown): Promise<unknown> {
  try {
    await call()
    return undefined
  } catch (error) {
    return error
  }
}

function isProper(error: unknown): boolean {
  if (error === undefined || error instanceof FaithError) return true
  return error instanceof Error && error.name === 'AbortError'
}

test('the methods of a listener and its sockets throw a FaithError or nothing', async (t) => {
  const place = await CapturedPlace.create()
  const taken = place.listener.connections().next()
  const client = place.dial()
  const { value: socket } = await taken
  if (socket === undefined) return t.fail()
  const methods: Record<string, Call> = {
    attach: (value) => place.listener.attach(value),
    'attach inner': (value) => place.listener.attach({ server: value }),
    'attach injecting': (value) => place.listener.attach({ injectSocket: value }),
    connections: (value) => place.listener.connections(value),
    'connections signal': (value) => place.listener.connections({ signal: value }),
    spliceTo: (value) => socket.spliceTo(value),
    'spliceTo host': (value) => socket.spliceTo({ host: value, port: 0 }),
    'spliceTo options': (value) => socket.spliceTo(new Socket(), value),
  }
  for (const [name, call] of Object.entries(methods)) {
    for (const [what, value] of Object.entries(odd)) {
      const error = await outcome(() => call(value as never))
      t.true(isProper(error), `${name} with ${what}: ${String(error)}`)
    }
  }
  client.destroy()
  socket.destroy()
  place.close()
})

const made = [
  { type: faithd.FaithInterface, maker: 'createFaithInterface()' },
  { type: faithd.FaithListener, maker: 'faith.listen()' },
  { type: faithd.FaithRelay, maker: 'faith.relay()' },
]

for (const { type, maker } of made) {
  test(`${type.name} cannot be constructed, and its error names the function that makes it`, (t) => {
    const error = t.throws(() => Reflect.construct(type, []) as unknown, { instanceOf: FaithError })
    t.like(error, { code: 'ERR_FAITH_ARGUMENT', hint: `${maker} makes it` })
  })
}

const root = fileURLToPath(new URL('..', import.meta.url))

test('without its addon the package names the missing one and the remedy in a few lines', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'faithd-bare-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  copyFileSync(`${root}package.json`, join(folder, 'package.json'))
  cpSync(`${root}dist`, join(folder, 'dist'), { recursive: true })
  symlinkSync(`${root}node_modules`, join(folder, 'node_modules'))
  const program = ['--input-type=module', '-e', "await import('faithd')"]
  const { status, stderr } = spawnSync(process.execPath, program, { cwd: folder, encoding: 'utf8' })
  t.is(status, 1)
  t.regex(
    stderr,
    /FaithError: cannot load the native addon of faithd for (linux-\w+-\w+): its package faithd-\1 is not installed; install faithd again/,
  )
  t.regex(stderr, /code: 'ERR_FAITH_PLATFORM'/)
  t.true(stderr.split('\n').length < 20, stderr)

  const command = [join(folder, 'dist/cli/faithd.js'), '-k']
  const faithdCommand = spawnSync(process.execPath, command, { cwd: folder, encoding: 'utf8' })
  t.is(faithdCommand.status, 69)
  t.regex(faithdCommand.stderr, /cannot load the native addon of faithd for linux-/)
})

test('on a platform without a prebuilt addon it says which there are, and how to build one', (t) => {
  const program = `
    Object.defineProperty(process, 'arch', { value: 'riscv64' })
    await import('faithd').catch(({ code, message, hint }) => console.log([code, message, hint].join('\\n')))`
  const args = ['--input-type=module', '-e', program]
  const { stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  const [code, message, hint] = stdout.split('\n')
  t.is(code, 'ERR_FAITH_PLATFORM')
  t.regex(
    String(message),
    /faithd for linux-riscv64-\w+: there are prebuilt ones for linux-x64-gnu, /,
  )
  t.regex(String(hint), /^build it in a checkout of faithd by `npm run build`/)
})

test('a server in two arguments is refused, and the hint shows how to write it', async (t) => {
  const captured = {
    faith: native,
    connection: {} as never,
    socket: new Socket(),
    isCaptured: true,
  }
  const error = await t.throwsAsync(splice(captured, '10.0.0.7', 80), { instanceOf: FaithError })
  t.is(error?.code, 'ERR_FAITH_ARGUMENT')
  t.is(error?.message, 'socket.spliceTo: a server is one argument, with its options inside')
  t.is(error?.hint, 'write spliceTo({ host, port })')
})

test('an id that is no number is refused, and the error says which number it is', (t) => {
  for (const call of ['abort', 'session'] as const) {
    const method: (this: never, id: never) => unknown = FaithRelay.prototype[call]
    t.throws(() => method.call({} as never, '1' as never), {
      code: 'ERR_FAITH_ARGUMENT',
      message: `relay.${call}: \`id\` must be the number that a session has as \`id\`, got '1'`,
    })
  }
})

test('a prefix that the interface has is not added again', async (t) => {
  const added: string[] = []
  const holder = {
    prefixes: () => ['64:ff9b::/96'],
    addPrefix: (prefix: string) => Promise.resolve(added.push(prefix) && prefix),
  } as unknown as NativeInterface
  const prefixes = FaithPrefixes.of(
    holder,
    () => undefined,
    () => undefined,
  )
  await t.throwsAsync(prefixes.add('64:ff9b::/96'), {
    code: 'ERR_FAITH_PREFIX',
    message: '64:ff9b::/96 is there already',
  })
  await prefixes.add('2001:db8::/32')
  t.deepEqual(added, ['2001:db8::/32'])
})
