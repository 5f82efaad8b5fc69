import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { nsdArguments, waitFor } from '../../lab/index.js'
import { costs } from '../accounts.js'
import { nameServerAddress } from '../bed.js'
import type { Bed } from '../bed.js'
import { dnsperf, writeQueries } from '../dnsperf.js'
import type { Metric, Work } from '../work.js'

const group = 'dnsperf'
const names = Array.from({ length: 1000 }, (_, at) => `host-${at}.example.net`)

/** Starts NSD with a zone of these names, and waits until it answers through the subject. */
async function startNameServer(bed: Bed): Promise<void> {
  const folder = join(bed.lab.directory, 'nsd')
  mkdirSync(folder)
  const zone = [
    '$TTL 86400',
    'example.net. IN SOA ns.example.net. admin.example.net. 1 3600 3600 3600 86400',
    'example.net. IN NS ns.example.net.',
    `ns.example.net. IN A ${nameServerAddress}`,
    ...names.map((name, at) => `${name}. IN A 192.0.2.${(at % 250) + 1}`),
    '',
  ]
  writeFileSync(join(folder, 'zone'), zone.join('\n'))
  // Debian's NSD would answer each client 200 times a second.
  const served = { name: 'example.net', file: 'zone' }
  bed.serve('nsd', nsdArguments(folder, nameServerAddress, served, 'rrl-ratelimit: 0'))
  const ask = ['+short', '+tries=1', '+time=1', `@${bed.dial(nameServerAddress)}`, names[0] ?? '']
  await waitFor('the name server to answer', async () => {
    bed.check()
    return (await bed.lab.client.run('dig', ask)).stdout.trim() === '192.0.2.1'
  })
}

export default {
  name: 'dns',
  title: 'DNS',
  about: 'dnsperf through the relay to NSD: many queries at a time, and one alone',
  kinds: ['datagrams'],
  reference: 'faithd-udp',
  quick: false,
  headline: { rate: 'answers', alone: 'alone' },
  metrics: (): Metric[] => {
    const many = { group: `${group}: 100 queries at a time from 4 ports` }
    const less = { unit: 'µs', better: 'less', digits: 1 } as const
    return [
      { ...many, key: 'rate', title: 'answers', unit: '/s', better: 'more', digits: 0 },
      { ...many, ...less, key: 'mean', title: 'mean time' },
      { ...many, ...less, key: 'cost', title: 'relay' },
      { ...many, ...less, key: 'cost_all', title: 'whole path' },
      { ...less, key: 'alone', group: `${group}: one query at a time`, title: 'mean time' },
    ]
  },
  duration: ({ seconds }) => 2 * (seconds + 0.3),
  async run(bed, { seconds }) {
    await startNameServer(bed)
    const file = writeQueries(
      bed,
      'names',
      names.map((name) => `${name} A`),
    )
    const asking = { server: bed.dial(nameServerAddress), file, seconds }
    const one = await dnsperf(bed, 'one query', { ...asking, atOnce: 1, sockets: 1 })
    // socat makes a process for each port, and loses all but one of the datagrams by which new ports come at once.
    if (bed.subject.sessionsAtMost !== undefined) return { alone: one.mean }
    const many = await dnsperf(bed, 'many queries', { ...asking, atOnce: 100, sockets: 4 })
    const { rate, mean, completed, cpu } = many
    return { rate, mean, alone: one.mean, ...costs('cost', cpu, completed / 1e6) }
  },
} satisfies Work
