/**
 * faithd, unbound and BIND with DNS64 answer the same queries over one signed zone. Where they differ, {@link differences}
 * says why. The spec fails if they differ elsewhere, and if a difference of the list is gone.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, createLab } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted } from '../fixtures/faithd.js'
import { ports, startResolvers, upstream } from '../fixtures/dns64-resolvers.js'

const prefix = '2001:db8:64::/96'
const reverse = (host: string) =>
  `${host}.4.6.3.3.6.c.0.0.0.0.0.0.0.0.4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa`

const records = [
  'v4.example.net. IN A 198.51.100.2',
  ...[2, 3, 4].map((host) => `three.example.net. IN A 198.51.100.${host}`),
  'v6.example.net. IN AAAA 2001:db8:3::2',
  'both.example.net. IN A 198.51.100.2',
  'both.example.net. IN AAAA 2001:db8:3::2',
  'private.example.net. IN A 10.0.0.1',
  'text.example.net. IN TXT "no address"',
  'text.example.net. IN MX 10 v4.example.net.',
  'service.example.net. IN HTTPS 1 . alpn=h2 ipv4hint=198.51.100.2',
  'alias.example.net. IN CNAME v4.example.net.',
  'alias-alias.example.net. IN CNAME alias.example.net.',
  'alias-v6.example.net. IN CNAME v6.example.net.',
  'alias-text.example.net. IN CNAME text.example.net.',
  'alias-none.example.net. IN CNAME none.example.net.',
  'circle.example.net. IN CNAME circle-2.example.net.',
  'circle-2.example.net. IN CNAME circle.example.net.',
  'hosts.example.net. IN A 198.51.100.9',
  'v4.hosts.example.net. IN A 198.51.100.2',
  'both.hosts.example.net. IN A 198.51.100.2',
  'both.hosts.example.net. IN AAAA 2001:db8:3::2',
  'dept.example.net. IN DNAME hosts.example.net.',
  '*.wild.example.net. IN A 198.51.100.2',
  '*.wild-alias.example.net. IN CNAME v4.example.net.',
  'mapped.example.net. IN AAAA ::ffff:198.51.100.2',
  'mapped-v4.example.net. IN AAAA ::ffff:198.51.100.2',
  'mapped-v4.example.net. IN A 198.51.100.2',
  'mapped-v6.example.net. IN AAAA ::ffff:198.51.100.2',
  'mapped-v6.example.net. IN AAAA 2001:db8:3::2',
  ...['mapped', 'mapped-v4', 'mapped-v6', 'private', 'both', 'bogus', 'bogus-none'].map(
    (name) => `alias-${name}.example.net. IN CNAME ${name}.example.net.`,
  ),
  'bogus.example.net. IN A 198.51.100.66',
  'bogus-none.example.net. IN A 198.51.100.2',
  'bogus-none.example.net. IN HINFO "lab" "lab"',
  'bogus6.example.net. IN AAAA 2001:db8:66::1',
  'bogus6.example.net. IN A 198.51.100.2',
  ...Array.from({ length: 60 }, (_, host) => `large.example.net. IN A 198.51.100.${host + 2}`),
  '2.100.51.198.in-addr.arpa. IN PTR v4.example.net.',
  'a.2.100.51.198.in-addr.arpa. IN TXT "below"',
  '3.100.51.198.in-addr.arpa. IN CNAME 3.0-63.100.51.198.in-addr.arpa.',
  '3.0-63.100.51.198.in-addr.arpa. IN PTR three.example.net.',
]

/** Changes records without signing them again. The last one says that a name has no AAAA record. */
const forge = (zone: string) =>
  zone
    .replace('198.51.100.66', '198.51.100.67')
    .replace('2001:db8:66::1', '2001:db8:66::2')
    .replace(' A HINFO RRSIG', ' A RRSIG')

/** The names that have records, without the patterns and the reverse names. */
const names = new Set(records.map((record) => record.split(' ')[0] ?? ''))
const questions = [
  ...[...names].filter((name) => !/^\*|arpa\.$/.test(name)).map((name) => `${name} AAAA`),
  'v4.dept.example.net. AAAA',
  'both.dept.example.net. AAAA',
  'none.dept.example.net. AAAA',
  'any.wild.example.net. AAAA',
  'any.wild-alias.example.net. AAAA',
  'none.example.net. AAAA',
  'V4.Example.NET. AAAA',
  'service.example.net. HTTPS',
  'text.example.net. MX',
  'three.example.net. A',
  'v4.example.net. ANY',
  `${reverse('2.0')} PTR`,
  `${reverse('3.0')} PTR`,
  `${reverse('4.0')} PTR`,
  `${reverse('2.0')} NS`,
  '2.100.51.198.in-addr.arpa. PTR',
]

/** Options of dig for each way to ask. */
const ways = {
  plain: ['+noedns', '+noad'],
  EDNS: ['+edns=0', '+noad'],
  AD: ['+edns=0', '+ad'],
  DO: ['+dnssec', '+noad'],
  CD: ['+edns=0', '+cd', '+noad'],
  'CD+DO': ['+dnssec', '+cd', '+noad'],
  TCP: ['+noedns', '+noad', '+tcp'],
} as const

/** The differences: `RESOLVER WAY NAME TYPE: PARTS`, and why faithd is right to differ. */
const differences: readonly (readonly [line: RegExp, why: string])[] = [
  [
    /^(unbound|BIND) (AD|DO) \S+ AAAA: made ad$/,
    'faithd does not validate by itself, so an answer that it made never says that it is authentic',
  ],
  [
    /^BIND (AD|DO) (alias-)?mapped\S* AAAA: ad$/,
    'the same for an answer without the excluded records: the zone has others',
  ],
  [
    /^unbound \S+ (alias-)?mapped\S* AAAA: (made )?(ad )?answers$/,
    'unbound excludes no IPv4-mapped addresses, which RFC 6147 section 5.1.4 asks for',
  ],
  [
    /^unbound \S+ (alias-)?bogus-none\S+ AAAA: NOERROR\/SERVFAIL (ad )?answers$/,
    'Debian 12 has an unbound that makes addresses though the absence of AAAA records is bogus, against section 5.5',
  ],
  [
    /^BIND CD(\+DO)? \S+ AAAA: /,
    'BIND with break-dnssec makes addresses for clients that validate, against RFC 6147 section 5.5',
  ],
  [
    /^BIND \S+ circle\S* AAAA: (ad )?answers$/,
    'BIND shows a circle of aliases with its SERVFAIL; the upstream of faithd shows none',
  ],
  [
    /^BIND \S+ V4\.Example\.NET\. AAAA: made (ad )?answers$/,
    'BIND writes the name as the zone does, and faithd as the client does',
  ],
  [
    /^BIND plain large\S+ AAAA: answers$/,
    'BIND fills a truncated answer with some of the records, which a client must not use (RFC 2181 section 9)',
  ],
  [
    /^unbound (AD|DO) large\S+ AAAA: ad$/,
    'a truncated answer is empty, so it says nothing that could be authentic',
  ],
  [
    /^unbound \S+ v4\S+ ANY: answers$/,
    'unbound adds addresses that it made to all records of a name; RFC 6147 concerns AAAA queries alone',
  ],
  [
    /^BIND \S+ v4\S+ ANY: answers$/,
    'BIND gives the NSEC record, too; faithd passes what its upstream gives',
  ],
]

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await startResolvers(lab, prefix, records, forge)
  const dns64 = ['--dns64', addresses.gateway, '--dns64-upstream', upstream]
  const rules = [...permitted, '--permit', '10.0.0.0/8']
  await lab.router.faithd(['-k', '-P', prefix, '--drain', '0', '--no-control', ...rules, ...dns64])
})
test.after.always(() => lab.close())

interface Answer {
  status: string
  flags: string[]
  /** The records without TTLs; of signatures the type that they sign. */
  answers: string[]
}

/** Asks all questions by one process, and gives the answers by question. */
async function ask(port: number, way: readonly string[]): Promise<Map<string, Answer>> {
  const file = join(lab.directory, `questions-${port}-${way.join('')}`)
  writeFileSync(file, questions.map((question) => `${question}\n`).join(''))
  const show = ['+noall', '+comments', '+answer', '+nocookie', '+ignore', '+tries=2', '+time=10']
  const args = ['-p', String(port), `@${addresses.gateway}`, ...show, ...way, '-f', file]
  const { code, stdout, stderr } = await lab.client.run('dig', args, { timeout: 120_000 })
  const [, ...blocks] = stdout.split(';; Got answer:')
  if (code !== 0 || blocks.length !== questions.length) throw new Error(`dig: ${stdout}${stderr}`)
  return new Map(questions.map((question, at) => [question, read(blocks[at] ?? '')]))
}

function read(block: string): Answer {
  const status = /status: (\w+)/.exec(block)?.[1] ?? ''
  const flags = /flags: ([a-z ]*)/.exec(block)?.[1]?.trim().split(' ') ?? []
  const lines = block.split('\n').filter((line) => line !== '' && !line.startsWith(';'))
  const answers = lines.map((line) => {
    const [owner = '', , , type = '', ...data] = line.split(/\s+/)
    return `${owner} ${type} ${type === 'RRSIG' ? data[0] : data.join(' ')}`
  })
  return { status, flags, answers: answers.toSorted() }
}

/** The parts in which two answers differ, apart by spaces; `made` before them if faithd made addresses. */
function parts(theirs: Answer, ours: Answer): string {
  const differ = [
    ...(theirs.status === ours.status ? [] : [`${theirs.status}/${ours.status}`]),
    ...['qr', 'aa', 'tc', 'rd', 'ra', 'ad', 'cd'].filter(
      (flag) => theirs.flags.includes(flag) !== ours.flags.includes(flag),
    ),
    ...(theirs.answers.join() === ours.answers.join() ? [] : ['answers']),
  ]
  const made = ours.answers.some((record) => record.includes('2001:db8:64::'))
  return differ.length > 0 && made ? `made ${differ.join(' ')}` : differ.join(' ')
}

const seen = new Set<RegExp>()

for (const [way, options] of Object.entries(ways)) {
  test.serial(`faithd answers as unbound and BIND do: ${way}`, async (t) => {
    const [ours, ...others] = await Promise.all(
      [53, ports.unbound, ports.BIND].map((port) => ask(port, options)),
    )
    for (const [at, name] of ['unbound', 'BIND'].entries()) {
      for (const question of questions) {
        const [mine, theirs] = [ours?.get(question), others[at]?.get(question)]
        if (mine === undefined || theirs === undefined) throw new Error(question)
        const differ = parts(theirs, mine)
        const line = `${name} ${way} ${question}: ${differ}`
        const known = differences.find(([expected]) => differ !== '' && expected.test(line))
        if (known !== undefined) seen.add(known[0])
        else t.deepEqual(mine, theirs, line)
      }
    }
  })
}

test.serial('the list has no difference that is gone', (t) => {
  t.deepEqual(
    differences.filter(([line]) => !seen.has(line)).map(([line]) => String(line)),
    [],
  )
})
