/** A route's answer is a valid verdict, or gives an error of the library that names the fault. */
import { isIP } from 'node:net'
import * as fc from 'fast-check'
import test from 'ava'
import { FaithError } from '../index.js'
import type { NativeVerdict } from '../lib/native.js'
import { insteadOf } from '../lib/ip.js'
import { readVerdict } from '../lib/route.js'
import { cases } from './fixtures/cases.js'

const REJECTS = ['refused', 'unreachable', 'prohibited', 'drop'] as const
const port = fc.integer({ min: 1, max: 65_535 })

/** Any JavaScript value, including functions, symbols and objects without a prototype. */
const anything = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
  fc.anything({
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withBoxedValues: true,
  }),
  fc.constantFrom(
    Symbol('one'),
    () => undefined,
    Map,
    -0,
    Number.NaN,
    [undefined],
    new Proxy({}, {}),
  ),
)

/**
 * Values close to verdicts: the right names, with right and wrong values. No host is a name, so the resolver is not
 * asked.
 */
const nearly = fc.record(
  {
    host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('', 7, null), nothingToResolve()),
    port: fc.oneof(port, fc.integer(), fc.double(), anything),
    allowAny: fc.oneof(fc.boolean(), anything),
    localAddress: fc.oneof(fc.ipV4(), fc.ipV6(), anything),
    privilegedLocalPort: fc.oneof(fc.boolean(), anything),
    proxyProtocol: fc.oneof(fc.constantFrom(1, 2, 3, '1', null), anything),
    idleTimeoutMs: fc.oneof(fc.nat(), anything),
    maxBytes: fc.oneof(fc.maxSafeNat(), anything),
    tag: fc.oneof(fc.string(), anything),
    proceed: fc.oneof(fc.boolean(), anything),
    reject: fc.oneof(fc.constantFrom(...REJECTS), anything),
    socket: fc.oneof(fc.boolean(), anything),
    ports: anything,
  },
  { requiredKeys: [] },
)

/** Makes IPv6 addresses that do not stand for an IPv4 one. */
function ipV6() {
  return fc.ipV6().filter((address) => insteadOf(address) === undefined)
}

/** Any value but a string: a string would be looked up as a name. */
function nothingToResolve() {
  return anything.filter((one) => typeof one !== 'string')
}

async function read(answer: unknown): Promise<NativeVerdict | FaithError> {
  try {
    return await readVerdict(answer)
  } catch (error) {
    if (error instanceof FaithError) return error
    throw new Error(`not an error of the library: ${String(error)}`, { cause: error })
  }
}

/** True if the addon accepts the verdict, with no other properties. */
function isVerdict(verdict: NativeVerdict): boolean {
  const { host, port: to = 0, idleTimeoutMs, maxBytes, tag, ...others } = verdict
  if (idleTimeoutMs !== undefined && !(idleTimeoutMs >= 0 && idleTimeoutMs < 2 ** 32)) return false
  if (maxBytes !== undefined && !(maxBytes >= 1 && Number.isSafeInteger(maxBytes))) return false
  if (tag !== undefined && Buffer.byteLength(tag) > 256) return false
  const names = Object.keys(others).toSorted().join(' ')
  if (names === 'socket') return verdict.socket === true
  if (names === 'reject') return REJECTS.some((one) => one === verdict.reject)
  if (host === undefined)
    return /^(localAddress)? ?(privilegedLocalPort)? ?(proxyProtocol)?$/.test(names)
  return (
    /^(allowAny)? ?(localAddress)? ?(privilegedLocalPort)? ?(proxyProtocol)?$/.test(names) &&
    isIP(host) !== 0 &&
    (verdict.localAddress === undefined || isIP(verdict.localAddress) === isIP(host)) &&
    Number.isInteger(to) &&
    to > 0 &&
    to < 65_536
  )
}

test('any answer is a verdict that the addon accepts, or an error with a code and a message', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 3, arbitrary: nearly }, anything), async (answer) => {
      const verdict = await read(answer)
      if (verdict instanceof FaithError) {
        if (!/^the verdict\b.{5,}/s.test(verdict.message)) throw verdict
        if (verdict.code !== 'ERR_FAITH_ARGUMENT') throw verdict
      } else if (!isVerdict(verdict)) {
        throw new Error(`not a verdict: ${JSON.stringify(verdict)}`)
      }
    }),
    cases,
  )
  t.pass()
})

test('an object whose property throws gives an error of its own', async (t) => {
  const thrown = new Error('on purpose')
  const answer = {
    host: '192.0.2.1',
    get port(): number {
      throw thrown
    },
  }
  const error = await t.throwsAsync(readVerdict(answer), { instanceOf: FaithError })
  t.is(error?.cause, thrown)
})

test('a legal verdict is read unchanged', async (t) => {
  const options = {
    localAddress: fc.ipV4(),
    privilegedLocalPort: fc.boolean(),
    proxyProtocol: fc.constantFrom<(1 | 2)[]>(1, 2),
    idleTimeoutMs: fc.nat(),
    maxBytes: fc.maxSafeNat().filter((bytes) => bytes > 0),
    tag: fc.string({ maxLength: 64 }),
  }
  const servers = [fc.ipV4(), ipV6()].map((host) =>
    fc.record(
      { host, port, allowAny: fc.constant(true), ...options, localAddress: host },
      { requiredKeys: ['host', 'port'] },
    ),
  )
  const proceed = fc.record(
    { proceed: fc.constant(true), socket: fc.constant(true), ...options },
    { requiredKeys: ['proceed'] },
  )
  const legal = fc.oneof(
    ...servers,
    proceed,
    fc.constantFrom(...REJECTS).map((reject) => ({ reject })),
    fc.constant({ socket: true }),
  )
  await fc.assert(
    fc.asyncProperty(legal, async (verdict) => {
      const given = await read(verdict)
      // Adds `proceed`, which the addon does not get: it follows from the other properties.
      if ('proceed' in verdict) Object.assign(given, { proceed: true })
      if (JSON.stringify(given, Object.keys(verdict)) !== JSON.stringify(verdict)) {
        throw new Error(`${JSON.stringify(verdict)} was read as ${JSON.stringify(given)}`)
      }
    }),
    cases,
  )
  t.pass()
})

test('a verdict that combines two kinds is refused', async (t) => {
  const kinds = fc.record({
    proceed: fc.constant(true),
    reject: fc.constantFrom(...REJECTS),
    socket: fc.constant(true),
    host: fc.ipV4(),
  })
  const two = fc.tuple(
    kinds,
    fc
      .subarray(['proceed', 'reject', 'socket', 'host'], { minLength: 2 })
      // These two go together: the program stands between.
      .filter((chosen) => chosen.join() !== 'proceed,socket'),
  )
  await fc.assert(
    fc.asyncProperty(two, port, async ([all, chosen], to) => {
      const given = Object.entries(all).filter(([name]) => chosen.includes(name))
      const answer = await read(Object.fromEntries([...given, ['port', to]]))
      if (!(answer instanceof FaithError)) throw new Error(`accepted: ${JSON.stringify(answer)}`)
    }),
    cases,
  )
  t.pass()
})
