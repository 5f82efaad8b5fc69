/** Clients as they come: the C library, dig, Node.js, over UDP and TCP, and DNS messages of all sizes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, createLab } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted } from '../fixtures/faithd.js'
import { startNameServer } from '../fixtures/name-server.js'

const prefix = '2001:db8:64::/96'
const first = '2001:db8:64::c633:6402'
/** More records than a datagram holds. */
const many = Array.from({ length: 100 }, (_, host) => host + 2)

let lab: Lab
let resolv: string

test.before(async () => {
  lab = await createLab()
  resolv = join(lab.directory, 'client-resolv.conf')
  writeFileSync(resolv, `nameserver ${addresses.gateway}\n`)
  await startNameServer(lab, [
    'www.example.net. 300 A 198.51.100.2',
    'both.example.net. 300 A 198.51.100.2',
    'both.example.net. 300 AAAA 2001:db8:bad::2',
    'text.example.net. 300 TXT "no address"',
    'alias.example.net. 300 CNAME alias-2.example.net.',
    'alias-2.example.net. 300 CNAME www.example.net.',
    'www.hosts.example.net. 300 A 198.51.100.2',
    'dept.example.net. 300 DNAME hosts.example.net.',
    ...many.map((host) => `many.example.net. 300 A 198.51.100.${host}`),
    '2.100.51.198.in-addr.arpa. 300 PTR www.example.net.',
  ])
  const dns64 = ['--dns64', addresses.gateway, '--dns64-upstream', addresses.server]
  await lab.router.faithd([
    '-k',
    '-P',
    prefix,
    '--drain',
    '0',
    '--no-control',
    ...permitted,
    ...dns64,
  ])
})
test.after.always(() => lab.close())

/** Runs a command on the client, whose resolver is faithd. */
async function onClient(...command: readonly string[]): Promise<string> {
  const script = `mount --bind ${resolv} /etc/resolv.conf && exec "$0" "$@"`
  const options = ['-m', '--propagation', 'private', 'sh', '-c', script, ...command]
  const { code, stdout, stderr } = await lab.client.run('unshare', options)
  return code === 0 ? stdout.trim() : `exit ${code}: ${stderr}`
}

/** The addresses that getaddrinfo(3) gives, sorted. */
async function getent(database: string, name: string): Promise<string[]> {
  const lines = (await onClient('getent', database, name)).split('\n')
  const streams = lines.filter((line) => line.includes('STREAM'))
  return streams.map((line) => line.split(' ')[0] ?? '').toSorted()
}

/** The value of an expression in Node.js, which may use `dns`. */
async function node(expression: string): Promise<unknown> {
  const program = `import dns from 'node:dns/promises'; console.log(JSON.stringify(await ${expression}))`
  return JSON.parse(await onClient(process.execPath, '--input-type=module', '-e', program))
}

const dig = (...args: string[]) =>
  onClient('dig', '+tries=1', '+time=10', `@${addresses.gateway}`, ...args)

test('the C library finds addresses in the prefix, also behind aliases', async (t) => {
  for (const name of ['www', 'alias', 'www.dept'])
    t.deepEqual(await getent('ahostsv6', `${name}.example.net`), [first], name)
  t.deepEqual(await getent('ahostsv6', 'both.example.net'), ['2001:db8:bad::2'])
  t.regex(await onClient('getent', 'ahosts', 'text.example.net'), /^exit 2/)
  t.regex(await onClient('getent', 'ahosts', 'none.example.net'), /^exit 2/)
})

test('the C library asks for both families at once, and gets both', async (t) => {
  // getent asks for no IPv4 address where the client has none.
  const program = `import socket; print(*sorted({i[4][0] for i in socket.getaddrinfo('www.example.net', 80)}))`
  t.is(await onClient('python3', '-c', program), `198.51.100.2 ${first}`)
})

test('the C library gets more addresses than a datagram holds', async (t) => {
  t.is((await getent('ahostsv6', 'many.example.net')).length, many.length)
})

test('the C library finds the name of an address in the prefix', async (t) => {
  t.regex(await onClient('getent', 'hosts', first), new RegExp(`^${first} +www\\.example\\.net`))
})

test('Node.js finds addresses in the prefix, by its own resolver and by the C library', async (t) => {
  for (const name of ['www', 'alias', 'www.dept']) {
    t.deepEqual(await node(`dns.resolve6('${name}.example.net')`), [first], name)
    t.like(await node(`dns.lookup('${name}.example.net', { family: 6 })`), { address: first }, name)
  }
  t.deepEqual(await node(`dns.resolve6('both.example.net')`), ['2001:db8:bad::2'])
  t.deepEqual(await node(`dns.resolve4('www.example.net')`), ['198.51.100.2'])
  t.deepEqual(await node(`dns.resolveCname('alias.example.net')`), ['alias-2.example.net'])
  t.is(((await node(`dns.resolve6('many.example.net')`)) as string[]).length, many.length)
  t.deepEqual(await node(`dns.reverse('${first}')`), ['www.example.net'])
  const code = (call: string) => node(`${call}.catch(({ code }) => code)`)
  t.is(await code(`dns.resolve6('none.example.net')`), 'ENOTFOUND')
  t.is(await code(`dns.resolve6('text.example.net')`), 'ENODATA')
})

test('a datagram is no longer than the client takes, and never than 1232 bytes', async (t) => {
  for (const [option, whole] of [
    ['+noedns', false],
    ['+bufsize=512', false],
    ['+bufsize=4096', false],
    ['+tcp', true],
  ] as const) {
    const answer = await dig('+ignore', option, 'AAAA', 'many.example.net')
    t.is(/flags: [a-z ]*\btc\b/.test(answer), !whole, option)
    t.regex(answer, new RegExp(`ANSWER: ${whole ? many.length : 0},`), option)
    const size = Number(/MSG SIZE +rcvd: (\d+)/.exec(answer)?.[1])
    t.is(size > 1232, whole, option)
  }
  // dig asks again over TCP by itself.
  const lines = (await dig('+short', 'AAAA', 'many.example.net')).split('\n')
  t.is(lines.length, many.length)
})

test('an EDNS client gets an OPT record and the extended error, another gets neither', async (t) => {
  const withEdns = await dig('+edns=0', 'AAAA', 'www.example.net')
  t.regex(withEdns, /EDNS: version: 0, flags:; udp: 1232/)
  t.regex(withEdns, /EDE: 4 \(Forged Answer\)/)
  t.regex(await dig('+dnssec', 'AAAA', 'www.example.net'), /EDNS: version: 0, flags: do/)
  t.notRegex(await dig('+noedns', 'AAAA', 'www.example.net'), /EDNS|EDE/)
  t.regex(await dig('+edns=1', '+noednsneg', 'AAAA', 'www.example.net'), /status: BADVERS/)
  const odd = await dig('+ednsopt=65001:00ff', '+subnet=192.0.2.0/24', 'AAAA', 'www.example.net')
  t.regex(odd, new RegExp(`AAAA\\s+${first}`))
})
