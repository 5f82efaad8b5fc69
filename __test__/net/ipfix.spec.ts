/** Collectors get a record of IPFIX for each session (RFC 7011, RFC 8158). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, churn, userArguments, waitFor } from '../../lab/index.js'
import { sumOf } from '../fixtures/exposition.js'
import { Faithd, faithdCommand, permitted, startFaithd } from '../fixtures/faithd.js'
import { Collector, element, Nfcapd, numberOf, type Values } from '../fixtures/ipfix.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const { lab, client, server } = await socketsLab({ ipv6Server: true })

test.before(async () => {
  await lab.server.echo({ port: 7 })
})

let places = 0

/** A faithd with a collector and with metrics on this port. */
type Exporting = Faithd & { metrics: number }

/** Starts a faithd that sends records to this port of the server, and writes no lines but about faults. */
async function startQuiet(port: number, ...args: string[]): Promise<Exporting> {
  places += 1
  const metrics = 9500 + places
  const place = { name: `ipfix${places}`, prefix: `3fff:${places}::` }
  const own = ['-k', '-i', place.name, '-P', `${place.prefix}/96`, '--log-format', 'json']
  const exporting = ['--ipfix', `${addresses.server}:${port}`, '--metrics', `${metrics}`]
  const options = ['--no-control', ...own, ...permitted, ...exporting, '--log-level', 'warn']
  const command = [faithdCommand, ...options, ...userArguments, ...args]
  const faithd = Object.assign(new Faithd(lab.router.spawn(process.execPath, command), place), {
    metrics,
  })
  await waitFor('faithd to capture', async () => {
    return (await scrape(faithd)).stdout.includes('faithd_workers')
  })
  return faithd
}

/** Starts a faithd that sends records to a port of the server, or to another address. */
async function start(collector: number | string, ...args: string[]): Promise<Exporting> {
  places += 1
  const metrics = 9500 + places
  const place = { name: `ipfix${places}`, prefix: `3fff:${places}::` }
  const to = typeof collector === 'string' ? collector : `${addresses.server}:${collector}`
  const exporting = ['--ipfix', to, '--metrics', `${metrics}`]
  const faithd = await startFaithd(lab, [...permitted, ...exporting, ...args], 'by itself', place)
  return Object.assign(faithd, { metrics })
}

async function scrape({ metrics }: { metrics: number }) {
  const url = `http://127.0.0.1:${metrics}/metrics`
  return await lab.router.run('curl', ['-sS', '--fail', url])
}

/** The value of a metric. */
async function metric(faithd: Exporting, name: string): Promise<number | undefined> {
  const { code, stdout, stderr } = await scrape(faithd)
  if (code !== 0) throw new Error(stderr)
  return sumOf(stdout, name)
}

/** A session that carries 5 bytes up and 7 down, and the ends that client and server saw. */
async function session(faithd: Faithd, port: number) {
  const listening = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listening.accept()
  near.says('hello')
  await far.hears('hello')
  far.says('goodbye')
  await near.hears('goodbye')
  near.ends()
  far.ends()
  return { client: await near.port(), source: await far.port(), from: await far.address() }
}

/**
 * A time that nfdump prints, in milliseconds since 1970 less the distance of the time zone. nfdump leaves out zeros at the
 * front of the milliseconds.
 */
function time(text = ''): number {
  const [second = '', milliseconds = ''] = text.split('.')
  return Date.parse(`${second}Z`) + Number(milliseconds)
}

/** Values that tell a session from others. */
const flowOf = (record: Values) => [
  record.get(element.sourcePort),
  record.get(element.postSourcePort),
  record.get(element.observed),
]

test('nfdump prints the ends of a session before and after the translation, and its times', async (t) => {
  const nfcapd = await Nfcapd.start(lab, 4701)
  const faithd = await start(4701, '--log-begin')
  const before = Date.now()
  const ports = await session(faithd, 8001)
  await waitFor('two records', async () => {
    return (await metric(faithd, 'faithd_ipfix_records_sent_total')) === 2
  })
  const { startedAt, durationMs } = await faithd.sessionTo(8001)
  await faithd.stop()
  t.regex(await nfcapd.stop(), /Flows: 2, .*Sequence Errors: 0, Bad Packets: 0/)

  const [begin, end, ...others] = await nfcapd.records()
  t.deepEqual(others, [])
  const ends = {
    proto: 6,
    src6_addr: addresses.client,
    src_port: ports.client,
    dst6_addr: faithd.address().replace(addresses.server, 'c633:6402'),
    dst_port: 8001,
    src4_xlt_ip: addresses.routerIPv4,
    src_xlt_port: `${ports.source}`,
    dst4_xlt_ip: addresses.server,
    dst_xlt_port: '8001',
  }
  t.is(ports.from, addresses.routerIPv4)
  t.like(begin, { ...ends, nat_event_id: '6', nat_event: 'NAT64 session create' })
  t.like(end, { ...ends, nat_event_id: '7', nat_event: 'NAT64 session delete' })
  const zone = new Date(before).getTimezoneOffset() * 60_000
  const started = Date.parse(startedAt)
  t.is(time(end?.first) + zone, started)
  t.true(Math.abs(time(end?.t_event) + zone - (started + durationMs)) <= 1)
  t.true(time(begin?.t_event) + zone >= before && time(begin?.t_event) <= time(end?.t_event))
})

test('at any level of the log, a record has the bytes and the reason of the end', async (t) => {
  const collector = await Collector.start(lab.server, addresses.server, 4702)
  const faithd = await startQuiet(4702, '--ipfix-domain', '77')
  const ports = await session(faithd, 8002)
  const closed = await collector.record(element.destinationPort, 8002)
  t.is(numberOf(closed, element.initiatorOctets), 5)
  t.is(numberOf(closed, element.responderOctets), 7)
  t.is(numberOf(closed, element.natEvent), 7)
  t.is(numberOf(closed, element.endReason), 3)
  t.is(numberOf(closed, element.postSourcePort), ports.source)
  t.true(collector.messages.every(({ domain }) => domain === 77))

  const listening = await server.listen(8003)
  const near = await client.connect(faithd.address(), 8003)
  await near.reaches(await listening.accept())
  await faithd.stop()
  const aborted = await collector.record(element.destinationPort, 8003)
  t.is(numberOf(aborted, element.endReason), 4, 'forced end')
  t.deepEqual(faithd.sessions, [])
})

test('a collector is reached by IPv6, too', async (t) => {
  const collector = await Collector.start(lab.server, addresses.serverIPv6, 4703)
  const faithd = await start(`[${addresses.serverIPv6}]:4703`)
  await session(faithd, 8004)
  const record = await collector.record(element.destinationPort, 8004)
  t.is(numberOf(record, element.initiatorOctets), 5)
  await faithd.stop()
})

test('after a flood of sessions, the records are all of them, and so are their bytes', async (t) => {
  const count = 3000
  const collector = await Collector.start(lab.server, addresses.server, 4704)
  const faithd = await startQuiet(4704)
  const { done } = await churn(lab.client, { address: faithd.address(), port: 7, count })
  t.is(done, count)
  await faithd.stop()
  const records = await waitFor('every record', () => {
    const all = collector.records
    return all.length >= count ? all : undefined
  })
  const sum = (id: number) =>
    records.reduce((total, record) => total + (numberOf(record, id) ?? 0), 0)
  t.is(records.length, count)
  t.true(sum(element.initiatorOctets) > 0)
  t.is(sum(element.initiatorOctets), sum(element.responderOctets), 'an echo server answers them')
  let before = 0
  for (const { sequence, records: inside } of collector.messages) {
    t.is(sequence, before)
    before += inside.length
  }
  t.is(new Set(records.map((record) => flowOf(record).join())).size, count)
})

test('a collector that is gone never stops relaying, and can read all records when it is back', async (t) => {
  const first = await Nfcapd.start(lab, 4705)
  const faithd = await start(4705)
  await session(faithd, 8010)
  const sent = (count: number) =>
    waitFor(`${count} records`, async () => {
      return (await metric(faithd, 'faithd_ipfix_records_sent_total')) === count
    })
  await sent(1)
  await first.stop()
  t.is((await first.records()).length, 1)

  await session(faithd, 8011)
  const lost = () => metric(faithd, 'faithd_ipfix_records_lost_total')
  await waitFor('a record to be lost', async () => (await lost()) === 1)
  const { msg, level } = await waitFor('the line', () =>
    faithd.log.find((line) => Object.hasOwn(line, 'unexported')),
  )
  t.is(level, 'error')
  t.regex(msg, /^1 IPFIX record was lost: 198\.51\.100\.2:4705: Connection refused/)

  const second = await Nfcapd.start(lab, 4705)
  await session(faithd, 8012)
  await session(faithd, 8013)
  await sent(4)
  await faithd.stop()
  await second.stop()
  t.deepEqual(
    (await second.records()).map(({ dst_port: port }) => port),
    [8012, 8013],
  )
})

test('templates are sent again after their time, so a collector that lost them can read on', async (t) => {
  const collector = await Collector.start(lab.server, addresses.server, 4706)
  const faithd = await start(4706, '--ipfix-templates', '0.2')
  await waitFor('templates to come again', () => {
    return collector.records.length === 0 && collector.messages.length >= 3
  })
  t.true(collector.messages.every(({ templates }) => templates.length > 0))
  await faithd.stop()
})

test('a client at its limit is an event with the limit and its address', async (t) => {
  const collector = await Collector.start(lab.server, addresses.server, 4707)
  const faithd = await start(4707, '--max-sessions-per-client', '1')
  const listening = await server.listen(8020)
  const near = await client.connect(faithd.address(), 8020)
  await near.reaches(await listening.accept())
  await client.dial(faithd.address(), 8020).outcome()
  const record = await collector.record(element.natEvent, 13)
  t.is(numberOf(record, element.quota), 3)
  t.is(numberOf(record, element.maxEntriesPerUser), 1)
  t.is(record.get(element.source), '20010db8000100000000000000000002')
  await faithd.stop()
})

test('mappings at a limit are an event with the limit', async (t) => {
  const datagram = async (faithd: Faithd, number: number): Promise<void> => {
    const send = 's.sendto(b"?", (sys.argv[1], 8021))'
    const code = `import socket,sys; s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); ${send}`
    const sent = await lab.client.run('python3', ['-c', code, faithd.address()])
    t.is(sent.code, 0, `datagram ${number}`)
  }
  for (const [port, option, quota, limited] of [
    [4712, '--max-mappings', 2, element.maxBIBEntries],
    [4713, '--max-mappings-per-client', 3, element.maxEntriesPerUser],
  ] as const) {
    const collector = await Collector.start(lab.server, addresses.server, port)
    const faithd = await start(port, '--protocols', 'tcp,udp', option, '1')
    for (const number of [1, 2]) await datagram(faithd, number)
    const record = await collector.record(element.natEvent, 13)
    t.is(numberOf(record, element.quota), quota)
    t.is(numberOf(record, limited), 1)
    await faithd.stop()
  }
})

const isReload = ({ msg }: { msg: string }) => /^SIGHUP: .* read again: /.test(msg)

const portsAt = (collector: Collector) =>
  collector.records.map((record) => numberOf(record, element.destinationPort))

test('a reload begins, moves and ends the export, and the sessions between have one record each', async (t) => {
  const [one, other] = [
    await Collector.start(lab.server, addresses.server, 4708),
    await Collector.start(lab.server, addresses.server, 4709),
  ]
  const place = { name: 'ipfix-file', prefix: '3fff:ff::' }
  const path = join(lab.directory, 'ipfix.toml')
  const write = (...log: string[]): void => {
    const faith = ['[[interface]]', `name = "${place.name}"`, `prefixes = ["${place.prefix}/96"]`]
    const relay = ['[[interface.relay]]', 'rules = ["permit 198.51.100.0/24"]']
    const lines = ['keepfaith = true', '[log]', 'format = "json"', ...log, ...faith, ...relay]
    writeFileSync(path, `${lines.join('\n')}\n`)
  }
  write()
  const faithd = new Faithd(await lab.router.faithd(['-c', path]), place)
  const reload = async (...log: string[]): Promise<void> => {
    write(...log)
    const before = faithd.log.filter(isReload).length
    faithd.process.kill('SIGHUP')
    await waitFor('the reload', () => faithd.log.filter(isReload).length > before)
  }
  const relayed = async (port: number): Promise<void> => {
    await session(faithd, port)
    await faithd.sessionTo(port)
  }
  await relayed(8031)
  await reload(`ipfix = "${addresses.server}:4708"`)
  await relayed(8032)
  await waitFor('the record', () => portsAt(one).length === 1)
  await reload(`ipfix = "${addresses.server}:4709"`, 'ipfix-domain = 9')
  await relayed(8033)
  await waitFor('the record of the other', () => portsAt(other).length === 1)
  await reload()
  await relayed(8034)
  await faithd.stop()
  t.deepEqual([portsAt(one), portsAt(other)], [[8032], [8033]])
  t.deepEqual([...new Set(other.messages.map(({ domain }) => domain))], [9])
})
