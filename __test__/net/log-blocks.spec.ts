/** Where blocks of source ports tell who used an address, a port and a time, sessions need no records (RFC 6888, REQ-14). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, waitFor } from '../../lab/index.js'
import { Control } from '../fixtures/control.js'
import { Faithd, permitted, startFaithd, type LogLine } from '../fixtures/faithd.js'
import { Collector, element, numberOf, type Values } from '../fixtures/ipfix.js'
import type { End } from '../fixtures/sockets.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

/** The facts of a line about a block. */
interface Block {
  network: string
  source: string
  first: number
  last: number
  assignedAt: string
  releasedAt?: string
}

const { lab, client, server } = await socketsLab()

const blocksOf = (log: readonly LogLine[]) =>
  log.flatMap((line) => (Reflect.get(line, 'portBlock') as Block | undefined) ?? [])

/** A relay of small blocks with a collector on this port of the server. */
const options = (port: number, ...more: string[]): string[] => {
  const blocks = ['--port-block', '64', '--source', addresses.routerIPv4, '--port-block-rest', '1']
  const exporting = ['--ipfix', `${addresses.server}:${port}`]
  return [...permitted, ...blocks, ...exporting, '--log-begin', ...more]
}

/** Ends both sides. The client ends first, so that each side still sees the end of the other. */
async function ends(near: End, far: End): Promise<void> {
  near.ends()
  await far.sees('end')
  far.ends()
  await near.sees('end')
}

/**
 * The information elements of an event for a block of ports, as RFC 8158 section 5.6 lists them: the time, natEvent,
 * sourceIPv6Address, postNATSourceIPv4Address, portRangeStart, and the optional portRangeEnd, -StepSize and -NumPorts. The
 * length of the client's network (29) is faithd's own addition.
 */
const LISTED = [323, 230, 27, 29, 225, 361, 362, 363, 364]

const hex = (number: number, octets: number) => number.toString(16).padStart(2 * octets, '0')

/** The values that the record of an event for a block must have. */
function expected(event: 16 | 17, { first, last }: Block, at: string): Record<number, string> {
  return {
    [element.observed]: hex(Date.parse(at), 8),
    [element.natEvent]: hex(event, 1),
    [element.source]: '20010db8000100000000000000000000',
    29: hex(64, 1),
    [element.postSource]: 'c6336401',
    [element.portRangeStart]: hex(first, 2),
    [element.portRangeEnd]: hex(last, 2),
    363: hex(1, 2),
    [element.portRangeNumPorts]: hex(last - first + 1, 2),
  }
}

const plain = (record: Values | undefined) => Object.fromEntries(record ?? [])

test('with --log-records blocks a block has records in JSON and IPFIX, and a session has none', async (t) => {
  const collector = await Collector.start(lab.server, addresses.server, 4711)
  const place = { name: 'blocks1', prefix: '3fff:1::' }
  const given = options(4711, '--log-records', 'blocks')
  const faithd = await startFaithd(lab, given, 'by itself', place)
  const listening = await server.listen(7001)
  // The first connection keeps the block until the others have ended.
  const first = await client.connect(faithd.address(), 7001)
  const firstFar = await listening.accept()
  const ports = [await firstFar.port()]
  for (let count = 0; count < 5; count += 1) {
    const near = await client.connect(faithd.address(), 7001)
    const far = await listening.accept()
    ports.push(await far.port())
    await ends(near, far)
  }
  // A refusal has a line, and no record.
  t.is(await client.dial(faithd.address(), 7002).outcome(), 'ECONNREFUSED')
  await faithd.refusalTo(7002)
  await ends(first, firstFar)
  const [assigned, released] = await waitFor('the block to be given back', () => {
    const told = blocksOf(faithd.log)
    return told.length >= 2 ? told : undefined
  })
  if (assigned === undefined || released?.releasedAt === undefined) return t.fail()
  await faithd.stop()

  t.like(assigned, { network: '2001:db8:1::/64', source: addresses.routerIPv4 })
  t.is(assigned.last - assigned.first + 1, 64)
  t.true(ports.every((port) => port >= assigned.first && port <= assigned.last))
  t.is(assigned.releasedAt, undefined)
  t.deepEqual(released, { ...assigned, releasedAt: released.releasedAt })
  t.true(Date.parse(released.releasedAt) - Date.parse(assigned.assignedAt) >= 1000)
  t.deepEqual(faithd.sessions, [])
  t.false(faithd.log.some(({ begin }) => begin !== undefined))

  const records = await waitFor('both records', () => {
    const all = collector.records
    return all.length >= 2 ? all : undefined
  })
  t.is(records.length, 2)
  t.deepEqual([...(records[0]?.keys() ?? [])], LISTED)
  t.deepEqual(plain(records[0]), expected(16, assigned, assigned.assignedAt))
  t.deepEqual(plain(records[1]), expected(17, released, released.releasedAt))
})

test('text lines tell a block, and SIGTERM gives back those in use', async (t) => {
  const collector = await Collector.start(lab.server, addresses.server, 4712)
  const place = { name: 'blocks2', prefix: '3fff:2::' }
  const own = ['-k', '-i', place.name, '-P', `${place.prefix}/96`, '--drain', '0']
  const given = options(4712, '--log-records', 'blocks')
  const faithd = new Faithd(await lab.router.faithd([...own, ...given]), place)
  const listening = await server.listen(7003)
  const near = await client.connect(faithd.address(), 7003)
  const far = await listening.accept()
  await near.reaches(far)
  const port = await far.port()
  const line = await faithd.process.line(/ has ports /)
  const [, network, first, last, source] =
    /: (\S+) has ports (\d+)-(\d+) of (\S+)$/.exec(line) ?? []
  t.is(network, '2001:db8:1::/64')
  t.is(source, addresses.routerIPv4)
  t.true(Number(first) <= port && port <= Number(last))
  await faithd.stop()
  const back = `2001:db8:1::/64 gave back ports ${first}-${last} of ${source} after `
  t.is(faithd.process.lines.filter((each) => each.includes(back)).length, 1)
  t.false(
    faithd.process.lines.some((each) => each.includes(addresses.client)),
    'no session',
  )
  const records = await waitFor('both records', () => {
    const all = collector.records
    return all.length >= 2 ? all : undefined
  })
  t.deepEqual(
    records.map((record) => numberOf(record, element.natEvent)),
    [16, 17],
  )
})

test('with --log-records sessions, both have records', async (t) => {
  const collector = await Collector.start(lab.server, addresses.server, 4713)
  const place = { name: 'blocks3', prefix: '3fff:3::' }
  const faithd = await startFaithd(lab, options(4713), 'by itself', place)
  const listening = await server.listen(7004)
  const near = await client.connect(faithd.address(), 7004)
  await ends(near, await listening.accept())
  await waitFor('the block to be given back', () => blocksOf(faithd.log).length === 2)
  await faithd.stop()
  t.is(faithd.sessions.length, 1)
  const records = await waitFor('every record', () => {
    const all = collector.records
    return all.length >= 4 ? all : undefined
  })
  const events = records.map((record) => numberOf(record, element.natEvent))
  t.deepEqual(
    events.toSorted((one = 0, other = 0) => one - other),
    [6, 7, 16, 17],
  )
})

const VAIN = /--log-records blocks records nothing without --port-block/

test('blocks without port-block are a warning at the start and after each reload', async (t) => {
  const path = join(lab.directory, 'blocks.toml')
  const control = new Control(lab.router, join(lab.directory, 'blocks.sock'))
  const write = (records: string, size: number) =>
    writeFileSync(
      path,
      `keepfaith = true
[log]
format = "json"
records = "${records}"
[[interface]]
name = "blocks4"
prefixes = ["3fff:4::/96"]
[[interface.relay]]
source = ["${addresses.routerIPv4}"]
port-block = ${size}
`,
    )
  write('blocks', 0)
  const place = { name: 'blocks4', prefix: '3fff:4::' }
  const started = await lab.router.faithd(['-c', path, '--control', control.path])
  const faithd = new Faithd(started, place)
  const warnings = () =>
    faithd.log.filter(({ level, msg }) => level === 'warn' && VAIN.test(msg)).length
  await waitFor('the warning', () => warnings() === 1)
  const reload = async (records: string, size: number): Promise<string[]> => {
    write(records, size)
    const { json } = await control.ask('POST', '/v1/reload')
    return (json as { warnings: string[] }).warnings.filter((each) => VAIN.test(each))
  }
  t.is((await reload('blocks', 64)).length, 0)
  t.is((await reload('blocks', 0)).length, 1)
  t.is((await reload('sessions', 0)).length, 0)
  await faithd.stop()
  t.is(warnings(), 2)
})
