/** A process with few descriptors: forged SYNs leave enough of them for sessions. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { userArguments, waitFor } from '../../lab/index.js'
import { Faithd, faithdCommand, permitted } from '../fixtures/faithd.js'
import { floodStage, silent } from '../fixtures/flood-stage.js'
import { floodEnded, startFlood } from '../fixtures/flood.js'

const limit = 300

/** The port at which the server answers. */
const lively = 4445

const { lab, client, server, nextPlace, awaited } = await floodStage('few')
test.before(() => server.listen(lively, { greet: 'welcome' }))

/** Starts faithd with that limit of descriptors, hard limit included. */
async function faithdWith(...args: string[]): Promise<Faithd> {
  const place = nextPlace()
  const own = ['-k', '--log-format', 'json', '-i', place.name, '-P', `${place.prefix}/96`]
  const command = [
    process.execPath,
    faithdCommand,
    '--no-control',
    ...userArguments,
    ...own,
    ...permitted,
    ...args,
  ]
  const faithd = new Faithd(
    lab.router.spawn('prlimit', [`--nofile=${limit}:${limit}`, ...command]),
    place,
  )
  await faithd.process.line(/\bcaptures\b/)
  return faithd
}

const warnings = ({ log }: Faithd) =>
  log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)

/** Waits for this many warnings. */
const warned = async (faithd: Faithd, count: number) =>
  await waitFor('the warnings', () => {
    return warnings(faithd).length >= count ? warnings(faithd) : undefined
  })

/** The limit of mappings of datagrams that a warning says. */
const mappings = (warning = '') =>
  Number(
    /allows (\d+) ports of clients with datagrams, not --max-mappings 16384/.exec(warning)?.[1],
  )

for (const [way, args] of [
  ['', []],
  [', without the shortcut', ['--no-shortcut']],
] as const) {
  test.serial(`SYNs to a silent server leave sessions their descriptors${way}`, async (t) => {
    const faithd = await faithdWith('--connect-timeout', '30', '--drain', '0', ...args)
    const [warning = '', other, ...others] = await warned(faithd, 2)
    const held = Number(/allows (\d+) held SYNs, not --max-held 4096/.exec(warning)?.[1])
    t.true(held > 0 && held <= limit / 4, warning)
    const most = mappings(other)
    t.true(most > 0 && most <= limit / 4, other)
    t.deepEqual(others, [])

    const address = faithd.address()
    const flood = { address, port: silent, networks: 4000, count: 4000 }
    await floodEnded(startFlood(lab.client, flood))
    await waitFor('all places to be taken', async () => (await awaited()) === held)

    // More sessions at a time than SYNs that may be held.
    const sessions = Array.from({ length: 70 }, () => client.dial(address, lively))
    for (const session of sessions) await session.hears('welcome')
    t.is(await awaited(), held)
    t.true(faithd.descriptors <= limit)
    for (const { history } of sessions) t.deepEqual(history, ['connected'])

    const { relay } = await faithd.counted()
    t.like(relay, { maxHeld: held, maxSessions: 0, udp: { maxMappings: most } })
    t.is(relay.refused.byReason.exhausted, 0)
    t.is(warnings(faithd).length, 2)
  })
}

test.serial('sessions are limited to the available descriptors, with a warning', async (t) => {
  const faithd = await faithdWith('--max-held', '1', '--max-sessions', '1000')
  const [warning = ''] = await warned(faithd, 1)
  const most = Number(/allows (\d+) sessions, not --max-sessions 1000/.exec(warning)?.[1])
  t.true(most > 0 && most <= limit / 2, warning)
  await faithd.stop()
})

test.serial(
  'a reload warns of such a limit by its relay, and only if it has changed',
  async (t) => {
    const place = nextPlace()
    const file = join(lab.directory, 'few.toml')
    const write = (held: number, drain: number) =>
      writeFileSync(
        file,
        `keepfaith = true\n[log]\nformat = "json"\n[[interface]]\nname = "${place.name}"\n` +
          `prefixes = ["${place.prefix}/96"]\n[[interface.relay]]\nports = "22-80"\n` +
          `protocols = "tcp"\nmax-held = ${held}\ndrain = ${drain}\nrules = ["permit 198.51.100.0/24"]\n`,
      )
    write(4096, 1)
    const command = [process.execPath, faithdCommand, '--no-control', ...userArguments, '-c', file]
    const faithd = new Faithd(
      lab.router.spawn('prlimit', [`--nofile=${limit}:${limit}`, ...command]),
      place,
    )
    await faithd.process.line(/\bcaptures\b/)
    const reloads = () => faithd.log.filter(({ msg }) => /read again: /.test(msg)).length
    const reload = async (held: number, drain: number) => {
      const before = reloads()
      write(held, drain)
      faithd.process.kill('SIGHUP')
      await waitFor('the reload', () => reloads() > before)
    }
    // faithd writes its warnings behind the line of the reload, so that of the next reload shows that it is through.
    await reload(4096, 2)
    await reload(4096, 3)
    const [first = '', ...others] = warnings(faithd)
    t.regex(
      first,
      /^few\d+, ports 22-80: the descriptor limit allows \d+ held SYNs, not --max-held 4096;/,
    )
    t.deepEqual(others, [])
    await reload(4000, 3)
    await waitFor('the warning of the other limit', () => warnings(faithd).length === 2)
    t.regex(warnings(faithd)[1] ?? '', /not --max-held 4000;/)
    await faithd.stop()
  },
)
