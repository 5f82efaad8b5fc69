import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'

/** The server's address, taken from the examples of RFC 6052. */
const ipv4 = '192.0.2.33'

let lab: Lab
let rfc6052: Faithd
let low32: Faithd

test.before(async () => {
  lab = await createLab()
  await Promise.all([
    lab.server.nginx(),
    lab.server.run('ip', ['addr', 'add', `${ipv4}/32`, 'dev', 'eth0']),
    lab.router.run('ip', ['route', 'add', ipv4, 'via', addresses.server]),
  ])
  const permit = ['--permit', '192.0.2.0/24']
  rfc6052 = await startFaithd(lab, [...permit, ...prefixes(examples)])
  const other = { name: 'faith1', prefix: '3fff:64::' }
  const args = [...permit, ...prefixes(lowExamples), '--mapping', 'low32']
  low32 = await startFaithd(lab, args, 'by itself', other)
})

test.after.always(() => lab.close())

function prefixes(list: readonly Example[]): string[] {
  return list.flatMap(([prefix]) => ['-P', prefix])
}

/** A prefix, and an address inside it that maps to `ipv4`. */
type Example = readonly [prefix: string, dialled: string]

/** Examples of RFC 6052 section 2.4, with prefixes that differ, so that one faithd can have them all. */
const examples: readonly Example[] = [
  ['3fff:100::/32', '3fff:100:c000:221::'],
  ['3fff:200:100::/40', '3fff:200:1c0:2:21::'],
  ['3fff:300:122::/48', '3fff:300:122:c000:2:2100::'],
  ['3fff:400:122:300::/56', '3fff:400:122:3c0:0:221::'],
  ['3fff:500:122:344::/64', '3fff:500:122:344:c0:2:2100:0'],
  ['3fff:600:122:344::/96', '3fff:600:122:344::c000:221'],
]

/** The same address in the last 32 bits; RFC 6052 would read another address. */
const lowExamples: readonly Example[] = [
  ['3fff:101::/32', '3fff:101:c633:6402::c000:221'],
  ['3fff:201:100::/40', '3fff:201:1c6:3364:2:0:c000:221'],
  ['3fff:301:122::/48', '3fff:301:122:c633:64:200:c000:221'],
  ['3fff:401:122:300::/56', '3fff:401:122:3c6:33:6402:c000:221'],
  ['3fff:501:122:344::/64', '3fff:501:122:344::c000:221'],
  ['3fff:601:122:344::/96', '3fff:601:122:344::c000:221'],
]

/** Fetches a page from an address, and returns it with the server that faithd logged. */
async function visit(faithd: Faithd, dialled: string) {
  const page = await lab.client.run('curl', ['-sSv', `http://[${dialled}]/whoami`])
  const { server, reason } = await waitFor('the session’s record', () => {
    const records = [...faithd.sessions, ...faithd.refusals]
    return records.find((record) => record.destination.address === dialled)
  })
  return { page: page.stdout, meant: server?.address, reason, why: page.stderr }
}

const served = { page: `${addresses.routerIPv4}\n`, meant: ipv4, reason: 'closed' }

for (const [prefix, dialled] of examples) {
  test(`${dialled} of ${prefix} maps to ${ipv4}`, async (t) => {
    t.like(await visit(rfc6052, dialled), served)
  })
}

for (const [prefix, dialled] of lowExamples) {
  test(`with --mapping low32, ${dialled} of ${prefix} maps to ${ipv4}`, async (t) => {
    t.like(await visit(low32, dialled), served)
  })
}

for (const dialled of ['3fff:100:c000:221:0:1:2:3', '3fff:500:122:344:c0:2:21ff:ffff']) {
  test(`bits behind the IPv4 address have no effect: ${dialled}`, async (t) => {
    t.like(await visit(rfc6052, dialled), served)
  })
}

for (const [dialled, meant] of [
  ['3fff:100:7f00:1::', '127.0.0.1'],
  ['3fff:300:122:c633:64:200::', addresses.server],
] as const) {
  test(`policy judges the mapped address in any prefix: ${dialled}`, async (t) => {
    const { page, why, ...rest } = await visit(rfc6052, dialled)
    t.deepEqual({ page, ...rest }, { page: '', meant, reason: 'denied' })
    t.regex(why, /failed: Permission denied/)
  })
}
