/** `--dns64-prefix`: networks of clients get addresses in a prefix of their own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { LabProcess } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import { permitted, runFaithd } from '../fixtures/faithd.js'
import { startNameServer } from '../fixtures/name-server.js'

const lab = await createLab()
await startNameServer(lab, ['www.example.net. 300 A 198.51.100.2'])
const control = new Control(lab.router, join(lab.directory, 'control.sock'))

let faithd: LabProcess | undefined

test.afterEach.always(async () => {
  await faithd?.stop()
  faithd = undefined
})
test.after.always(() => lab.close())

const prefixes = ['2001:db8:64::/96', '2001:db8:65::/96']
const [first, second] = ['2001:db8:64::c633:6402', '2001:db8:65::c633:6402']
const network = '2001:db8:1::/64'

async function records(name: string): Promise<string[]> {
  const args = ['+short', '+tries=1', '+time=10', `@${addresses.gateway}`, 'AAAA', name]
  const { code, stdout } = await lab.client.run('dig', args)
  if (code !== 0) throw new Error(stdout)
  return stdout.split('\n').filter(Boolean).toSorted()
}

/** The prefixes that a client finds by ipv4only.arpa (RFC 7050), which dig looks for as a CLAT does. */
async function found(): Promise<string[]> {
  const args = ['+dns64prefix', '+tries=1', '+time=10', `@${addresses.gateway}`]
  const { code, stdout } = await lab.client.run('dig', args)
  if (code !== 0) throw new Error(stdout)
  return stdout.split('\n').filter(Boolean).toSorted()
}

test.serial('a client gets addresses in the prefix of its network alone', async (t) => {
  const capture = ['-k', ...prefixes.flatMap((prefix) => ['-P', prefix]), '--drain', '0']
  const server = ['--dns64', '--dns64-upstream', addresses.server]
  // The first network that has the client counts.
  const of = [`2001:db8:2::/64=${prefixes[0]}`, `${network}=${prefixes[1]}`, `::/0=${prefixes[0]}`]
  const args = of.flatMap((one) => ['--dns64-prefix', one])
  const asked = ['--control', control.path]
  faithd = await lab.router.faithd([...capture, ...permitted, ...server, ...args, ...asked])
  t.deepEqual(await records('www.example.net'), [second])
  t.deepEqual(await records('ipv4only.arpa'), ['2001:db8:65::c000:aa', '2001:db8:65::c000:ab'])
  t.deepEqual(await found(), [prefixes[1]])
  // Without its prefix the client gets none, and those of others still lead nowhere for it.
  const path = `/v1/interfaces/faith0/prefixes/${encodeURIComponent('2001:db8:65::/96')}`
  t.is((await control.ask('DELETE', path)).status, 204)
  t.deepEqual(await records('www.example.net'), [])
  t.deepEqual(await found(), [])
  await control.ask('POST', '/v1/interfaces/faith0/prefixes', { prefix: '2001:db8:65::/96' })
  t.deepEqual(await records('www.example.net'), [second])
})

test.serial('a client finds prefixes of every length', async (t) => {
  const each = ['32', '40', '48', '56', '64', '96'].map((length) => `2001:${length}::/${length}`)
  const capture = ['-k', '--no-control', ...each.flatMap((one) => ['-P', one]), '--drain', '0']
  const server = ['--dns64', '--dns64-upstream', addresses.server]
  faithd = await lab.router.faithd([...capture, ...permitted, ...server])
  t.deepEqual(await found(), each)
  const reverse = async (address: string) => {
    const asked = ['+tries=1', '+time=10', `@${addresses.gateway}`, '-x', address]
    return (await lab.client.run('dig', asked)).stdout
  }
  const made = await records('www.example.net')
  t.is(made.length, each.length)
  for (const address of made) {
    t.regex(await reverse(address), /CNAME\s+2\.100\.51\.198\.in-addr\.arpa\./, address)
  }
})

test.serial('a reload changes the prefixes of clients', async (t) => {
  const file = join(lab.directory, 'faithd.toml')
  const write = (...lines: readonly string[]) =>
    writeFileSync(
      file,
      [
        'keepfaith = true',
        '[dns64]',
        'listen = ["::"]',
        `upstreams = ["${addresses.server}"]`,
        ...lines,
        '[[interface]]',
        `prefixes = ${JSON.stringify(prefixes)}`,
        '[[interface.relay]]',
        'rules = ["permit 198.51.100.0/24"]',
        '',
      ].join('\n'),
    )
  write()
  faithd = await lab.router.faithd(['-c', file])
  t.deepEqual(await records('www.example.net'), [first, second])
  write(`client-prefixes = ["${network}=${prefixes[0]}"]`)
  faithd.kill('SIGHUP')
  await faithd.line(/read again: dns64: client-prefixes/)
  await waitFor('the other addresses', async () => {
    return (await records('www.example.net')).join() === first
  })
  write(`client-prefixes = ["${network}=2001:db8:66::/96"]`)
  faithd.kill('SIGHUP')
  await faithd.line(/no interface has the prefix 2001:db8:66::\/96/)
  t.deepEqual(await records('www.example.net'), [first])
})

test.serial('a prefix that faithd does not have is refused', async (t) => {
  const args = ['-k', '--check', '--dns64', '--dns64-prefix', `${network}=2001:db8:66::/96`]
  const { code, stderr } = await runFaithd(lab, [...args, '-P', '2001:db8:64::/96'])
  t.is(code, 64, stderr)
  t.regex(stderr, /--dns64-prefix: no interface has the prefix 2001:db8:66::\/96/)
})
