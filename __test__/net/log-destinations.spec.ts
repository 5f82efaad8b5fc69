/** With `--no-log-destinations`, neither lines nor records tell where a client went (RFC 6888, REQ-12). */
import test from 'ava'
import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { Faithd, startFaithd } from '../fixtures/faithd.js'
import { Collector, element, numberOf } from '../fixtures/ipfix.js'
import { Sockets } from '../fixtures/sockets.js'

let lab: Lab
let client: Sockets
let server: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  server = Sockets.of(lab.server)
})

test.after.always(() => lab.close())

for (const [format, first] of [
  ['json', 801],
  ['text', 811],
] as const) {
  test(`no line of ${format} and no record has anything of a destination`, async (t) => {
    const name = `away-${format}`
    const port = format === 'json' ? 4801 : 4802
    // The collector is on the router, so the address of the server is in no line about it.
    const collector = await Collector.start(lab.router, '127.0.0.1', port)
    const rules = ['--deny', '192.0.2.77', '--permit', '198.51.100.0/24']
    const place = { name, prefix: format === 'json' ? '3fff:1::' : '3fff:2::' }
    const own = ['-k', '-i', name, '-P', `${place.prefix}/96`, '--log-format', format]
    const options = ['--no-log-destinations', '--log-begin', '--ipfix', `127.0.0.1:${port}`]
    const running = await lab.router.faithd([...own, ...rules, ...options])
    const faithd = new Faithd(running, place)
    const listening = await server.listen(first)
    const near = await client.connect(faithd.address(), first)
    const far = await listening.accept()
    near.ends()
    far.ends()
    await client.dial(faithd.address(), first + 1).outcome()
    await client.dial(faithd.address('192.0.2.77'), first + 2).outcome()
    await client.dial(faithd.address('10.11.12.13'), first + 3).outcome()
    const source = `${addresses.routerIPv4}:${await far.port()}`
    await faithd.stop()

    const { lines } = faithd.process
    const about = lines.filter((line) => line.includes(addresses.client))
    t.true(about.length >= 5, 'a begin, an end and three refusals')
    if (format === 'text') {
      t.true(about.some((line) => line.includes(` from ${source}: session begins`)))
      t.true(about.some((line) => line.endsWith(' s, denied-by-rule')))
    } else {
      const end = { address: addresses.routerIPv4, port: await far.port() }
      t.deepEqual(
        faithd.sessions.map((session) => Reflect.get(session, 'source') as object),
        [end],
      )
    }
    const told = ['198.51.100.2', '192.0.2.77', '10.11.12.13', 'c633:6402', 'c000:24d', 'a0b:c0d']
    // No port of a client or a source is below 1024.
    const dialled = new RegExp(
      `(\\]:|\\.\\d+:|"port":)(${[0, 1, 2, 3].map((more) => first + more).join('|')})\\b`,
    )
    for (const line of lines) {
      for (const word of told) t.false(line.includes(word), `${word}: ${line}`)
      t.notRegex(line, dialled)
    }

    const records = await waitFor('both records', () => {
      const all = collector.records
      return all.length >= 2 ? all : undefined
    })
    t.deepEqual(
      records.map((record) => numberOf(record, element.natEvent)),
      [6, 7],
    )
    for (const record of records) {
      t.is(numberOf(record, element.postSourcePort), await far.port())
      for (const id of [
        element.destination,
        element.destinationPort,
        element.postDestination,
        element.postDestinationPort,
      ]) {
        t.false(record.has(id), `${id}`)
      }
    }
  })
}

test('--log-sources adds the address and port that the server saw', async (t) => {
  const place = { name: 'sources', prefix: '3fff:3::' }
  const args = ['--permit', '198.51.100.0/24', '--log-sources']
  const faithd = await startFaithd(lab, args, 'by itself', place)
  const listening = await server.listen(8810)
  const near = await client.connect(faithd.address(), 8810)
  const far = await listening.accept()
  near.ends()
  far.ends()
  const session = await faithd.sessionTo(8810)
  t.deepEqual(Reflect.get(session, 'source'), {
    address: await far.address(),
    port: await far.port(),
  })
  await waitFor('the line', () =>
    faithd.log.some(({ msg }) => msg.includes('(198.51.100.2) from ')),
  )
  await faithd.stop()
})
