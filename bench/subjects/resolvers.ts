import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { addresses, authorityArguments, unboundArguments, waitFor } from '../../lab/index.js'
import type { Bed } from '../bed.js'
import { startFaithdFrom } from '../faithd.js'
import type { Need, Subject } from '../subject.js'

/** Names of each kind. A resolver's cache holds them all. */
export const nameCount = 1000

const prefix = '2001:db8:64::/96'
const authority: Need[] = [
  { program: '/usr/sbin/named', package: 'bind9' },
  { program: 'dig', package: 'bind9-dnsutils' },
  { program: 'dnsperf', package: 'dnsperf' },
]

/** A zone of names with an IPv4 address alone, and of names with an IPv6 address, on the server. */
function startAuthority(bed: Bed): void {
  const each = Array.from({ length: nameCount }, (_, at) => at)
  const records = [
    ...each.map((at) => `v4-${at}.example.net. IN A 198.51.100.${(at % 250) + 2}`),
    ...each.map((at) => `v6-${at}.example.net. IN AAAA 2001:db8:3::${at + 1}`),
  ]
  const folder = join(bed.lab.directory, 'authority')
  bed.serve('named', authorityArguments(folder, records, { ttl: 86_400, absence: 86_400 }))
}

async function startUnbound(bed: Bed): Promise<void> {
  startAuthority(bed)
  const args = unboundArguments(
    join(bed.lab.directory, 'unbound'),
    { listen: [addresses.gateway], forward: addresses.server },
    'module-config: "dns64 iterator"',
    `dns64-prefix: ${prefix}`,
  )
  bed.relay('unbound', args)
}

function startFaithdResolver(bed: Bed): void {
  startAuthority(bed)
  const file = join(bed.lab.directory, 'faithd.toml')
  const configuration = `[dns64]
listen = ["${addresses.gateway}"]
upstreams = ["${addresses.server}"]
max-rate-per-client = 0
[[interface]]
prefixes = ["${prefix}"]
[[interface.relay]]
rules = ["permit 198.51.100.0/24"]
`
  writeFileSync(file, configuration)
  startFaithdFrom(bed, file)
}

/** Waits until the resolver answers. */
async function answers(bed: Bed): Promise<void> {
  const args = ['+short', '+tries=1', '+time=1', `@${addresses.gateway}`, 'AAAA']
  await waitFor('the resolver to answer', async () => {
    bed.check()
    const [made, own] = await Promise.all(
      ['v4-0', 'v6-0'].map((name) => bed.lab.client.run('dig', [...args, `${name}.example.net`])),
    )
    return (
      made?.stdout.trim() === '2001:db8:64::c633:6402' && own?.stdout.trim() === '2001:db8:3::1'
    )
  })
}

const part = { kind: 'resolvers', answers } as const

export default [
  {
    ...part,
    name: 'faithd-dns64',
    title: 'faithd',
    about:
      'faithd --dns64, which has one thread, in front of an authority, for the work item dns64',
    needs: authority,
    package: 'bind9',
    start: startFaithdResolver,
  },
  {
    ...part,
    name: 'unbound-dns64',
    title: 'unbound',
    about: 'with DNS64 and one thread, in front of the same authority',
    needs: [{ program: '/usr/sbin/unbound', package: 'unbound' }, ...authority],
    start: startUnbound,
  },
] satisfies Subject[]
