/** `--dns64`: faithd gives clients addresses in its prefix, for names that have IPv4 addresses only. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { Status } from '../../cli/control/schemas.js'
import { addresses, createLab, userArguments, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { isMachineRoot } from '../../scripts/namespaces.mjs'
import { Control } from '../fixtures/control.js'
import { faithdCommand, permitted, runFaithd } from '../fixtures/faithd.js'
import { startNameServer } from '../fixtures/name-server.js'

/** The well-known prefix must not lead to the lab's servers: RFC 6052 keeps their addresses out of it. */
const prefix = '2001:db8:64::/96'
const [first, second] = ['2001:db8:64::c633:6402', '2001:db8:64::c633:6403']
const server = addresses.gateway

let lab: Lab
let control: Control

test.before(async () => {
  lab = await createLab()
  await startNameServer(lab, [
    'www.example.net. 300 A 198.51.100.2',
    'two.example.net. 300 A 198.51.100.2',
    'two.example.net. 300 A 198.51.100.3',
    'both.example.net. 300 A 198.51.100.2',
    'both.example.net. 300 AAAA 2001:db8:bad::2',
    'ipv6.example.net. 300 AAAA 2001:db8:3::2',
    'alias.example.net. 300 CNAME www.example.net.',
    '2.100.51.198.in-addr.arpa. 300 PTR www.example.net.',
  ])
  await lab.server.nginx()
  control = new Control(lab.router, join(lab.directory, 'control.sock'))
})

let faithd: LabProcess | undefined

test.afterEach.always(async () => {
  await faithd?.stop()
  faithd = undefined
})
test.after.always(() => lab.close())

const upstream = ['--dns64-upstream', addresses.server]

/** Starts faithd, which stops at the end of the test. */
async function start(...args: readonly string[]): Promise<LabProcess> {
  const more = ['-k', '-P', prefix, '--control', control.path, '--drain', '0', ...args]
  faithd = await lab.router.faithd(more)
  return faithd
}

/** Asks from the client, once. */
async function dig(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.client.run('dig', [
    '+tries=1',
    '+time=10',
    `@${server}`,
    ...args,
  ])
  if (code !== 0) throw new Error(`dig ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout.trim()
}

/** The records of a name, sorted. */
async function records(type: string, name: string, ...args: readonly string[]): Promise<string[]> {
  const lines = (await dig('+short', ...args, type, name)).split('\n')
  return lines.filter((line) => line !== '').toSorted()
}

const becomes = (type: string, name: string, expected: readonly string[]) =>
  waitFor(`${name} ${type} to be ${expected.join(', ') || 'nothing'}`, async () => {
    return (await records(type, name)).join() === expected.join()
  })

/** Runs a command on the client, whose resolver is the router. */
async function onClient(command: string): Promise<string> {
  const resolv = join(lab.directory, 'client-resolv.conf')
  writeFileSync(resolv, `nameserver ${server}\n`)
  const script = `mount --bind ${resolv} /etc/resolv.conf && ${command}`
  const options = ['-m', '--propagation', 'private', 'sh', '-c', script]
  const { code, stdout, stderr } = await lab.client.run('unshare', options)
  return code === 0 ? stdout.trim() : `exit ${code}: ${stderr}`
}

/** Starts faithd, whose /etc/resolv.conf has this text. Gives the function that writes another one. */
async function startReading(text: string, ...args: readonly string[]) {
  const file = join(lab.directory, 'router-resolv.conf')
  const write = (changed: string) => writeFileSync(file, changed)
  write(text)
  const script = `mount --bind ${file} /etc/resolv.conf && exec "$0" "$@"`
  const more = ['-k', '-P', prefix, '--no-control', ...permitted, '--dns64', ...args]
  const command = ['sh', '-c', script, process.execPath, faithdCommand, ...more]
  faithd = lab.router.spawn('unshare', ['-m', '--propagation', 'private', ...command])
  await faithd.line(/INFO: .*by DNS64, and asks the servers of \/etc\/resolv\.conf/)
  await faithd.line(/\bcaptures\b/)
  return { running: faithd, write }
}

async function statusOf(): Promise<Status> {
  return (await control.get('/v1/status')).json as Status
}

test.serial('a client reaches a server by its name, with nothing but faithd', async (t) => {
  const { output } = await start(...permitted, '--dns64', ...upstream)
  t.regex(output, /INFO: answers DNS queries at \[::\]:53 by DNS64, and asks 198\.51\.100\.2:53/)
  t.regex(await onClient('getent ahostsv6 www.example.net'), new RegExp(`^${first} +STREAM`))
  // The server sees the router, which dialled it: the client has no IPv4 address.
  t.is(await onClient('curl -sS http://www.example.net/whoami'), addresses.routerIPv4)
})

test.serial('names get addresses in the prefix, and everything else passes', async (t) => {
  await start(...permitted, '--dns64', ...upstream)
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
  t.deepEqual(await records('AAAA', 'www.example.net', '+tcp'), [first])
  t.deepEqual(await records('AAAA', 'two.example.net'), [first, second])
  t.deepEqual(await records('AAAA', 'alias.example.net'), [first, 'www.example.net.'])
  t.deepEqual(await records('AAAA', 'both.example.net'), ['2001:db8:bad::2'])
  t.deepEqual(await records('A', 'two.example.net'), ['198.51.100.2', '198.51.100.3'])
  t.regex(await dig('AAAA', 'none.example.net'), /status: NXDOMAIN/)
  t.regex(await dig('-x', first), /CNAME\s+2\.100\.51\.198\.in-addr\.arpa\.[^]*PTR\s+www\.example/)
  t.deepEqual(await records('AAAA', 'ipv4only.arpa'), [
    '2001:db8:64::c000:aa',
    '2001:db8:64::c000:ab',
  ])
})

test.serial('an answer comes from the address that was asked', async (t) => {
  await lab.router.run('ip', ['address', 'add', '2001:db8:1::53/64', 'dev', 'lan0', 'nodad'])
  await start(...permitted, '--dns64', ...upstream)
  // dig takes no answer that comes from another address.
  const args = ['+short', '+tries=1', '+time=10', '@2001:db8:1::53', 'AAAA', 'www.example.net']
  t.is((await lab.client.run('dig', args)).stdout.trim(), first)
})

test.serial('addresses and ports may be named, and others are not answered at', async (t) => {
  const { output } = await start(...permitted, '--dns64', `[${server}]:5300`, ...upstream)
  t.regex(output, new RegExp(`answers DNS queries at \\[${server}\\]:5300 by`))
  t.deepEqual(await records('AAAA', 'www.example.net', '-p', '5300'), [first])
  const { code } = await lab.client.run('dig', ['+tries=1', '+time=2', `@${server}`, 'AAAA', '.'])
  t.not(code, 0)
})

test.serial('a client gets no address that the access list would deny', async (t) => {
  const list = join(lab.directory, 'rules.conf')
  writeFileSync(list, '::/0 permit 198.51.100.3 port 443\n::/0 deny 0.0.0.0/0\n')
  const running = await start('-f', list, '--dns64', ...upstream)
  t.deepEqual(await records('AAAA', 'two.example.net'), [second])
  t.deepEqual(await records('AAAA', 'www.example.net'), [])
  t.regex(await dig('AAAA', 'www.example.net'), /status: NOERROR/)
  writeFileSync(list, `${addresses.client} permit 198.51.100.2\n`)
  running.kill('SIGHUP')
  await becomes('AAAA', 'two.example.net', [first])
  writeFileSync(list, '2001:db8:2::/48 permit 198.51.100.2\n')
  running.kill('SIGHUP')
  await becomes('AAAA', 'two.example.net', [])
})

test.serial('only clients of the named networks get answers', async (t) => {
  await start(...permitted, '--dns64', ...upstream, '--dns64-client', '2001:db8:2::/48')
  t.regex(await dig('AAAA', 'www.example.net'), /status: REFUSED/)
  await faithd?.line(/WARN: refuses DNS queries of 2001:db8:1::2, .* no network of --dns64-client/)
  await faithd?.stop()
  const again = await start(
    ...permitted,
    '--dns64',
    ...upstream,
    '--dns64-client',
    '2001:db8:1::/64',
  )
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
  t.notRegex(again.output, /refuses DNS queries/)
})

test.serial('nothing is synthesised while keepfaith is 0', async (t) => {
  await start(...permitted, '--dns64', ...upstream)
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
  await control.ask('PUT', '/v1/keepfaith', { on: false })
  t.deepEqual(await records('AAAA', 'www.example.net'), [])
  t.deepEqual(await records('AAAA', 'ipv4only.arpa'), [])
  t.deepEqual(await records('A', 'www.example.net'), ['198.51.100.2'])
  await control.ask('PUT', '/v1/keepfaith', { on: true })
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
})

test.serial('nothing is synthesised while sessions are drained', async (t) => {
  const more = ['-k', '-P', prefix, '--control', control.path, '--drain', '60', ...permitted]
  await lab.server.echo({ port: 7 })
  faithd = await lab.router.faithd([...more, '--dns64', ...upstream])
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
  const session = lab.client.spawn('nc', ['-6', '2001:db8:64::198.51.100.2', '7'])
  await waitFor('a session', async () => {
    const { interfaces } = await statusOf()
    return interfaces[0]?.relays[0]?.sessions.active === 1
  })
  faithd.kill('SIGTERM')
  await becomes('AAAA', 'www.example.net', [])
  t.deepEqual(await records('A', 'www.example.net'), ['198.51.100.2'])
  await session.stop()
})

test.serial(
  'a prefix that is added gives addresses, and one that is deleted gives none',
  async (t) => {
    await start(...permitted, '--dns64', ...upstream)
    const other = '2001:db8:65::/96'
    await control.ask('POST', '/v1/interfaces/faith0/prefixes', { prefix: other })
    t.deepEqual(await records('AAAA', 'www.example.net'), [first, '2001:db8:65::c633:6402'])
    await control.ask('DELETE', `/v1/interfaces/faith0/prefixes/${encodeURIComponent(prefix)}`)
    t.deepEqual(await records('AAAA', 'www.example.net'), ['2001:db8:65::c633:6402'])
  },
)

test.serial('a reload changes settings, but neither addresses nor upstreams', async (t) => {
  const file = join(lab.directory, 'faithd.toml')
  const write = (...lines: readonly string[]) =>
    writeFileSync(
      file,
      [
        'keepfaith = true',
        '[dns64]',
        `upstreams = ["${addresses.server}"]`,
        ...lines,
        '[[interface]]',
        `prefixes = ["${prefix}"]`,
        '[[interface.relay]]',
        'rules = ["permit 198.51.100.0/24"]',
        '',
      ].join('\n'),
    )
  write('listen = ["::"]')
  faithd = await lab.router.faithd(['-c', file])
  t.deepEqual(await records('AAAA', 'both.example.net'), ['2001:db8:bad::2'])
  write('listen = ["::", "192.0.2.1:5300"]', 'exclude = ["2001:db8:bad::/48"]')
  faithd.kill('SIGHUP')
  await faithd.line(/WARN: .*dns64: listen stays \[::\]:53 until faithd starts again/)
  await faithd.line(/read again: dns64: exclude/)
  t.deepEqual(await records('AAAA', 'both.example.net'), [first])
  // A network where clients reach no IPv6 address beyond the router.
  t.deepEqual(await records('AAAA', 'ipv6.example.net'), ['2001:db8:3::2'])
  write('listen = ["::"]', 'exclude = ["::/0"]')
  faithd.kill('SIGHUP')
  await becomes('AAAA', 'ipv6.example.net', [])
  t.regex(await dig('AAAA', 'ipv6.example.net'), /status: NOERROR[^]*SOA/)
  t.deepEqual(await records('AAAA', 'both.example.net'), [first])
})

test.serial('status and metrics tell what was asked', async (t) => {
  const metrics = '127.0.0.1:9464'
  await start(...permitted, '--dns64', ...upstream, '--metrics', metrics)
  await records('AAAA', 'www.example.net')
  await records('AAAA', 'www.example.net', '+tcp')
  const { dns64 } = await statusOf()
  t.like(dns64, {
    addresses: ['[::]:53'],
    upstreams: ['198.51.100.2:53'],
    udpQueries: 1,
    tcpQueries: 1,
    synthesised: 2,
    cached: 1,
    upstreamQueries: 2,
  })
  const { stdout } = await lab.router.run('curl', ['-sS', `http://${metrics}/metrics`])
  t.regex(stdout, /^faithd_dns64_synthesised_total 2$/m)
})

/** Root of a user namespace with a single user can become no other one. */
const testOfRoot = isMachineRoot() ? test.serial : test.serial.skip

testOfRoot('with --user faithd answers, and reads resolv.conf again', async (t) => {
  const user = userArguments.length > 0 ? userArguments : ['--user', 'nobody']
  const { running, write } = await startReading('# none yet\n', ...user)
  await running.line(/runs as \w+/)
  await running.line(/WARN: \/etc\/resolv\.conf names no DNS server that faithd could ask/)
  t.regex(await dig('AAAA', 'www.example.net'), /status: SERVFAIL/)
  write(`nameserver ${addresses.server}\n`)
  await becomes('AAAA', 'www.example.net', [first])
})

test.serial('a resolv.conf that names faithd itself makes no loop, and is named', async (t) => {
  const { running, write } = await startReading('nameserver ::1\n', ...userArguments)
  t.regex(await dig('AAAA', 'www.example.net'), /status: SERVFAIL/)
  await running.line(
    /WARN: \/etc\/resolv\.conf names \[::1\]:53, which is faithd itself, so it is not asked; name another/,
  )
  // Every own address is faithd itself, and other servers of the file are asked.
  write(`nameserver ${server}\nnameserver ${addresses.server}\n`)
  await becomes('AAAA', 'www.example.net', [first])
  t.true(running.output.includes(`names [${server}]:53, which is faithd itself`))
})

test.serial('after kill -9 nothing is left, and faithd starts again', async (t) => {
  const running = await start(...permitted, '--dns64', ...upstream)
  t.deepEqual(await records('AAAA', 'www.example.net', '+tcp'), [first])
  await running.stop('SIGKILL')
  await start(...permitted, '--dns64', ...upstream)
  t.deepEqual(await records('AAAA', 'www.example.net', '+tcp'), [first])
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
})

test.serial('faithd does not start where another server has the port', async (t) => {
  const other = lab.router.spawn('socat', [`UDP6-RECVFROM:53,bind=[${server}],fork`, 'PIPE'])
  await waitFor('the other server', async () => {
    return (await lab.router.run('ss', ['-Hlun', 'sport = :53'])).stdout.trim() !== ''
  })
  const { code, stderr } = await runFaithd(lab, ['-k', '-P', prefix, '--dns64', server])
  t.is(code, 78, stderr)
  t.regex(stderr, /cannot answer DNS queries at \[2001:db8:1::1\]:53 over UDP: .*stop that one/)
  await other.stop()
})

test.serial('faithd does not ask itself, and says so', async (t) => {
  const own = `[${server}]:53`
  await start(...permitted, '--dns64', '--dns64-upstream', server, ...upstream)
  t.deepEqual(await records('AAAA', 'www.example.net'), [first])
  const line = `WARN: --dns64-upstream names ${own}, which is faithd itself, so it is not asked; name`
  await waitFor('a line about it', () => faithd?.output.includes(line))
  // Once is enough.
  t.deepEqual(await records('AAAA', 'two.example.net'), [first, second])
  t.is(faithd?.output.split('is faithd itself').length, 2)
  t.is((await statusOf()).dns64?.upstreamQueries, 4)
})

test.serial('settings that do not fit are refused', async (t) => {
  for (const [args, complaint] of [
    [upstream, /faithd answers no DNS queries; say where with --dns64/],
    [['--dns64=a/b'], /--dns64: 'a\/b' is not an IP address/],
    [['--dns64=fe80::1%lan0'], /'fe80::1%lan0' is not an IP address/],
  ] as const) {
    const { code, stderr } = await runFaithd(lab, ['-k', '--check', ...args])
    t.is(code, 64, stderr)
    t.regex(stderr, complaint)
  }
})
