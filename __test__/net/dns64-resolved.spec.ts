/** systemd-resolved on the client, which asks faithd: by resolvectl, by nss-resolve and through its stub. */
import { join } from 'node:path'
import test from 'ava'
import { addresses, createLab } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Authority } from '../fixtures/authority.js'
import { permitted } from '../fixtures/faithd.js'
import { Resolved, type ResolvedOptions } from '../fixtures/resolved.js'
import { RootServers } from '../fixtures/root-servers.js'

const first = '2001:db8:64::c633:6402'

let lab: Lab
let authority: Authority
let servers: RootServers
let resolved: Resolved | undefined

test.before(async () => {
  lab = await createLab()
  servers = await RootServers.start(lab, [
    'www.example.net. IN A 198.51.100.2',
    'both.example.net. IN A 198.51.100.2',
    'both.example.net. IN AAAA 2001:db8:bad::2',
    'text.example.net. IN TXT "no address"',
    'alias.example.net. IN CNAME www.example.net.',
    'service.example.net. IN HTTPS 1 . alpn=h2 ipv4hint=198.51.100.2',
    '2.100.51.198.in-addr.arpa. IN PTR www.example.net.',
  ])
  authority = new Authority(join(lab.directory, 'authority'))
  const { certificate, key } = authority.sign('dns', 'DNS:dns.example.net')
  const dns64 = ['--dns64', '--dns64-upstream', '198.41.0.4']
  const tls = ['--dns64-certificate', certificate, '--dns64-key', key]
  const capture = ['-k', '-P', '2001:db8:64::/96', '--drain', '0']
  await lab.router.faithd([...capture, ...permitted, ...dns64, ...tls])
})
test.afterEach.always(async () => {
  await resolved?.stop()
  resolved = undefined
})
test.after.always(() => lab.close())

async function start(server: string, options: Partial<ResolvedOptions> = {}): Promise<void> {
  const { settings = [], ...rest } = options
  resolved = await Resolved.start(lab, lab.client, {
    settings: [`DNS=${server}`, ...settings],
    ...rest,
  })
}

/** The output of `resolvectl query`, without where an answer came from; or the end of its error. */
async function query(...args: readonly string[]): Promise<string[]> {
  const given = ['query', '--legend=no', ...args]
  const { code, stdout, stderr } = (await resolved?.ctl(...given)) ?? {}
  if (code !== 0) return [stderr?.trim() ?? '']
  const lines = (stdout ?? '').trim().split('\n')
  return lines.map((line) => line.replace(/ +-- link: .*/, '').replace(/^\S+: +|^ +/, ''))
}

/** The output of a program that asks systemd-resolved. */
async function run(...command: readonly string[]): Promise<string> {
  return ((await resolved?.run(...command))?.stdout ?? '').trim()
}

test.serial('resolvectl finds addresses in the prefix, and everything else as it is', async (t) => {
  await start(addresses.gateway)
  t.deepEqual((await query('www.example.net')).toSorted(), ['198.51.100.2', first])
  t.deepEqual(await query('-6', 'www.example.net'), [first])
  t.deepEqual(await query('-6', 'alias.example.net'), [first, '(www.example.net)'])
  t.deepEqual(await query('-6', 'both.example.net'), ['2001:db8:bad::2'])
  t.deepEqual(await query(first), ['www.example.net'])
  t.deepEqual(await query('-6', 'ipv4only.arpa'), ['2001:db8:64::c000:aa', '2001:db8:64::c000:ab'])
  t.regex((await query('text.example.net')).join(), /does not have any RR of the requested type$/)
  t.regex((await query('none.example.net')).join(), /Name 'none.example.net' not found$/)
  t.deepEqual(await query('--type=TXT', 'text.example.net'), [
    'text.example.net IN TXT "no address"',
  ])
  // Debian's resolvectl prints the octets: priority 1, the root, ALPN h2, and the IPv4 address.
  t.regex((await query('--type=HTTPS', 'service.example.net')).join(), /0004c6336402$/)
})

test.serial('programs find them by nss-resolve, and through the stub', async (t) => {
  await start(addresses.gateway)
  t.regex(await run('getent', 'ahostsv6', 'www.example.net'), new RegExp(`^${first} +STREAM`))
  t.regex(await run('getent', 'hosts', first), new RegExp(`^${first} +www\\.example\\.net$`))
  t.is(await run('dig', '+short', 'AAAA', 'www.example.net'), first)
})

test.serial('over TLS it asks the server that has the name, and no other', async (t) => {
  const settings = ['DNSOverTLS=yes']
  await start(`${addresses.gateway}#dns.example.net`, { settings, authorities: authority.file })
  t.deepEqual(await query('-6', 'www.example.net'), [first])
  t.deepEqual(await query('-6', 'alias.example.net'), [first, '(www.example.net)'])
  await resolved?.stop()

  await start(`${addresses.gateway}#other.example.net`, { settings, authorities: authority.file })
  t.notDeepEqual(await query('-6', 'www.example.net'), [first])
})

test.serial(
  'if it validates, it finds signed records, and refuses addresses that faithd made',
  async (t) => {
    // It takes a DNSKEY record for the only key of the zone.
    const digest = await lab.server.run('dnssec-dsfromkey', ['-2', '-f', '-', '.'], {
      input: servers.key.replace(' IN ', ' 300 IN '),
    })
    t.is(digest.code, 0, digest.stderr)
    await start(addresses.gateway, { settings: ['DNSSEC=yes'], anchor: digest.stdout })
    const signed = await resolved?.ctl('query', '-4', 'www.example.net')
    t.is(signed?.code, 0, signed?.stderr)
    t.regex(signed?.stdout ?? '', /198\.51\.100\.2[^]*Data is authenticated: yes/)
    t.deepEqual(await query('-6', 'both.example.net'), ['2001:db8:bad::2'])
    t.regex(
      (await query('-6', 'www.example.net')).join(),
      /^www.example.net: resolve call failed: /,
    )
  },
)
