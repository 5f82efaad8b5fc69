/** The lines of faithd's log, with and without a reader. */
import test from 'ava'
import { createLog, type Logger } from '../cli/log.js'
import { LogLines, type LineThread } from '../cli/log-lines.js'
import type { LogConfiguration } from '../cli/configuration.js'

function logOf(form: LogConfiguration): { log: Logger; lines: string[] } {
  const lines: string[] = []
  return { log: createLog(form, (line) => void lines.push(line)), lines }
}

test('a line of text is a time, a level and a sentence', (t) => {
  const { log, lines } = logOf({ format: 'text', level: 'debug' })
  log.info({ rules: 2 }, 'two rules')
  log.fatal('the end')
  const time = String.raw`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\]`
  t.regex(lines[0] ?? '', new RegExp(`^${time} INFO: two rules\n$`))
  t.regex(lines[1] ?? '', new RegExp(`^${time} FATAL: the end\n$`))
})

test('a line of JSON has the facts as fields', (t) => {
  const { log, lines } = logOf({ format: 'json', level: 'info' })
  const before = Date.now()
  log.warn({ rules: 2, code: undefined }, 'two rules')
  log.info('no facts')
  const [one, two] = lines.map((line) => JSON.parse(line) as { time: string })
  t.deepEqual(one, { level: 40, time: one?.time ?? '', rules: 2, msg: 'two rules' } as object)
  t.like(two, { level: 30, msg: 'no facts' } as object)
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
    const { log, lines } = logOf({ format: 'text', level })
    for (const each of ['fatal', 'error', 'warn', 'info', 'debug'] as const) log[each](each)
    t.is(lines.length, written, level)
    t.is(log.isLevelEnabled('info'), written >= 4)
  }
})

/** A thread whose queue holds some lines until the test reads them. */
class Thread implements LineThread {
  readonly read: string[] = []
  #waiting: string[] = []
  #lost = 0
  readonly #room: number

  constructor(room: number) {
    this.#room = room
  }

  write(lines: string): boolean {
    const all = lines.split('\n').slice(0, -1)
    const taken = all.slice(0, this.#room - this.#waiting.length)
    this.#waiting.push(...taken)
    this.#lost += all.length - taken.length
    return taken.length === all.length
  }

  takeLost(): number {
    if (this.#waiting.length > 0) return 0
    const lost = this.#lost
    this.#lost = 0
    return lost
  }

  flush(): boolean {
    return this.#waiting.length === 0
  }

  reads(): void {
    this.read.push(...this.#waiting)
    this.#waiting = []
  }
}

function linesTo(thread: Thread): LogLines {
  const lines = new LogLines()
  lines.useThread(thread, (lost) => lines.write(`${lost} lost\n`))
  return lines
}

/** Lets the lines of a turn reach the thread. */
const turn = () => Promise.resolve()

test('lines of one turn reach the thread together, in order', async (t) => {
  const thread = new Thread(9)
  const handed: string[] = []
  const lines = linesTo(thread)
  const write = thread.write.bind(thread)
  thread.write = (text) => {
    handed.push(text)
    return write(text)
  }
  lines.write('1\n')
  lines.write('2\n')
  await turn()
  lines.write('3\n')
  await turn()
  t.deepEqual(handed, ['1\n2\n', '3\n'])
})

test('lost lines are counted at their place in the log, once there is room', async (t) => {
  const thread = new Thread(2)
  const lines = linesTo(thread)
  for (const line of ['1\n', '2\n', '3\n', '4\n']) lines.write(line)
  await turn()
  lines.write('5\n')
  await turn()
  thread.reads()
  lines.write('6\n')
  await turn()
  thread.reads()
  t.deepEqual(thread.read, ['1', '2', '3 lost', '6'])
})

test('lost lines are reported even if no other line follows', async (t) => {
  const thread = new Thread(1)
  const lines = linesTo(thread)
  lines.write('1\n')
  lines.write('2\n')
  await turn()
  thread.reads()
  const ended = lines.end()
  const reading = setInterval(() => thread.reads(), 1)
  await ended
  clearInterval(reading)
  t.deepEqual(thread.read, ['1', '1 lost'])
})

test('a reader that does not read delays the end for a bounded time', async (t) => {
  const lines = linesTo(new Thread(1))
  lines.write('1\n')
  lines.write('2\n')
  await t.notThrowsAsync(lines.end())
})
