/** The access list of faithd in a file: the effect of its rules on real clients, and of reading it again. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { addresses, waitFor } from '../../lab/index.js'
import { runFaithd, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { ip } from '../fixtures/ip.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

/** A client of another network. It dials `addresses.serverSecond`; the first client dials `addresses.server`. */
const stranger = '2001:db8:9::2'
/** A second address of the router. */
const outgoing = '198.51.100.11'

const { lab, client, server } = await socketsLab()

test.before(async () => {
  await ip(lab.client, `addr add ${stranger}/128 dev eth0 nodad`)
  await ip(lab.router, `route add ${stranger}/128 via ${addresses.client}`)
  await ip(lab.router, `addr add ${outgoing}/24 dev wan0`)
})

let files = 0

/** Writes a list to a new file. */
function list(...rules: string[]) {
  files += 1
  const path = join(lab.directory, `list${files}.conf`)
  const write = (...lines: string[]) =>
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
  write(...rules)
  return { path, write }
}

let started = 0

async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `access${started}`, prefix: `3fff:${started}::` }
  const faithd = await startFaithd(lab, args, 'by itself', place)
  for (const [ipv4, source] of [
    [addresses.server, addresses.client],
    [addresses.serverSecond, stranger],
  ] as const) {
    const to = faithd.address(ipv4)
    await ip(lab.client, `route add ${to}/128 via ${addresses.gateway} src ${source}`)
  }
  return faithd
}

let ports = 7600

/** Makes the server listen on that many consecutive ports. */
async function freshPorts(count: number): Promise<number[]> {
  const first = ports + 1
  ports += count
  const all = Array.from({ length: count }, (_, number) => first + number)
  await Promise.all(all.map((port) => server.listen(port)))
  return all
}

async function dial(faithd: Faithd, port: number, ipv4: string = addresses.server) {
  return await client.dial(faithd.address(ipv4), port).outcome()
}

/** The messages that faithd has logged. */
function messages(faithd: Faithd): string[] {
  return faithd.log.map(({ msg }) => msg)
}

/** Makes faithd read its list again, and returns its log message about that. */
async function reload(faithd: Faithd): Promise<string> {
  const said = () => messages(faithd).filter((message) => message.startsWith('SIGHUP: '))
  const before = said().length
  faithd.process.kill('SIGHUP')
  return await waitFor('an answer to SIGHUP', () => said()[before])
}

test('a rule applies to clients of its source', async (t) => {
  const [port = 0] = await freshPorts(1)
  const { path } = list(`${stranger}/128 deny 0.0.0.0/0`, '2001:db8::/32 permit 198.51.100.0/24')
  const faithd = await faithdWith('-f', path)
  t.is(await dial(faithd, port), 'connected')
  t.is(await dial(faithd, port, addresses.serverSecond), 'EACCES')
})

test('a rule applies to the ports that it lists', async (t) => {
  const [one = 0, two = 0, three = 0, four = 0] = await freshPorts(4)
  const { path } = list(
    `::/0 deny 198.51.100.0/24 port ${two}`,
    `::/0 permit 198.51.100.0/24 port ${one}-${two},${four}`,
  )
  const faithd = await faithdWith('-f', path)
  t.is(await dial(faithd, one), 'connected')
  t.is(await dial(faithd, two), 'EACCES')
  t.is(await dial(faithd, three), 'EACCES')
  t.is(await dial(faithd, four), 'connected')
})

test('a rule sets the router’s address that the server sees', async (t) => {
  const page = await lab.server.nginx({ port: 8600 })
  const { path } = list(
    `${stranger}/128 permit 198.51.100.0/24 ${outgoing}`,
    '::/0 permit 198.51.100.0/24',
  )
  const faithd = await faithdWith('-f', path)
  const seenBy = async (ipv4: string) => {
    const url = `http://[${faithd.address(ipv4)}]:${page.port}/whoami`
    return (await lab.client.run('curl', ['-sS', url])).stdout.trim()
  }
  t.is(await seenBy(addresses.serverSecond), outgoing)
  t.is(await seenBy(addresses.server), addresses.routerIPv4)
})

test('the first matching rule decides, with rules of the command line first', async (t) => {
  const [port = 0] = await freshPorts(1)
  const { path } = list('::/0 permit 198.51.100.0/24', '::/0 deny 0.0.0.0/0')
  const faithd = await faithdWith('--deny', `${addresses.serverSecond}/32`, '-f', path)
  t.is(await dial(faithd, port), 'connected')
  t.is(await dial(faithd, port, addresses.serverSecond), 'EACCES')
})

for (const [what, line] of [
  ['without a verb', '2001:db8::/32 198.51.100.0/24'],
  ['with a prefix that is too long', '::/129 permit 198.51.100.0/24'],
  ['with a host name', '::/0 permit www.example'],
  ['with a service name for an address', '::/0 permit telnet'],
  ['with a port out of range', '::/0 permit 198.51.100.0/24 port 65536'],
  ['with an invalid outgoing address', '::/0 permit 198.51.100.0/24 198.51.100.300'],
  ['with words after its end', '::/0 permit 198.51.100.0/24 198.51.100.1 and more'],
] as const) {
  test(`a line ${what} keeps faithd from starting, and the error names it`, async (t) => {
    const { path } = list('# a comment', '::/0 permit 198.51.100.0/24', '', line)
    const { code, stderr } = await runFaithd(lab, ['-k', '-i', 'access0', '-f', path])
    t.is(code, 78, stderr)
    t.true(stderr.includes(`${path}:4: `), stderr)
  })
}

test('a missing file keeps faithd from starting', async (t) => {
  const path = join(lab.directory, 'missing.conf')
  const { code, stderr } = await runFaithd(lab, ['-k', '-i', 'access0', '-f', path])
  t.is(code, 78, stderr)
  t.true(stderr.includes(path), stderr)
})

/** Opens a session of each client through faithd, with a list that permits both. */
async function sessions(...args: string[]) {
  const { path, write } = list('::/0 permit 198.51.100.0/24')
  const faithd = await faithdWith('-f', path, ...args)
  ports += 1
  const port = ports
  const listening = await server.listen(port)
  const permitted = await client.connect(faithd.address(), port)
  const permittedFar = await listening.accept()
  const denied = await client.connect(faithd.address(addresses.serverSecond), port)
  const deniedFar = await listening.accept()
  return { faithd, write, port, permitted, permittedFar, denied, deniedFar }
}

const withoutStranger = [`${stranger}/128 deny 0.0.0.0/0`, '::/0 permit 198.51.100.0/24']

test('a list that is read again applies to new sessions, and ends none', async (t) => {
  const { faithd, write, port, permitted, permittedFar, denied, deniedFar } = await sessions()
  write(...withoutStranger)
  t.regex(await reload(faithd), /read again: 2 rules in force$/)

  t.is(await dial(faithd, port, addresses.serverSecond), 'EACCES')
  t.is(await dial(faithd, port), 'connected')
  permitted.says('still here')
  await permittedFar.hears('still here')
  denied.says('still here too')
  await deniedFar.hears('still here too')
  deniedFar.says('and so am I')
  await denied.hears('and so am I')
  await waitFor('the refusal to be logged', () => faithd.refusals.length > 0)
  t.deepEqual(
    faithd.refusals.map(({ reason }) => reason),
    ['denied'],
  )
})

test('with --end-denied a new list ends the sessions that it denies, and only those', async (t) => {
  const all = await sessions('--end-denied')
  const { faithd, write, port, permitted, permittedFar, denied, deniedFar } = all
  write(...withoutStranger)
  await reload(faithd)

  await denied.sees('ECONNRESET')
  await deniedFar.sees('ECONNRESET')
  permitted.says('still here')
  await permittedFar.hears('still here')
  t.deepEqual(permitted.history, ['connected'])
  const ended = await faithd.session((session) => session.client.address === stranger)
  t.is(ended.reason, 'aborted')
  t.is(await dial(faithd, port, addresses.serverSecond), 'EACCES')
})

test('a bad list is not put in force, and ends no session', async (t) => {
  const { faithd, write, port, permitted, permittedFar } = await sessions('--end-denied')
  write('::/0 deny 0.0.0.0/0', '::/0 permit nowhere')
  const answer = await reload(faithd)
  t.regex(answer, /^SIGHUP: the access list in force is kept: .*list\d+\.conf:2: /)

  t.is(await dial(faithd, port), 'connected')
  t.is(await dial(faithd, port, addresses.serverSecond), 'connected')
  permitted.says('still here')
  await permittedFar.hears('still here')

  write(...withoutStranger)
  t.regex(await reload(faithd), /2 rules in force$/)
  t.is(await dial(faithd, port, addresses.serverSecond), 'EACCES')
})

test('rules of the command line stay in force after the file was read again', async (t) => {
  const [port = 0] = await freshPorts(1)
  const { path, write } = list('::/0 permit 198.51.100.0/24')
  const faithd = await faithdWith('--deny', `${addresses.serverSecond}/32`, '-f', path)
  write('::/0 permit 0.0.0.0/0', '::/0 permit 198.51.100.0/24')
  await reload(faithd)
  t.is(await dial(faithd, port), 'connected')
  t.is(await dial(faithd, port, addresses.serverSecond), 'EACCES')
})
