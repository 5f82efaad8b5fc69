/** faithd runs by a file, and reads it again without ending a session. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { addresses, churn, transfers, userArguments, waitFor } from '../../lab/index.js'
import { sumOf } from '../fixtures/exposition.js'
import { Faithd, runFaithd } from '../fixtures/faithd.js'
import type { End } from '../fixtures/sockets.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const { lab, client, server } = await socketsLab()

test.before(async () => {
  await Promise.all([lab.server.peer(), lab.server.echo({ port: 7 })])
})

const KEPT = 'nothing was changed: the configuration in force is kept'

const top = ['keepfaith = true', '[log]', 'format = "json"']
const permit = 'rules = ["permit 198.51.100.0/24"]'

let places = 0

const isLast = (message: string): boolean => /read again: |is kept$/.test(message)

/** A faithd that runs by a file of its own. */
class Configured {
  readonly path: string
  readonly prefix: string
  readonly name: string
  #faithd: Faithd | undefined

  constructor() {
    places += 1
    this.name = `file${places}`
    this.prefix = `3fff:f${places}::`
    this.path = join(lab.directory, `${this.name}.toml`)
  }

  get faithd(): Faithd {
    if (this.#faithd === undefined) throw new Error('it is started first')
    return this.#faithd
  }

  /** The lines of its interface, and of those inside it. */
  interface(...lines: string[]): string[] {
    return ['[[interface]]', `name = "${this.name}"`, `prefixes = ["${this.prefix}/96"]`, ...lines]
  }

  write(...lines: string[]): void {
    writeFileSync(this.path, lines.map((line) => `${line}\n`).join(''))
  }

  async start(...lines: string[]): Promise<this> {
    this.write(...lines)
    const process = await lab.router.faithd(['-c', this.path])
    this.#faithd = new Faithd(process, { name: this.name, prefix: this.prefix })
    return this
  }

  /** Has it read the file again, written anew, and gives what it says about that. */
  async reload(...lines: string[]): Promise<string[]> {
    this.write(...lines)
    const said = (): string[] =>
      this.faithd.log.map(({ msg }) => msg).filter((message) => message.startsWith('SIGHUP: '))
    const before = said().length
    this.faithd.process.kill('SIGHUP')
    await waitFor('an answer to SIGHUP', () => said().slice(before).some(isLast))
    return said()
      .slice(before)
      .map((message) => message.replace(/^SIGHUP: /, '').replace(this.path, 'FILE'))
  }

  async dial(port: number, prefix: string = this.prefix): Promise<string> {
    return await client.dial(prefix + addresses.server, port).outcome()
  }
}

let ports = 7900

/** A port that the server listens to. */
async function listening() {
  ports += 1
  return { port: ports, listener: await server.listen(ports) }
}

/** A session on which both ends are at hand, and which counts among the limits. */
async function session(to: Configured, prefix = to.prefix) {
  const { port, listener } = await listening()
  const near = await client.connect(prefix + addresses.server, port)
  const going = { port, near, far: await listener.accept(), said: '' }
  await goesOn(going)
  return going
}

/** Shows that a session goes on, both ways. */
async function goesOn(going: { near: End; far: End; said: string }): Promise<void> {
  going.said += 'still here '
  going.near.says('still here ')
  await going.far.hears(going.said)
  going.far.says('still here ')
  await going.near.hears(going.said)
}

test('a file has several interfaces, and several relays that are each judged by their own rules', async (t) => {
  const [one, other] = [await listening(), await listening()]
  const it = new Configured()
  const second = `3fff:e${places}::`
  await it.start(
    ...top,
    ...it.interface('[[interface.relay]]', `ports = ${one.port}`, permit),
    '[[interface.relay]]',
    `ports = ${other.port}`,
    'rules = ["deny 0.0.0.0/0"]',
    '[[interface]]',
    'name = "second"',
    `prefixes = ["${second}/96"]`,
    '[[interface.relay]]',
    permit,
  )
  await it.faithd.process.line(/second captures/)
  await (
    await client.connect(it.prefix + addresses.server, one.port)
  ).reaches(await one.listener.accept())
  t.is(await it.dial(other.port), 'EACCES')
  t.is(await it.dial(7), 'ECONNREFUSED')
  await (
    await client.connect(second + addresses.server, other.port)
  ).reaches(await other.listener.accept())
  await it.faithd.stop()
  const ended = it.faithd.log.map(({ msg }) => msg).filter((msg) => msg.startsWith('ended: '))
  t.regex(ended.find((msg) => msg.includes(`${it.name}: `)) ?? '', /1 session .*1 attempt refused/)
  t.regex(ended.find((msg) => msg.includes('second: ')) ?? '', /1 session /)
})

test('where one of several interfaces or relays cannot be had, faithd ends and leaves none', async (t) => {
  const it = new Configured()
  const good = it.interface('[[interface.relay]]', 'ports = 22', permit)
  for (const [code, says, ...bad] of [
    [78, /lan0: an interface of that name exists/, '[[interface]]', 'name = "lan0"'],
    [78, /192\.0\.2\.77/, '[[interface.relay]]', 'ports = 23', 'source = ["192.0.2.77"]'],
  ] as const) {
    it.write(...top, ...good, ...bad)
    const ended = await runFaithd(lab, ['-c', it.path])
    t.is(ended.code, code)
    t.regex(ended.stderr, says)
    t.is((await lab.router.run('ip', ['link', 'show', it.name])).stdout, '')
  }
})

test('a reload adds and removes prefixes, and sessions of those that stay go on', async (t) => {
  const it = new Configured()
  const second = `3fff:e${places}::`
  const relay = ['[[interface.relay]]', permit]
  await it.start(...top, ...it.interface(...relay))
  const going = await session(it)
  const both = `prefixes = ["${it.prefix}/96", "${second}/96"]`
  const name = ['[[interface]]', `name = "${it.name}"`]
  t.deepEqual(await it.reload(...top, ...name, both, ...relay), [
    `FILE read again: ${it.name} captures ${second}/96`,
  ])
  t.is(await it.dial(going.port, second), 'connected')
  await goesOn(going)
  const later = await session(it, second)
  t.deepEqual(await it.reload(...top, ...name, `prefixes = ["${second}/96"]`, ...relay), [
    `FILE read again: ${it.name} captures ${it.prefix}/96 no longer`,
  ])
  t.is(await it.dial(going.port), 'ENETUNREACH')
  await goesOn(later)
})

for (const first of ['the one that has it', 'the one that gets it']) {
  test(`a prefix moves to another interface in one reload, with ${first} first in the file`, async (t) => {
    const it = new Configured()
    const number = places
    const [other, kept] = [`other${number}`, `3fff:d${number}::`]
    const moves = `3fff:e${number}::`
    const relay = ['[[interface.relay]]', permit]
    const own = (prefixes: string[]) => [
      '[[interface]]',
      `name = "${it.name}"`,
      ...listed(prefixes),
    ]
    const second = (prefixes: string[]) => [
      '[[interface]]',
      `name = "${other}"`,
      ...listed(prefixes),
    ]
    const listed = (prefixes: string[]) => [
      `prefixes = ${JSON.stringify(prefixes.map((prefix) => `${prefix}/96`))}`,
      ...relay,
    ]
    const file = (mine: string[], others: string[]) => {
      const both = [own(mine), second(others)]
      return [...top, ...(first === 'the one that has it' ? both : both.toReversed()).flat()]
    }
    await it.start(...file([it.prefix, moves], [kept]))
    const going = await session(it)
    t.deepEqual(await it.reload(...file([it.prefix], [kept, moves])), [
      `FILE read again: ${it.name} captures ${moves}/96 no longer; ${other} captures ${moves}/96`,
    ])
    t.is(await it.dial(going.port, moves), 'connected')
    const { stdout } = await lab.router.run('ip', ['-6', 'route', 'show', `${moves}/96`])
    t.regex(stdout, new RegExp(` dev ${other} `))
    await goesOn(going)
    // The whole interface goes, and a new one has the prefix.
    const next = `next${number}`
    const fresh = ['[[interface]]', `name = "${next}"`, ...listed([moves])]
    const third = ['[[interface]]', `name = "third${number}"`, ...listed([`3fff:c${number}::`])]
    t.deepEqual(await it.reload(...top, ...own([it.prefix]), ...fresh, ...third), [
      `FILE read again: third${number} captures 3fff:c${number}::/96; ${other} captures ${moves}/96 no longer; ` +
        `${next} captures ${moves}/96; ${other} is removed; its sessions are drained`,
    ])
    t.is(await it.dial(going.port, moves), 'connected')
    await goesOn(going)
  })
}

test('a reload opens relays and stops others, whose sessions go on and are drained at the end', async (t) => {
  const it = new Configured()
  await it.start(...top, ...it.interface('[[interface.relay]]', permit))
  const going = await session(it)
  const another = await listening()
  const only = ['[[interface.relay]]', `ports = ${another.port}`, permit]
  t.deepEqual(await it.reload(...top, ...it.interface(...only)), [
    `FILE read again: ${it.name} no longer relays ports all; ${it.name} relays ports ${another.port}`,
  ])
  t.is(await it.dial(going.port), 'ECONNREFUSED')
  await (
    await client.connect(it.prefix + addresses.server, another.port)
  ).reaches(await another.listener.accept())
  await goesOn(going)

  it.faithd.process.kill('SIGTERM')
  await it.faithd.process.line(/draining/)
  await goesOn(going)
  going.near.ends()
  going.far.ends()
  t.is((await it.faithd.end()).code, 0)
  t.regex(it.faithd.log.at(-1)?.msg ?? '', /^ended: 2 sessions \(1 closed, 1 relay-closed\)/)
})

function relayOf(port: number): string[] {
  return ['[[interface.relay]]', `ports = ${port}`, permit]
}

test('a reload leaves pings with the relay that has them', async (t) => {
  const one = new Configured()
  await one.start(...top, ...one.interface(...relayOf(7)))
  const said = await one.reload(...top, ...one.interface(...relayOf(8), ...relayOf(7)))
  t.true(
    said.includes(`${one.name}, ports 7: protocols stays tcp,udp,icmp until faithd starts again`),
    said.join('\n'),
  )
  t.regex(said.join('\n'), / relays ports 8$/)
  const args = ['-6', '-n', '-c', '1', '-W', '10', one.prefix + addresses.server]
  const { stdout } = await lab.client.run('ping', args)
  t.regex(stdout, /1 received/)
  await one.faithd.stop()
})

test('a reload changes limits, sources and headers for new connections, and no session ends', async (t) => {
  const it = new Configured()
  const relay = (...lines: string[]): string[] => [
    ...top,
    ...it.interface('[[interface.relay]]', permit, ...lines),
  ]
  await it.start(...relay('max-sessions-per-client = 2'))
  const going = [await session(it), await session(it)]
  const { port, listener } = await listening()
  t.is(await it.dial(port), 'ECONNREFUSED')
  const [said] = await it.reload(...relay('max-sessions-per-client = 3', 'proxy-protocol = 1'))
  t.is(said, `FILE read again: ${it.name}, ports all: proxy-protocol, max-sessions-per-client`)
  const third = await client.connect(it.prefix + addresses.server, port)
  const far = await listener.accept()
  const header = `PROXY TCP6 ${addresses.client} ${it.prefix}`
  await waitFor('a header', async () => (await far.status()).text.startsWith(header))
  await third.reaches(far)
  t.is(await it.dial(port), 'ECONNREFUSED')
  for (const each of going) await goesOn(each)
  third.resets()
})

test('a reload puts rules in force, and ends the sessions that they deny only where it is asked to', async (t) => {
  const it = new Configured()
  const relay = (rule: string, ...lines: string[]): string[] => [
    ...top,
    ...it.interface('[[interface.relay]]', `rules = ["${rule}"]`, ...lines),
  ]
  await it.start(...relay('permit 198.51.100.0/24'))
  const going = await session(it)
  t.deepEqual(await it.reload(...relay('permit 203.0.113.0/24')), [
    `FILE read again: ${it.name}, ports all: rules`,
  ])
  t.deepEqual(await it.reload(...relay('permit 203.0.113.0/24')), [
    'FILE read again: no setting changed',
  ])
  t.is(await it.dial(going.port), 'EACCES')
  await goesOn(going)
  await it.reload(...relay('permit 203.0.113.0/24', 'end-denied = true'))
  await going.near.sees('ECONNRESET')
  await going.far.sees('ECONNRESET')
  const [warning] = await it.reload(...top, ...it.interface())
  t.is(
    warning,
    `${it.name}, ports all: the access list became empty, so every public destination is permitted`,
  )
})

test('a file with an error anywhere is refused whole, and its places are named', async (t) => {
  const it = new Configured()
  const good = it.interface('[[interface.relay]]', permit)
  await it.start(...top, ...good)
  const going = await session(it)
  const bad = await it.reload(...top, ...good, 'drian = 1', 'end-denied = 1')
  t.deepEqual(bad, [
    'FILE:9:1: interface.relay.drian: there is no such key; did you mean `drain`?',
    'FILE:10:14: interface.relay.end-denied: 1 is not true or false; for example end-denied = false',
    KEPT,
  ])
  t.is(await it.dial(going.port), 'connected')
  await goesOn(going)
})

test('where the kernel refuses a part, the parts before it are undone', async (t) => {
  const it = new Configured()
  const taken = `3fff:d${places}::/96`
  await lab.router.run('ip', ['-6', 'route', 'add', taken, 'dev', 'lan0'])
  const fresh = `3fff:c${places}::`
  const name = ['[[interface]]', `name = "${it.name}"`]
  const relay = ['[[interface.relay]]', permit]
  await it.start(...top, ...it.interface(...relay))
  const going = await session(it)
  const prefixes = `prefixes = ["${fresh}/96", "${taken}"]`
  const [why, ...more] = await it.reload(...top, ...name, prefixes, ...relay)
  t.regex(why ?? '', /remove that route/)
  t.deepEqual(more, [KEPT])
  t.is(await it.dial(going.port, fresh), 'ENETUNREACH')
  t.is(await it.dial(going.port), 'connected')
  await goesOn(going)
  // An address that the host lacks is the last step to fail, when a relay has been opened.
  const sources = await it.reload(
    ...top,
    ...it.interface('[[interface.relay]]', 'ports = 22', permit, 'source = ["192.0.2.77"]'),
  )
  t.regex(sources[0] ?? '', /192\.0\.2\.77/)
  t.is(sources[1], KEPT)
  t.is(await it.dial(going.port), 'connected')
  await goesOn(going)
})

test('settings that only a start can change are told and left', async (t) => {
  const it = new Configured()
  const relay = ['[[interface.relay]]', permit]
  await it.start(...top, ...it.interface(...relay))
  const lines = [...it.interface('mtu = 1500', ...relay), 'connect-first = false', 'drain = 1']
  t.deepEqual(await it.reload(...top, 'to = "journal"', ...lines), [
    `${it.name}: mtu stays 65535 until faithd starts again`,
    `${it.name}, ports all: connect-first stays true until faithd starts again`,
    'log: to stays unset until faithd starts again',
    `FILE read again: ${it.name}, ports all: drain`,
  ])
})

/** With --user faithd can make no interfaces after its start (privileges.spec). */
const testOfRoot = userArguments.length === 0 ? test : (): void => {}

testOfRoot(
  'a reload makes interfaces and removes others, whose sessions are drained',
  async (t) => {
    const it = new Configured()
    const relay = ['[[interface.relay]]', permit]
    await it.start(...top, ...it.interface(...relay))
    const going = await session(it)
    const other = it.prefix.replace(':f', ':a')
    const more = ['[[interface]]', 'name = "more0"', `prefixes = ["${other}/96"]`, ...relay]
    t.deepEqual(await it.reload(...top, ...it.interface(...relay), ...more, 'drain = 0'), [
      `FILE read again: more0 captures ${other}/96`,
    ])
    const short = await session(it, other)
    await goesOn(short)
    await goesOn(going)
    t.deepEqual(await it.reload(...top, ...it.interface(...relay)), [
      'FILE read again: more0 is removed; its sessions are drained',
    ])
    await waitFor('its session to be reset', () => short.near.history.includes('ECONNRESET'))
    await it.faithd.process.line(/ended: more0: 1 session \(1 relay-closed\)/)
    t.is(await it.dial(going.port, other), 'ENETUNREACH')
    await goesOn(going)
    await it.faithd.stop()
    t.true(it.faithd.log.some(({ msg }) => msg.startsWith('ended: 1 session ')))
  },
)

testOfRoot(
  'an interface that cannot be made has the reload refused, and those made before it go',
  async (t) => {
    const it = new Configured()
    const relay = ['[[interface.relay]]', permit]
    await it.start(...top, ...it.interface(...relay))
    const going = await session(it)
    const said = await it.reload(
      ...top,
      ...it.interface(...relay),
      '[[interface]]',
      'name = "good0"',
      `prefixes = ["${it.prefix.replace(':f', ':a')}/96"]`,
      '[[interface]]',
      'name = "lan0"',
      `prefixes = ["${it.prefix.replace(':f', ':b')}/96"]`,
    )
    t.regex(said[0] ?? '', /lan0: an interface of that name exists/)
    t.is(said[1], KEPT)
    t.not((await lab.router.run('ip', ['link', 'show', 'good0'])).code, 0)
    await goesOn(going)
  },
)

test('a reload switches keepfaith: nothing is captured while it is off, and sessions go on after', async (t) => {
  const it = new Configured()
  const relay = it.interface('[[interface.relay]]', permit)
  await it.start(...top, ...relay)
  const going = await session(it)
  t.deepEqual(await it.reload('keepfaith = false', ...top.slice(1), ...relay), [
    'keepfaith is 0: nothing is captured, and sessions stall until it is 1 again',
    'FILE read again: keepfaith is 0',
  ])
  const waiting = client.dial(it.prefix + addresses.server, going.port)
  await waitFor('a packet to be dropped', () => {
    it.faithd.process.kill('SIGUSR2')
    const told = it.faithd.log.flatMap(({ status }) => status?.interfaces ?? [])
    return told.some(({ drops }) => (drops['keepfaith'] ?? 0) > 0)
  })
  t.deepEqual(await it.reload(...top, ...relay), ['FILE read again: keepfaith is 1'])
  t.is(await waiting.outcome(), 'connected')
  await goesOn(going)
})

test('a reload changes the level of the log, and sessions are told from then on', async (t) => {
  const it = new Configured()
  const relay = it.interface('[[interface.relay]]', permit)
  const { port, listener } = await listening()
  const once = async (): Promise<void> => {
    const near = await client.connect(it.prefix + addresses.server, port)
    await near.reaches(await listener.accept())
    near.resets()
    // The level of that moment decides about the line of the session.
    await waitFor('the end of the session', async () => {
      const { stdout } = await lab.router.run('curl', ['-sS', 'http://127.0.0.1:9499/metrics'])
      return sumOf(stdout, 'faithd_sessions') === 0
    })
  }
  const measured = ['keepfaith = true', 'metrics = "127.0.0.1:9499"', '[log]', 'format = "json"']
  await it.start(...measured, ...relay)
  await once()
  await it.faithd.sessionTo(port)
  const wide = it.interface('mtu = 1500', '[[interface.relay]]', permit)
  it.write(...measured, 'level = "warn"', ...wide)
  it.faithd.process.kill('SIGHUP')
  await it.faithd.process.line(/SIGHUP: .*mtu stays 65535/)
  await once()
  it.write(...measured, 'level = "info"', ...wide)
  it.faithd.process.kill('SIGHUP')
  await it.faithd.process.line(/SIGHUP: .* read again: the log is info, json/)
  await once()
  await waitFor('the third session', () => it.faithd.sessions.length === 2)
  t.is((await it.faithd.counted()).relay.sessions.begun, 3)
})

test('under short sessions and 200 transfers, reloads lose no byte and end no session', async (t) => {
  const it = new Configured()
  const relay = (...lines: string[]): string[] => [
    ...top,
    ...it.interface('[[interface.relay]]', permit, ...lines),
  ]
  await it.start(...relay())
  const address = it.faithd.address()
  const state = { isOver: false }
  const load = Promise.all([
    transfers(lab.client, { address, count: 200 }),
    churn(lab.client, { address, count: 4000, concurrency: 16 }),
  ]).finally(() => (state.isOver = true))
  const fresh = `3fff:b${places}::/96`
  let reloads = 0
  while (!state.isOver) {
    const isOdd = reloads % 2 === 1
    const said = await it.reload(
      ...top,
      '[[interface]]',
      `name = "${it.name}"`,
      `prefixes = ["${it.prefix}/96"${isOdd ? '' : `, "${fresh}"`}]`,
      '[[interface.relay]]',
      permit,
      `max-sessions-per-client = ${5000 + reloads}`,
      `idle-timeout = ${isOdd ? 600 : 900}`,
    )
    t.regex(said[0] ?? '', /^FILE read again: /)
    reloads += 1
  }
  const [moved, short] = await load
  t.like(moved, { exact: 200, errors: {} })
  t.like(short, { done: 4000, errors: {} })
  t.true(reloads > 5, `${reloads} reloads`)
  const { relay: totals } = await it.faithd.counted()
  t.is(totals.sessions.begun, 4200)
  t.is(totals.sessions.ended.closed, 4200)
})
