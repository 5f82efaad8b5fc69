/**
 * A CLAT on the client, as phones have one (RFC 6877): it learns the prefix from the advertisements of faithd, and gives
 * programs that know only IPv4 a way through faithd. TAYGA translates.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { Advertisements } from '../fixtures/advertisements.js'
import { permitted } from '../fixtures/faithd.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.nginx()
})

test.after.always(() => lab.close())

async function run(host: Host, command: string): Promise<string> {
  const { code, stdout, stderr } = await host.run('sh', ['-c', command])
  if (code !== 0) throw new Error(`${command}: ${stderr}`)
  return stdout.trim()
}

/** Starts the CLAT: 192.0.0.1 of RFC 7335 is the client's IPv4 address, and 2001:db8:1::c1a7 stands for it. */
async function startClat(prefix: string): Promise<void> {
  const file = join(lab.directory, 'tayga.conf')
  const settings = [
    'tun-device clat',
    `prefix ${prefix}`,
    'ipv4-addr 192.0.0.2',
    'ipv6-addr 2001:db8:1::c1a6',
    'map 192.0.0.1 2001:db8:1::c1a7',
  ]
  writeFileSync(file, `${settings.join('\n')}\n`)
  await run(lab.client, `tayga -c ${file} --mktun`)
  await run(
    lab.client,
    'ip link set clat up && ip addr add 192.0.0.1/29 dev clat && ip route add default dev clat && ' +
      'ip -6 route add 2001:db8:1::c1a7 dev clat && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding && ' +
      'ip -6 neigh add proxy 2001:db8:1::c1a7 dev eth0 && echo 1 >/proc/sys/net/ipv6/conf/eth0/proxy_ndp',
  )
  lab.client.spawn('tayga', ['-c', file, '--nodetach', '-p', join(lab.directory, 'tayga.pid')])
}

test('a program that knows only IPv4 reaches a server by the prefix that faithd advertises', async (t) => {
  const fetch = ['-4', '-sS', '--max-time', '5', `http://${addresses.server}/whoami`]
  t.not((await lab.client.run('curl', fetch)).code, 0)

  const heard = await Advertisements.on(lab.client, 'eth0')
  const prefix = '2001:db8:64::/96'
  await lab.router.faithd(['-k', '-P', prefix, ...permitted, '--advertise', 'lan0'])
  const { prefixes } = await heard.next((one) => one.prefixes.length > 0)
  t.deepEqual(prefixes, [{ prefix, lifetime: 1800 }])

  await startClat(prefixes[0]?.prefix ?? '')
  await waitFor('TAYGA to translate', async () => {
    const { stdout } = await lab.client.run('curl', fetch)
    return stdout === `${addresses.routerIPv4}\n`
  })
})
