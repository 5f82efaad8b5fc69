/** The log of faithd, before its thread of the addon writes it and after. */
import test from 'ava'
import { createLog, type LogForm, type Logger, type LogThread } from '../cli/log.js'
import { defaults } from '../cli/configuration.js'

const text: LogForm = { ...defaults().log, level: 'debug' }

function logOf(form: Partial<LogForm>): { log: Logger<LogThread>; lines: string[] } {
  const lines: string[] = []
  return { log: createLog({ ...text, ...form }, (line) => void lines.push(line)), lines }
}

test('an early line of text is a local time with its zone, a level and a sentence', (t) => {
  const { log, lines } = logOf({})
  const before = Math.floor(Date.now())
  log.info({ rules: 2 }, 'two rules')
  log.fatal('the end')
  const [time = ''] = /(?<=^\[).*(?=\] INFO: two rules\n$)/.exec(lines[0] ?? '') ?? []
  t.regex(time, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[-+]\d\d:\d\d$/)
  const at = Date.parse(time.replace(' ', 'T'))
  t.true(at >= before && at <= Date.now(), time)
  t.regex(lines[1] ?? '', /^\[.*\] FATAL: the end\n$/)
})

test('an early line of JSON has the facts as fields', (t) => {
  const { log, lines } = logOf({ format: 'json' })
  const before = Date.now()
  log.warn({ rules: 2, code: undefined }, 'two rules')
  log.info('no facts')
  const [one, two] = lines.map((line) => JSON.parse(line) as { time: string })
  t.deepEqual(one, { level: 'warn', time: one?.time ?? '', rules: 2, msg: 'two rules' } as object)
  t.like(two, { level: 'info', msg: 'no facts' } as object)
  const time = Date.parse(one?.time ?? '')
  t.true(time >= before && time <= Date.now())
  t.true(lines.every((line) => line.endsWith('}\n')))
})

test('lines below the level are not written, and silent writes none', (t) => {
  for (const [level, written] of [
    ['debug', 5],
    ['info', 4],
    ['warn', 3],
    ['error', 2],
    ['fatal', 1],
    ['silent', 0],
  ] as const) {
    const { log, lines } = logOf({ level })
    for (const each of ['fatal', 'error', 'warn', 'info', 'debug'] as const) log[each](each)
    t.is(lines.length, written, level)
    t.is(log.isLevelEnabled('info'), written >= 4)
  }
})

/** A thread that records its calls, and has written all once it was asked that many times. */
class Thread implements LogThread {
  readonly calls: unknown[][] = []
  settings: object = {}
  #asked = 0
  readonly #patience: number

  constructor(patience = 0) {
    this.#patience = patience
  }

  configure(settings: object): void {
    this.settings = settings
  }

  write(...call: [string, string, string]): void {
    this.calls.push(call)
  }

  tellSums(): void {}

  flush(): boolean {
    this.#asked += 1
    return this.#asked > this.#patience
  }
}

test('the thread gets the lines with their facts, and no longer the early writer', (t) => {
  const { log, lines } = logOf({})
  const thread = new Thread()
  log.useThread(thread)
  log.warn({ rules: 2, code: undefined }, 'two rules')
  log.info('no facts')
  t.deepEqual(thread.calls, [
    ['warn', '{"rules":2}', 'two rules'],
    ['info', '{}', 'no facts'],
  ])
  t.deepEqual(lines, [])
  t.is(log.thread, thread)
})

test('the thread writes records only at the level info, and follows a change at once', (t) => {
  const { log } = logOf({ level: 'warn', begin: true })
  const thread = new Thread()
  log.useThread(thread)
  t.like(thread.settings, { json: false, records: false, begins: true })
  log.configure({ ...text, format: 'json', level: 'info' })
  t.like(thread.settings, { json: true, records: true, begins: false })
  log.info('written now')
  t.is(thread.calls.length, 1)
})

test('the thread sends records to the collector at any level', (t) => {
  const { log } = logOf({ level: 'silent', ipfix: '[2001:db8::9]:4739', destinations: false })
  const thread = new Thread()
  log.useThread(thread)
  t.like(thread.settings, {
    records: false,
    errors: false,
    destinations: false,
    collector: { address: '2001:db8::9', port: 4739, domain: 1, templateIntervalMs: 600_000 },
  })
  t.is(log.collector, '[2001:db8::9]:4739')
  log.configure(text)
  t.false('collector' in thread.settings)
  t.is(log.collector, undefined)
})

test('sessions have no records where blocks of ports have', (t) => {
  const { log } = logOf({ records: 'blocks' })
  const thread = new Thread()
  log.useThread(thread)
  t.like(thread.settings, { records: true, sessions: false })
  log.configure(text)
  t.like(thread.settings, { sessions: true })
})

test('the end waits for the thread to write all', async (t) => {
  const { log } = logOf({})
  const thread = new Thread(5)
  log.useThread(thread)
  await log.end()
  t.true(thread.flush())
})

test('a reader that does not read delays the end for a bounded time', async (t) => {
  const { log } = logOf({})
  log.useThread(new Thread(Infinity))
  await t.notThrowsAsync(log.end())
})

test('without a thread there is nothing to wait for', async (t) => {
  await t.notThrowsAsync(logOf({}).log.end())
})
