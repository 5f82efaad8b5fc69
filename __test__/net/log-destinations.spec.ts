/** With `--no-log-destinations`, neither lines nor records tell where a client went (RFC 6888, REQ-12). */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, waitFor } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import { Collector, element, numberOf } from '../fixtures/ipfix.js'
import { LoggingFaithd } from '../fixtures/logging-faithd.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const datagrams = fileURLToPath(new URL('../programs/datagrams.py', import.meta.url))

const { lab, client, server } = await socketsLab()

test.before(async () => {
  await server.listen(21, { greet: '220 hello\r\n' })
})

/** The text that a sink got so far. */
type Written = () => string

/** A sink: the arguments of faithd, and a command that precedes it. */
interface Sink {
  args: readonly string[]
  wrap?: readonly string[]
  written(faithd: LoggingFaithd): string
}

/** Collects datagrams as text. */
async function collects(...place: string[]): Promise<Written> {
  const process = lab.router.spawn('python3', [datagrams, ...place])
  await process.line(/listening/)
  return () => {
    const whole = process.lines.slice(1).map((line) => Buffer.from(line, 'hex').toString('utf8'))
    return whole.join('\n')
  }
}

const stderr = ({ process: { output } }: LoggingFaithd): string => output

const sinks: Record<string, (name: string) => Promise<Sink>> = {
  text: () => Promise.resolve({ args: ['--log-to', 'stderr'], written: stderr }),
  JSON: () =>
    Promise.resolve({ args: ['--log-to', 'stderr', '--log-format', 'json'], written: stderr }),
  file: (name) => {
    const path = join(lab.directory, `${name}.log`)
    return Promise.resolve({
      args: ['--log-to', path, '--log-format', 'json'],
      written: () => readFileSync(path, 'utf8'),
    })
  },
  journal: async (name) => {
    const folder = join(lab.directory, name)
    mkdirSync(folder)
    const written = await collects(join(folder, 'socket'))
    const script =
      'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && ' +
      'mount --bind "$0" /run/systemd/journal && exec "$@"'
    const wrap = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, folder]
    return { args: ['--log-to', 'journal'], wrap, written }
  },
  'syslog on a Unix socket': async (name) => {
    const path = join(lab.directory, `${name}.socket`)
    const written = await collects(path)
    return { args: ['--log-to', `syslog:${path}`, '--log-enterprise', '32473'], written }
  },
  'syslog by UDP': async () => {
    const written = await collects('127.0.0.1', '5514')
    return { args: ['--log-to', 'syslog:127.0.0.1:5514', '--log-enterprise', '32473'], written }
  },
}

/** Addresses that the client dials, as lines and records may write them. */
const DIALLED = ['198.51.100.2', '192.0.2.77', '10.11.12.13']
const HEXADECIMAL = ['c633:6402', 'c000:24d', 'a0b:c0d']
/** The first of the ports that it dials. No port of a client or a source is below 1024. */
const FIRST = 800
/** A port from 800 to 899 as the end of an address, or as a field. */
const PORT = /(?:\]:|\.\d+:|port"?[:=] ?"?)8\d\d\b/i

const digits = (address: string): string =>
  Buffer.from(address.split('.').map(Number)).toString('hex')

for (const [index, [what, open]] of Object.entries(sinks).entries()) {
  test(`nothing of a destination is in ${what}, nor in IPFIX`, async (t) => {
    const number = index + 1
    // The collector is on the router, so no address of the server is in a line about it.
    const collector = await Collector.start(lab.router, '127.0.0.1', 4800 + number)
    const sink = await open(`sink${number}`)
    const rules = ['--deny', '192.0.2.77']
    const hidden = ['--no-log-destinations', '--log-begin', '--ipfix', `127.0.0.1:${4800 + number}`]
    const args = [...sink.args, ...rules, ...hidden]
    const faithd = await LoggingFaithd.start(lab, args, sink.wrap)
    const to = (address: string) => faithd.address.replace(addresses.server, address)
    const port = FIRST + 10 * index
    const listening = await server.listen(port)
    const near = await client.connect(faithd.address, port)
    const far = await listening.accept()
    near.ends()
    await far.sees('end')
    far.ends()
    await near.sees('end')
    const control = await client.connect(faithd.address, 21)
    await control.hears('220 hello\r\n')
    control.resets()
    await client.dial(faithd.address, port + 1).outcome()
    await client.dial(to('192.0.2.77'), port + 2).outcome()
    await client.dial(to('10.11.12.13'), port + 3).outcome()
    // Further refusals are told as a sum alone.
    for (let round = 0; round < 4; round += 1) {
      const dials = Array.from({ length: 20 }, () => client.dial(to('192.0.2.77'), port + 2))
      await Promise.all(dials.map((dial) => dial.outcome()))
    }
    faithd.process.kill('SIGUSR2')
    await waitFor('the status', () => /SIGUSR2: .* active, /.test(sink.written(faithd)))
    faithd.process.kill('SIGTERM')
    await faithd.process.exited
    const text = await waitFor('the last line', () => {
      const all = sink.written(faithd)
      return all.includes('ended: 2 sessions') ? all : undefined
    })

    const told = text.split('\n').filter((line) => line.includes(addresses.client))
    t.true(told.length >= 7, `two begins, two ends and three refusals: ${text}`)
    t.true(text.includes('denied-by-rule') && text.includes('special-purpose'))
    t.true(text.includes(`${addresses.routerIPv4}:${await far.port()}`), 'the source is told')
    for (const word of [...DIALLED, ...HEXADECIMAL, 'ftp']) {
      t.false(text.includes(word), `${word}: ${text}`)
    }
    t.notRegex(text, PORT)
    t.notRegex(text, /destination|"server"|server(?:_?port)?=/i)

    const records = await waitFor('every record', () => {
      const all = collector.records
      return all.length >= 4 ? all : undefined
    })
    t.deepEqual(
      records.map((record) => numberOf(record, element.natEvent)).toSorted(),
      [6, 6, 7, 7],
    )
    t.true(records.some((record) => numberOf(record, element.postSourcePort) !== 0))
    const { lines } = collector.process
    for (const address of DIALLED) {
      t.false(
        lines.some((line) => line.includes(digits(address))),
        address,
      )
    }
    const hiding: number[] = [element.destination, element.destinationPort]
    hiding.push(element.postDestination, element.postDestinationPort)
    for (const record of records) for (const id of hiding) t.false(record.has(id), `${id}`)
  })
}

test('a line about a local service does not tell the dialled address', async (t) => {
  const place = { name: 'away-local', prefix: '3fff:a::' }
  const service = ['890', '/bin/cat', 'cat']
  const args = [...permitted, '--no-log-destinations', ...service]
  const faithd = await startFaithd(lab, args, 'by itself', place)
  const near = await client.connect(faithd.address(addresses.routerIPv4), 890)
  const { msg } = await waitFor('the line', () =>
    faithd.log.find((line) => line.msg.startsWith('local service: ')),
  )
  const from = `[${addresses.client}]:${await near.port()}`
  t.regex(msg, new RegExp(`^local service: ${from.replace(/[[\]]/g, '\\$&')}: /bin/cat, pid \\d+$`))
  await faithd.stop()
})

test('--log-sources adds the address and port that the server saw', async (t) => {
  const place = { name: 'sources', prefix: '3fff:b::' }
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
