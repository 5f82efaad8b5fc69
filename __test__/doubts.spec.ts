/** Settings that are legal but probably not meant give warnings. */
import test from 'ava'
import { check } from '../cli/check.js'
import { parseConfiguration } from '../cli/configuration-file.js'
import { doubts } from '../cli/meaning.js'
import { originOf } from '../cli/origin.js'

const host = new Set(['127.0.0.1', '192.0.2.1', '2001:db8:1::1', '::1'])

/** The doubts about one interface with one relay that has these settings. */
async function about(relay: readonly string[], faith: readonly string[] = []): Promise<string[]> {
  const text = ['[[interface]]', ...faith, '[[interface.relay]]', ...relay].join('\n')
  return await aboutFile(text)
}

async function aboutFile(text: string): Promise<string[]> {
  const file = parseConfiguration(text, '/faithd.toml')
  return doubts(await check(file.configuration, originOf(file, new Map())), host)
}

const rules = (...lines: string[]): string[] => [`rules = ${JSON.stringify(lines)}`]

for (const [what, relay, faith, says] of [
  ['a configuration without oddities', rules('permit 10.0.0.0/8', 'permit 0.0.0.0/0'), [], []],
  ['no rules at all', [], [], []],
  [
    'a list that permits nothing',
    rules('deny 10.0.0.0/8'),
    [],
    ['no rule permits anything, so every connection is denied'],
  ],
  [
    'a rule behind a wider one',
    rules('permit 0.0.0.0/0', '2001:db8::/32 deny 8.8.8.0/24 port 25'),
    [],
    [
      "the rule '2001:db8::/32 deny 8.8.8.0/24 port 25' never decides: '::/0 permit 0.0.0.0/0' stands before it and matches everything that it matches",
    ],
  ],
  [
    'a rule that opens a private network behind one that permits all',
    rules('permit 0.0.0.0/0', 'permit 10.0.0.0/8'),
    [],
    [],
  ],
  [
    'loopback that is permitted and not allowed',
    rules('permit 127.0.0.0/8'),
    [],
    ['a rule permits 127.0.0.0/8, but faithd denies it: loopback needs --allow-loopback'],
  ],
  ['loopback that is allowed', [...rules('permit 127.0.0.0/8'), 'allow-loopback = true'], [], []],
  [
    'a source that the host lacks',
    ['source = ["192.0.2.1", "192.0.2.9"]'],
    [],
    ['the source 192.0.2.9 is no address of this host'],
  ],
  [
    'a prefix that the host itself is in',
    [],
    ['prefixes = ["2001:db8:1::/64"]'],
    [
      'the prefix 2001:db8:1::/64 has 2001:db8:1::1 inside, an address of this host; choose a prefix that no network uses, or faithd captures connections to that network',
    ],
  ],
  [
    'a prefix without a route where faithd makes none',
    [],
    ['routes = false', 'name = "none0"'],
    [
      'no route leads 64:ff9b::/96 to none0, and faithd makes none; add one: ip -6 route add 64:ff9b::/96 dev none0',
    ],
  ],
] as const) {
  test(`${what}: ${says.length === 0 ? 'no warning' : 'a warning'}`, async (t) => {
    t.deepEqual(await about(relay, faith), [...says])
  })
}

test('where there are several, warnings name the interface and the ports', async (t) => {
  const text = `
    [[interface]]
    [[interface.relay]]
    ports = 22
    [[interface.relay]]
    ports = 80
    rules = ["deny 0.0.0.0/0"]
    [[interface]]
    name = "faith1"
    prefixes = ["2001:db8:64::/96"]`
  t.deepEqual(await aboutFile(text), [
    'faith0: ports 80: no rule permits anything, so every connection is denied',
  ])
})

/** A local service with this program. */
const service = (program: string): string => `[[local]]\nport = 23\ncommand = ["${program}"]\n`

test('a local service without its program draws a warning', async (t) => {
  t.deepEqual(await aboutFile(`${service('/usr/libexec/telnetd')}[[interface]]`), [
    'the local service on port 23 cannot start /usr/libexec/telnetd: no such file or directory; its clients are reset',
  ])
  t.deepEqual(await aboutFile(`${service('/etc/passwd')}[[interface]]`), [
    'the local service on port 23 cannot start /etc/passwd: permission denied; its clients are reset',
  ])
  t.deepEqual(await aboutFile(`${service('/bin/cat')}[[interface]]`), [])
})

for (const [records, size, says] of [
  ['blocks', 0, 1],
  ['blocks', 512, 0],
  ['sessions', 0, 0],
] as const) {
  test(`records of ${records} with blocks of ${size} ports: ${says === 0 ? 'no warning' : 'a warning'}`, async (t) => {
    const log = ['[log]', `records = "${records}"`]
    const relay = ['[[interface.relay]]', 'source = ["192.0.2.1"]', `port-block = ${size}`]
    const found = await aboutFile([...log, '[[interface]]', ...relay].join('\n'))
    t.deepEqual(
      found,
      Array<string>(says).fill(
        '--log-records blocks records nothing without --port-block; set that, or --log-records sessions',
      ),
    )
  })
}

const fileWith = (...lines: string[]) => ['[dns64]', ...lines, '[[interface]]'].join('\n')

test('a DNS server that answers every host draws a warning', async (t) => {
  const upstreams = 'upstreams = ["192.0.2.53"]'
  const withClients = (...clients: string[]) =>
    aboutFile(fileWith('listen = ["::"]', upstreams, `clients = ${JSON.stringify(clients)}`))
  t.deepEqual(await withClients('2001:db8:1::/64', '::/0'), [
    '--dns64-client ::/0 gives every host that reaches this one answers to its DNS queries; keep port 53 closed to the ' +
      'Internet, or name the networks of your clients',
  ])
  t.deepEqual(await withClients(), [])
  t.deepEqual(await withClients('2001:db8:1::/64'), [])
})
