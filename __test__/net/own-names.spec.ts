/** Tests examples/own-names.mjs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, createLab } from '../../lab/index.js'
import { startExample } from '../fixtures/examples.js'
import { startNameServer } from '../fixtures/name-server.js'

const lab = await createLab()
await startNameServer(lab, [
  'www.example.net. 300 A 198.51.100.2',
  'ads.example.net. 300 A 198.51.100.2',
])
test.after.always(() => lab.close())

const prefix = '2001:db8:64::/96'
const hosts = join(lab.directory, 'hosts.txt')
writeFileSync(
  hosts,
  [
    '# the servers of this network',
    '198.51.100.2 Web.Internal www.internal',
    '198.51.100.3 www.internal',
    '2001:db8::7 six.internal',
    '0.0.0.0 ads.example.net # and all below it',
  ].join('\n'),
)

/** The status and the sorted records that a client gets. */
async function dig(type: string, name: string): Promise<string> {
  const args = ['+noall', '+comments', '+answer', '+tries=1', '+time=10', `@${addresses.gateway}`]
  const { code, stdout } = await lab.client.run('dig', [...args, type, name])
  if (code !== 0) throw new Error(stdout)
  const [, status = ''] = /status: (\w+)/.exec(stdout) ?? []
  const data = Array.from(stdout.matchAll(/^[^;\s]\S*\s.*\s(\S+)$/gm), ([, last = '']) => last)
  return [status, ...data.toSorted()].join(' ')
}

const usual = ['--prefix', prefix, '--upstream', addresses.server, '--open', '198.51.100.0/24']
const start = (...args: string[]) =>
  startExample(lab.router, 'own-names', [...usual, ...args, hosts])

test.serial('names of the file get its addresses, and blocked names do not exist', async (t) => {
  await using example = await start()
  t.is(await dig('AAAA', 'web.internal'), 'NOERROR 2001:db8:64::c633:6402')
  t.is(await dig('A', 'www.internal'), 'NOERROR 198.51.100.2 198.51.100.3')
  t.is(await dig('AAAA', 'six.internal'), 'NOERROR 2001:db8::7')
  t.is(await dig('A', 'six.internal'), 'NOERROR')
  t.is(await dig('HTTPS', 'web.internal'), 'NOERROR')
  t.is(await dig('AAAA', 'ads.example.net'), 'NXDOMAIN')
  t.is(await dig('AAAA', 'x.ads.example.net'), 'NXDOMAIN')
  t.is(await dig('AAAA', 'www.example.net'), 'NOERROR 2001:db8:64::c633:6402')
  await example.logs<{ event: string; name?: string }>(({ name }) => name === 'x.ads.example.net')

  writeFileSync(hosts, '198.51.100.3 web.internal\n')
  example.process.kill('SIGHUP')
  await example.logs<{ event: string }>(({ event }) => event === 'reloaded')
  t.is(await dig('A', 'web.internal'), 'NOERROR 198.51.100.3')
  writeFileSync(hosts, 'web.internal 198.51.100.3\n')
  example.process.kill('SIGHUP')
  const { because } = await example.logs<{ event: string; because: string }>(
    ({ event }) => event === 'kept',
  )
  t.is(because, `${hosts}:1: web.internal is no address`)
  t.like(await example.process.stop('SIGTERM'), { code: 0 })
})

test.serial('a client reaches a server by its own name', async (t) => {
  writeFileSync(hosts, '198.51.100.2 web.internal\n')
  await lab.server.nginx()
  await using example = await start('--names', 'internal')
  const [, address = ''] = (await dig('AAAA', 'web.internal')).split(' ')
  const url = `http://[${address}]/whoami`
  const { code, stderr } = await lab.client.run('curl', ['-sS', '--max-time', '20', url])
  t.is(code, 0, stderr)
  t.is(await dig('AAAA', 'www.example.net'), 'NOERROR 2001:db8:64::c633:6402')
  t.like(await example.process.stop('SIGTERM'), { code: 0 })
})
