/** The metrics of a running faithd say what clients and servers counted themselves. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { churn, udp, waitFor } from '../../lab/index.js'
import { sumOf } from '../fixtures/exposition.js'
import { Faithd, permitted, runFaithd, startFaithd } from '../fixtures/faithd.js'
import { promtool } from '../fixtures/promtool.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const { lab, client, server } = await socketsLab()

test.before(async () => {
  await lab.server.echo({ port: 7 })
})

let places = 0

/** A place for a faithd of this test alone. */
function freshPlace() {
  places += 1
  const port = 9464 + places
  return { name: `metrics${places}`, prefix: `3fff:${places}::`, port, listen: `127.0.0.1:${port}` }
}

/** Starts a faithd that serves its metrics. */
async function start(...args: string[]) {
  const { listen, ...place } = freshPlace()
  const options = [...permitted, '--metrics', listen, ...args]
  return { faithd: await startFaithd(lab, options, 'by itself', place), port: place.port }
}

/** Scrapes the metrics as Prometheus does. */
async function scrape(port: number): Promise<string> {
  const { code, stdout, stderr } = await lab.router.run('curl', [
    '-sS',
    '--fail',
    `http://127.0.0.1:${port}/metrics`,
  ])
  if (code !== 0) throw new Error(stderr)
  return stdout
}

/** Scrapes until a metric has a value. */
async function scrapeUntil(port: number, name: string, value: number): Promise<string> {
  return await waitFor(`${name} to be ${value}`, async () => {
    const text = await scrape(port)
    return sumOf(text, name) === value ? text : undefined
  })
}

test('promtool finds nothing wrong with the metrics of a busy faithd', async (t) => {
  const { faithd, port } = await start()
  await churn(lab.client, { address: faithd.address(), port: 7, count: 50 })
  const text = await scrape(port)
  t.is(await promtool(['check', 'metrics'], text), '')
  t.not(await promtool(['check', 'metrics'], text.replace('# HELP faithd_sessions ', '# ')), '')
})

test('sessions, refusals and bytes are those that clients and servers counted', async (t) => {
  const { faithd, port } = await start('--deny', '203.0.113.0/24')
  const listening = await server.listen(7301)
  const near = await client.connect(faithd.address(), 7301)
  const far = await listening.accept()
  near.says('twelve bytes')
  await far.hears('twelve bytes')
  far.says('and seventeen now')
  await near.hears('and seventeen now')
  const count = async (address: string, first: number, many: number) =>
    await client.dialAll(
      address,
      Array.from({ length: many }, (_, at) => first + at),
    )
  t.deepEqual(await count(faithd.address(), 7400, 20), { ECONNREFUSED: 20 })
  t.deepEqual(await count(faithd.address('203.0.113.1'), 7400, 200), { EACCES: 200 })
  t.deepEqual(await count(faithd.address('10.0.0.1'), 7400, 30), { EACCES: 30 })

  const open = await scrapeUntil(port, 'faithd_attempts', 0)
  t.is(sumOf(open, 'faithd_sessions'), 1)
  const outcomes = Object.fromEntries(
    ['session', 'refused', 'denied'].map((outcome) => [
      outcome,
      sumOf(open, 'faithd_sessions_opened_total', { outcome }),
    ]),
  )
  t.deepEqual(outcomes, { session: 1, refused: 20, denied: 230 })
  t.is(sumOf(open, 'faithd_sessions_opened_total'), 251, 'no attempt has another outcome')
  t.is(sumOf(open, 'faithd_refusals_total'), 250)
  t.is(sumOf(open, 'faithd_refusals_total', { reason: 'denied-by-rule' }), 200)
  t.is(sumOf(open, 'faithd_refusals_total', { reason: 'denied-no-match' }), 0)
  t.is(sumOf(open, 'faithd_refusals_total', { reason: 'special-purpose' }), 30)
  t.is(sumOf(open, 'faithd_connections_accepted_total'), listening.accepted)
  t.is(sumOf(open, 'faithd_connect_duration_seconds_count'), listening.accepted)
  t.is(sumOf(open, 'faithd_bytes_total', { direction: 'up' }), (await far.status()).received)
  t.is(sumOf(open, 'faithd_bytes_total', { direction: 'down' }), (await near.status()).received)

  near.ends()
  far.ends()
  const closed = await scrapeUntil(port, 'faithd_sessions', 0)
  t.is(sumOf(closed, 'faithd_sessions_ended_total', { reason: 'closed' }), 1)
  t.is(sumOf(closed, 'faithd_sessions_ended_total'), 1)
  // Lines and their sums tell the same: no attempt is lost on the way.
  const summed = sumOf(closed, 'faithd_log_refusals_summed_total')
  await waitFor('the lines', () => faithd.refusals.length + summed === 250)
  const { relay } = await faithd.counted()
  t.is(relay.refused.byReason.denied, 230)
})

test('sessions are counted by their protocol', async (t) => {
  const { faithd, port } = await start()
  const to = faithd.address()
  await churn(lab.client, { address: to, port: 7, count: 3 })
  // No server answers.
  const code = `
import socket, sys
for port in (9001, 9002):
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"hello", (sys.argv[1], port))
`
  t.is((await lab.client.run('python3', ['-c', code, to])).code, 0)
  t.is((await lab.client.run('ping', ['-6', '-n', '-c', '1', '-W', '20', to])).code, 0)
  const begun = { tcp: 3, udp: 2, icmp: 1 }
  const text = await waitFor('the sessions', async () => {
    const now = await scrape(port)
    const all = sumOf(now, 'faithd_sessions_begun_total')
    return all >= 6 && sumOf(now, 'faithd_sessions') === 3 ? now : undefined
  })
  for (const [protocol, count] of Object.entries(begun)) {
    t.is(sumOf(text, 'faithd_sessions_begun_total', { protocol }), count, protocol)
    const active = protocol === 'tcp' ? 0 : count
    t.is(sumOf(text, 'faithd_sessions_by_protocol', { protocol }), active, protocol)
  }
  const { byProtocol } = (await faithd.counted()).relay.sessions
  t.deepEqual(byProtocol, {
    tcp: { active: 0, begun: 3 },
    udp: { active: 0, begun: 2 },
    icmp: { active: 0, begun: 1 },
  })
})

test('packets that are dropped are counted by their reason', async (t) => {
  const { faithd, port } = await start('--protocols', 'tcp')
  await udp(lab.client, { address: faithd.address(), port: 53, timeout: 2000 })
  const text = await scrape(port)
  t.is(sumOf(text, 'faithd_packets_dropped_total', { reason: 'unsupported' }), 1)
  t.is(sumOf(text, 'faithd_packets_dropped_total', { reason: 'martian' }), 0)
  t.is(sumOf(text, 'faithd_icmp_unreachable_total', { outcome: 'sent' }), 1)
})

for (const [path, served, args] of [
  ['by the shortcut', 7311, []],
  ['by the pump', 7312, ['--no-shortcut']],
  ['without held SYNs', 7313, ['--no-connect-first']],
] as const) {
  test(`SYNs to ports without a relay are counted, ${path}`, async (t) => {
    const { faithd, port } = await start(...args, `${served}`)
    const ports = Array.from({ length: 20 }, (_, at) => 7400 + at)
    t.deepEqual(await client.dialAll(faithd.address(), ports), { ECONNREFUSED: 20 })
    const listening = await server.listen(served)
    const near = await client.connect(faithd.address(), served)
    const far = await listening.accept()
    await near.reaches(far)
    near.resets()
    await far.sees('ECONNRESET')
    const text = await scrape(port)
    t.is(sumOf(text, 'faithd_packets_dropped_total', { reason: 'no-listener' }), 20)
    t.is(sumOf(text, 'faithd_refusals_total'), 0)
  })
}

test('aborted sessions are counted by their cause', async (t) => {
  const { name, prefix, port, listen } = freshPlace()
  const list = join(lab.directory, `${name}.conf`)
  writeFileSync(list, '::/0 permit 198.51.100.0/24\n')
  const args = ['-f', list, '--end-denied', '--metrics', listen, '--drain', '0']
  const faithd = await startFaithd(lab, args, 'by itself', { name, prefix })
  const listening = await server.listen(7302)
  for (let count = 0; count < 3; count += 1) {
    const near = await client.connect(faithd.address(), 7302)
    await near.reaches(await listening.accept())
  }
  writeFileSync(list, '::/0 deny 0.0.0.0/0\n')
  faithd.process.kill('SIGHUP')
  const text = await scrapeUntil(port, 'faithd_sessions', 0)
  t.is(sumOf(text, 'faithd_sessions_aborted_total', { reason: 'end-denied' }), 3)
  t.is(sumOf(text, 'faithd_sessions_aborted_total'), 3)

  writeFileSync(list, '::/0 permit 198.51.100.0/24\n')
  faithd.process.kill('SIGHUP')
  const near = await waitFor('the list to permit the server', async () => {
    const dialled = client.dial(faithd.address(), 7302)
    return (await dialled.outcome()) === 'connected' ? dialled : undefined
  })
  await near.reaches(await listening.accept())
  const { relay } = await faithd.counted()
  t.deepEqual(relay.sessions.aborted, {
    'end-denied': 3,
    'ended-on-request': 0,
    'relay-closed': 1,
    'interface-lost': 0,
  })
})

const forward = (value: 0 | 1) =>
  lab.router.run('sh', ['-c', `echo ${value} >/proc/sys/net/ipv6/conf/all/forwarding`])

test.serial('the state of the host and the process is what the kernel says', async (t) => {
  const { faithd, port } = await start()
  // The connection of a scrape is another descriptor, which may still be open, and the start closes some of its own.
  const text = await waitFor('as many descriptors', async () => {
    const now = await scrape(port)
    return faithd.descriptors === sumOf(now, 'process_open_fds') - 1 ? now : undefined
  })
  t.is(sumOf(text, 'faithd_keepfaith'), 1)
  t.is(sumOf(text, 'faithd_ipv6_forwarding'), 1)
  const limits = readFileSync(`/proc/${faithd.pid}/limits`, 'utf8')
  t.is(sumOf(text, 'process_max_fds'), Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]))
  await forward(0)
  t.is(sumOf(await scrape(port), 'faithd_ipv6_forwarding'), 0)
  await forward(1)
})

test('only the address of --metrics has the metrics, and a signal ends them', async (t) => {
  const { faithd, port } = await start()
  t.is(await client.dial('2001:db8:1::1', port).outcome(), 'ECONNREFUSED')
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
  await t.throwsAsync(scrape(port), { message: /refused|connect/i })
})

test('faithd does not start without its address for metrics', async (t) => {
  const { faithd, port } = await start()
  const { name, prefix } = freshPlace()
  const args = ['-k', '-i', name, '-P', `${prefix}/96`, '--metrics']
  const taken = await runFaithd(lab, [...args, `${port}`])
  t.is(taken.code, 78)
  t.regex(taken.stderr, /FATAL: cannot serve the metrics: .* address already in use 127\.0\.0\.1:/)
  const absent = await runFaithd(lab, [...args, '192.0.2.77:9464'])
  t.is(absent.code, 78)
  t.regex(absent.stderr, /FATAL: cannot serve the metrics: .*EADDRNOTAVAIL/)
  await faithd.stop()
})

/** Gives the time at which the configuration in force was applied. */
function applied(text: string): number {
  return sumOf(text, 'faithd_config_last_reload_success_timestamp_seconds')
}

test('a reload tells its result, and no counter falls when it removes a relay', async (t) => {
  const { name, prefix, port, listen } = freshPlace()
  const path = join(lab.directory, `${name}.toml`)
  const write = (metrics: string, ports: string) =>
    writeFileSync(
      path,
      `keepfaith = true
metrics = "${metrics}"
[log]
format = "json"
[[interface]]
name = "${name}"
prefixes = ["${prefix}/96"]
[[interface.relay]]
ports = "${ports}"
rules = ["permit 198.51.100.0/24"]
[[interface.relay]]
ports = "9000"
`,
    )
  write(listen, '7')
  const place = { name, prefix }
  const faithd = new Faithd(await lab.router.faithd(['-c', path]), place)
  await churn(lab.client, { address: faithd.address(), port: 7, count: 20 })
  const before = await scrapeUntil(port, 'faithd_sessions', 0)
  t.is(sumOf(before, 'faithd_sessions_ended_total'), 20)
  const reload = async (line: RegExp) => {
    faithd.process.kill('SIGHUP')
    await faithd.process.line(line)
    return await scrape(port)
  }

  write(listen, 'nonsense')
  const refused = await reload(/configuration in force is kept/)
  t.is(sumOf(refused, 'faithd_config_last_reload_successful'), 0)
  t.is(applied(refused), applied(before))

  write('127.0.0.1:9999', '8')
  const after = await reload(/read again: /)
  t.is(sumOf(after, 'faithd_config_last_reload_successful'), 1)
  t.true(applied(after) > applied(before))
  t.is(sumOf(after, 'faithd_sessions_ended_total'), 20)
  t.true(sumOf(after, 'faithd_syns_held_limit') > 0)
  const warnings = faithd.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
  t.true(warnings.includes(`SIGHUP: faithd: metrics stays ${listen} until faithd starts again`))
  await faithd.stop()
})
