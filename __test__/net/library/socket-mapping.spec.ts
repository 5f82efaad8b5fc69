/** The mapping of a captured socket's address follows the options of its listener or relay. */
import test from 'ava'
import { addresses, captured } from '../../../lab/index.js'
import type { MappingOptions } from '../../../index.js'
import type { Faith } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { router, client } = await stage()

/** An address inside 64:ff9b:1::/48. Its last 32 bits hold another IPv4 address than RFC 6052 reads. */
const ambiguous = '64:ff9b:1:c000:2:2100:cb00:7107'
const prefixes = ['64:ff9b::/96', '64:ff9b:1::/48']
const mappings = [
  { ipv6: captured(), ipv4: '203.0.113.80:8080' },
  { ipv6: '64:ff9b:1:c000:2:2100:cb00:0/112', ipv4: '198.18.0.0/16' },
  { ipv6: '64:ff9b:1:c000:2:2100:cb00:7100/120', ipv4: '203.0.113.0/24' },
]

const means: [
  what: string,
  options: MappingOptions,
  dialled: string,
  ipv4: string,
  port: number,
][] = [
  ['RFC 6052 by default', {}, ambiguous, '192.0.2.33', 80],
  ['the last 32 bits with low32', { mapping: 'low32' }, ambiguous, '203.0.113.7', 80],
  ['the longest explicit mapping', { mappings }, ambiguous, '203.0.113.7', 80],
  ['the port of an explicit mapping', { mappings }, captured(), '203.0.113.80', 8080],
  ['RFC 6052 beside them', { mappings }, captured(addresses.serverSecond), '198.51.100.3', 80],
]

/** Captures a socket by a listener or by a relay. */
const capture = {
  'a listener': async (faith: Faith, options: MappingOptions) => {
    const listener = await faith.listen({ port: 80, ...options })
    return () => listener.accept()
  },
  'a route': async (faith: Faith, options: MappingOptions) => {
    const verdicts = { 80: { socket: true } } as const
    const relay = await faith.route({ port: 80, ...options }, { verdicts })
    await relay.take()
    return () => relay.accept()
  },
}

for (const [who, begin] of Object.entries(capture)) {
  for (const [what, options, dialled, ipv4, ipv4Port] of means) {
    test.serial(`a socket captured by ${who} maps to ${what}`, async (t) => {
      await using faith = await router.create({ prefixes })
      const accept = await begin(faith, options)
      await client.dial(dialled, 80)
      const { destination } = (await accept()).facts
      t.like(destination, { port: 80, ipv4, ipv4Port })
    })
  }
}

const malformed: [options: object, complaint: RegExp][] = [
  [{ mapping: 'rfc3142' }, /^faith\.listen: `mapping` must be 'rfc6052' or 'low32'/],
  [{ mappings: [7] }, /^faith\.listen: `mappings` must be an array of strings or \{ ipv6, ipv4 }/],
  [{ mappings: [{ ipv6: '::1' }] }, /^faith\.listen: a mapping of `mappings`: `ipv4` must be/],
  [{ mappings: ['64:ff9b::/120=192.0.2.1'] }, /^mapping `64:ff9b::\/120=192\.0\.2\.1`: /],
  [{ mappings: ['64:ff9b::1=192.0.2.1', '64:ff9b::1=192.0.2.2'] }, /is mapped twice/],
]

test.serial('malformed mappings are refused, and leave the port free', async (t) => {
  await using faith = await router.create()
  for (const [options, message] of malformed) {
    const listening = faith.listen({ port: 80, ...options })
    await t.throwsAsync(listening, { code: 'ERR_FAITH_ARGUMENT', message })
  }
  await faith.listen({ port: 80 }, 'here')
  t.like(await client.greeting(captured(), 80), { from: 'here' })
})
