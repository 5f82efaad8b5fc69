/** Programs that judge a server by connecting: a port scanner, and happy eyeballs. */
import test from 'ava'

import { addresses, createLab } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const open = [7901, 7902, 7903]
const closed = [7911, 7912, 7913]
const filtered = [7921, 7922, 7923]

let lab: Lab
let faithd: Faithd

test.before(async () => {
  lab = await createLab()
  const server = Sockets.of(lab.server)
  await Promise.all([
    lab.server.nginx(),
    ...open.map((port) => server.listen(port)),
    nft(
      lab.server,
      `table inet filter {
        chain input {
          type filter hook input priority filter
          tcp dport { ${filtered.join(', ')} } drop
        }
      }`,
    ),
  ])
  faithd = await startFaithd(lab, [...permitted, '--permit', '203.0.113.0/24'])
})

test.after.always(() => lab.close())

const all = (ports: readonly number[], state: string) => ports.map((port) => [port, state])

/** The state of each port, with nmap's reason for it. */
async function scan(host: Host, ...target: string[]): Promise<Record<string, string>> {
  const ports = [...open, ...closed, ...filtered].join(',')
  // Disables nmap's DNS look-up of its target.
  const { code, stdout, stderr } = await host.run(
    'nmap',
    ['-n', '-sT', '-Pn', '--reason', '-oG', '-', '-v', '-p', ports, ...target],
    { timeout: 60_000 },
  )
  if (code !== 0) throw new Error(stderr)
  const [, list = ''] = /Ports: ([^\t\n]+)/.exec(stdout) ?? []
  return Object.fromEntries(list.split(', ').map((port) => port.split('/').slice(0, 2)))
}

test('a port scanner gets the same results through faithd as from the router', async (t) => {
  const [through, directly] = await Promise.all([
    scan(lab.client, '-6', faithd.address()),
    scan(lab.router, addresses.server),
  ])
  t.deepEqual(
    directly,
    Object.fromEntries([
      ...all(open, 'open'),
      ...all(closed, 'closed'),
      ...all(filtered, 'filtered'),
    ]),
  )
  t.deepEqual(through, directly)
})

test('without connect-first a port scanner sees every port open', async (t) => {
  const place = { name: 'scan1', prefix: '3fff:1::' }
  const args = [...permitted, '--no-connect-first']
  const other = await startFaithd(lab, args, 'by itself', place)
  const states = Object.values(await scan(lab.client, '-6', other.address()))
  t.deepEqual(new Set(states), new Set(['open']))
  t.is(states.length, 9)
})

for (const [what, dead, said] of [
  ['refuses', addresses.serverSecond, 'Connection refused'],
  ['has no route', '203.0.113.1', 'Network is unreachable'],
  ['is not permitted', '10.0.0.1', 'Permission denied'],
] as const) {
  test(`a client whose first address ${what} falls back to the second`, async (t) => {
    const port = 80
    const dialled = what === 'refuses' ? 8080 : port
    const pair = [dead, addresses.server].map((ipv4) => `[${faithd.address(ipv4)}]`)
    if (what === 'refuses') {
      await nft(
        lab.server,
        `table ip pair {
          chain prerouting {
            type nat hook prerouting priority dstnat
            ip daddr ${addresses.server} tcp dport ${dialled} redirect to :${port}
          }
        }`,
      )
    }
    const resolve = ['--resolve', `www.example:${dialled}:${pair.join(',')}`]
    // curl would wait half of this time for a silent first address.
    const url = `http://www.example:${dialled}/whoami`
    const page = await lab.client.run('curl', ['-sSv', '--connect-timeout', '15', ...resolve, url])
    t.is(page.stdout, `${addresses.routerIPv4}\n`, page.stderr)
    t.true(page.stderr.includes(said), page.stderr)
    t.false(page.stderr.includes('timed out'), page.stderr)
  })
}
