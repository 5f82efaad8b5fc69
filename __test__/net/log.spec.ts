import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'

import { addresses, waitFor } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const { lab, client, server } = await socketsLab()

test('a session is one line at its end: client, destination, bytes each way, duration, reason', async (t) => {
  const faithd = await lab.router.faithd(['-k', ...permitted])
  const listening = await server.listen(7001)
  const linesOf = (port: number) =>
    faithd.lines.filter((line) => line.includes(`[${addresses.client}]:${port} to `))

  const beforeItBegan = performance.now()
  const near = await client.connect(`64:ff9b::${addresses.server}`, 7001)
  const far = await listening.accept()
  const port = await near.port()
  const connected = performance.now()
  near.says('twelve bytes')
  await far.hears('twelve bytes')
  far.says('and seventeen now')
  await near.hears('and seventeen now')
  t.deepEqual(linesOf(port), [])
  const open = performance.now() - connected
  near.ends()
  far.ends()

  const line = await faithd.line(new RegExp(`:${port} to `))
  const atMost = performance.now() - beforeItBegan
  const [, said, seconds] =
    /^\[[-\d]{10} [:.\d]{12}[-+]\d\d:\d\d\] INFO: (.* in )([\d.]+) s, closed$/.exec(line) ?? []
  t.is(
    said,
    `[${addresses.client}]:${port} to [64:ff9b::c633:6402]:7001 (${addresses.server}): ` +
      '12 bytes up, 17 down in ',
    line,
  )
  const milliseconds = Number(seconds) * 1000
  t.true(milliseconds >= Math.floor(open) && milliseconds <= Math.ceil(atMost), `${line}; ${open}`)

  await faithd.stop()
  t.deepEqual(linesOf(port), [line])
  t.regex(faithd.stderr, /INFO: ended: 1 session \(1 closed\), 12 bytes up, 17 down; /)
})

test('every session and every refusal has its line, with any reason', async (t) => {
  await nft(
    lab.server,
    `table inet filter {
      chain input {
        type filter hook input priority filter
        tcp dport 4444 drop
      }
    }`,
  )
  const args = [...permitted, '--connect-timeout', '0.5', '--idle-timeout', '2', '--drain', '0']
  const faithd = await startFaithd(lab, args, 'by itself', { name: 'log0', prefix: '3fff:1::' })
  const ends = new Map<number, string>()
  const connection = async (port: number) => {
    const listening = await server.listen(port)
    const near = await client.connect(faithd.address(), port)
    const far = await listening.accept()
    await near.reaches(far)
    return { near, far, port: await near.port() }
  }

  const closed = await connection(7101)
  closed.near.ends()
  closed.far.ends()
  ends.set(7101, 'closed')
  const clientReset = await connection(7102)
  clientReset.near.resets()
  ends.set(7102, 'client-reset')
  const serverReset = await connection(7103)
  serverReset.far.resets()
  ends.set(7103, 'server-reset')
  ends.set(7104, 'refused')
  await client.dial(faithd.address(), 7104).outcome()
  ends.set(7105, 'denied')
  await client.dial(faithd.address('10.0.0.1'), 7105).outcome()
  ends.set(4444, 'connect-timeout')
  const waiting = client.dial(faithd.address(), 4444)
  await faithd.refusalTo(4444)
  waiting.resets()
  ends.set(7106, 'idle-timeout')
  const idle = await connection(7106)
  await idle.near.sees('ECONNRESET')
  ends.set(7107, 'aborted')
  const aborted = await connection(7107)
  t.deepEqual(await faithd.stop(), { code: 0, signal: null })
  await aborted.near.sees('ECONNRESET')
  t.like(await faithd.sessionTo(7107), { reason: 'aborted', cause: 'relay-closed' })

  const all = [...faithd.sessions, ...faithd.refusals]
  const logged = all.map(({ destination, reason }) => `${destination.port} ${reason}`)
  t.deepEqual(
    [...new Set(logged)].toSorted(),
    [...ends].map(([port, reason]) => `${port} ${reason}`).toSorted(),
  )
  // A client whose SYN got no answer repeats it, and waits again.
  t.deepEqual(logged.filter((line) => !line.startsWith('4444 ')).length, ends.size - 1)
})

test('the JSON form has the facts as fields', async (t) => {
  const faithd = await startFaithd(lab, permitted, 'by itself', {
    name: 'log1',
    prefix: '3fff:2::',
  })
  const listening = await server.listen(7201, { greet: 'hello', leave: 'end' })
  const before = Date.now()
  const near = await client.connect(faithd.address(), 7201)
  await near.sees('end')
  near.says('bye')
  near.ends()
  const far = await listening.accept()
  await far.sees('end')

  const { id, startedAt, durationMs, ...facts } = await faithd.sessionTo(7201)
  t.deepEqual(facts, {
    protocol: 'tcp',
    client: { address: addresses.client, port: await near.port() },
    destination: { address: '3fff:2::c633:6402', port: 7201 },
    server: { address: addresses.server, port: 7201 },
    bytesUp: 3,
    bytesDown: 5,
    reason: 'closed',
  })
  t.is(id, 1)
  t.true(Date.parse(startedAt) >= before - 1 && Date.parse(startedAt) <= Date.now())
  t.true(durationMs > 0 && durationMs <= Date.now() - before + 1)
  t.regex(`${durationMs}`, /^\d+(\.\d{1,3})?$/, 'to the microsecond')
  await waitFor('the line itself', () => faithd.log.some(({ msg }) => msg.endsWith(' s, closed')))
  await faithd.stop()
  for (const line of faithd.process.lines) t.notThrows(() => JSON.parse(line) as unknown)
  const started = faithd.log.find(({ steering }) => steering !== undefined)
  const ended = faithd.log.find(({ msg }) => msg.startsWith('ended: '))
  t.is(typeof started?.shortcut, 'boolean')
  const running = { interface: { shortcut: started?.shortcut } }
  t.like(ended, running as object, 'the totals have the shortcut of the running interface')
})

test('a refused attempt is logged with its cause', async (t) => {
  const place = { name: 'log2', prefix: '3fff:3::' }
  const list = join(lab.directory, 'log2.conf')
  await writeFile(list, '# ours\n::/0 deny 192.0.2.0/24\n')
  const denied = ['--deny', '203.0.113.0/24', '-f', list]
  const rules = [...permitted, ...denied, '--permit', '127.0.0.1']
  const faithd = await startFaithd(lab, rules, 'by itself', place)
  const byRule = { reason: 'denied', cause: 'denied-by-rule' }
  const ways = [
    [7301, addresses.server, 'ECONNREFUSED', { reason: 'refused', code: 'ECONNREFUSED' }],
    [
      7302,
      '203.0.113.1',
      'EACCES',
      { ...byRule, rule: { text: '::/0 deny 203.0.113.0/24', line: 2 } },
    ],
    [
      7307,
      '192.0.2.1',
      'EACCES',
      { ...byRule, rule: { text: '::/0 deny 192.0.2.0/24', file: list, line: 2 } },
    ],
    [7303, '1.1.1.1', 'EACCES', { reason: 'denied', cause: 'denied-no-match' }],
    [7304, '10.0.0.1', 'EACCES', { reason: 'denied', cause: 'special-purpose' }],
    [7305, addresses.routerIPv4, 'EACCES', { reason: 'denied', cause: 'own-address' }],
    [7306, '127.0.0.1', 'EACCES', { reason: 'denied', cause: 'loopback' }],
  ] as const
  for (const [port, ipv4, outcome, facts] of ways) {
    t.is(await client.dial(faithd.address(ipv4), port).outcome(), outcome)
    t.like(await faithd.refusalTo(port), facts)
  }
  const warnings = faithd.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
  t.true(warnings.some((msg) => /permits 127\.0\.0\.1\/32, .*--allow-loopback$/.test(msg)))

  t.true(faithd.log.some(({ msg }) => msg.endsWith(` s, denied-by-rule ${list}:2`)))
  await faithd.stop()
  t.deepEqual(faithd.sessions, [], 'no session is logged')
  const { msg } = faithd.log.at(-1) ?? {}
  t.regex(
    msg ?? '',
    /^ended: 0 sessions, 7 attempts refused \(2 denied-by-rule, (1 [-a-z]+(, )?){5}\), 0 bytes up, /,
  )
})

test('with --log-begin a session has a line when it begins, too', async (t) => {
  const place = { name: 'log3', prefix: '3fff:4::' }
  const faithd = await startFaithd(lab, [...permitted, '--log-begin'], 'by itself', place)
  const listening = await server.listen(7401)
  const near = await client.connect(faithd.address(), 7401)
  const far = await listening.accept()
  const { begin, msg } = await waitFor('the line', () => faithd.log.find((line) => line.begin))
  t.deepEqual(faithd.sessions, [])
  near.ends()
  far.ends()
  const { id, client: from, destination, server: to } = await faithd.sessionTo(7401)
  t.deepEqual(begin, { id, protocol: 'tcp', client: from, destination, server: to })
  t.regex(msg, /:7401 \(198\.51\.100\.2\): session begins$/)
  await faithd.stop()
})

test('a session that a new list ends says so', async (t) => {
  const list = join(lab.directory, 'log4.conf')
  await writeFile(list, '::/0 permit 198.51.100.0/24\n')
  const place = { name: 'log4', prefix: '3fff:5::' }
  const faithd = await startFaithd(lab, ['--end-denied', '-f', list], 'by itself', place)
  const listening = await server.listen(7402)
  const near = await client.connect(faithd.address(), 7402)
  await near.reaches(await listening.accept())
  await writeFile(list, '::/0 deny 198.51.100.0/24\n')
  faithd.process.kill('SIGHUP')
  await near.sees('ECONNRESET')
  t.like(await faithd.sessionTo(7402), { reason: 'aborted', cause: 'end-denied' })
  await faithd.stop()
})
