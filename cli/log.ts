/**
 * The log of faithd. Each line is a sentence for people; in JSON its facts are fields too.
 *
 * A thread of the addon formats the lines and writes them where the configuration says (`log-target.ts`), which may be a
 * pipe without a reader. So this thread, which handles signals, never blocks. Relays give the thread their records
 * themselves. Only the few lines before the addon is loaded are formatted here and written to stderr, synchronously,
 * because faithd relays nothing yet.
 */
import { writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NativeLog } from '../lib/native.js'
import type { LogConfiguration } from './configuration.js'
import { parseAddress } from './kinds.js'

const STDERR = 2
/** Bytes that may wait for a reader: several thousand lines. */
export const QUEUE_BYTES = 1 << 20
/** Time for the last lines. A reader that keeps up needs less. */
const END_MS = 1000
const EXIT_MS = 100

/** The levels, the most important first. */
const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug'] as const
type Level = (typeof LEVELS)[number]

/** Writes a line of one level. The facts become fields of the JSON form. */
interface Write {
  (message: string): void
  (facts: object, message: string): void
}

/** The settings of lines, which may change while faithd runs. */
export type LogForm = Omit<LogConfiguration, 'to' | 'facility' | 'enterprise'>

/** The thread of the addon that writes the lines. */
export type LogThread = Pick<NativeLog, 'configure' | 'write' | 'tellSums' | 'flush'>

/** A log with a method for each level. */
export interface Logger<Thread extends LogThread = NativeLog> extends Readonly<
  Record<Level, Write>
> {
  /** Tells if the log writes lines of this level. */
  isLevelEnabled(level: Level): boolean
  /** The settings of lines that are in force. */
  readonly form: LogForm
  /** Writes at another level and in another format from now on. */
  configure(configuration: LogForm): void
  /** Has a thread write from now on. */
  useThread(thread: Thread): void
  /** The thread, once there is one. */
  readonly thread: Thread | undefined
  /** The collector of records, if there is one. */
  readonly collector: string | undefined
  /** True if lines may name dialled addresses and servers. */
  readonly namesDestinations: boolean
  /** Waits until all is written, for at most a second: a reader that stopped reading must not block the exit. */
  end(): Promise<void>
}

/** Makes the log that the configuration asks for. `write` takes the lines until there is a thread. */
export function createLog<Thread extends LogThread = NativeLog>(
  configuration: LogForm,
  write: (line: string) => void = writeNow,
): Logger<Thread> {
  let present = configuration
  let thread: Thread | undefined
  let gaveUp = false
  const isLevelEnabled = (level: Level): boolean =>
    LEVELS.indexOf(level) <= LEVELS.indexOf(present.level as Level)
  const writing = (level: Level): Write => {
    return (...[first, second]: [string] | [string | object, string]) => {
      if (!isLevelEnabled(level)) return
      const [facts, message] = typeof first === 'string' ? [{}, first] : [first, second ?? '']
      if (thread === undefined) write(`${early(present, level, facts, message)}\n`)
      else thread.write(level, JSON.stringify(facts), message)
    }
  }
  const set = (): void => {
    try {
      thread?.configure({
        ...settings(present),
        records: isLevelEnabled('info'),
        errors: isLevelEnabled('error'),
      })
    } catch (error) {
      writing('error')(error instanceof Error ? error.message : String(error))
    }
  }
  return {
    fatal: writing('fatal'),
    error: writing('error'),
    warn: writing('warn'),
    info: writing('info'),
    debug: writing('debug'),
    isLevelEnabled,
    get form() {
      return present
    },
    configure(changed) {
      present = changed
      set()
    },
    useThread(started) {
      thread = started
      set()
      process.on('exit', () => {
        if (!gaveUp) started.flush(EXIT_MS)
      })
    },
    get thread() {
      return thread
    },
    get collector() {
      return present.ipfix
    },
    get namesDestinations() {
      return present.destinations
    },
    async end() {
      const deadline = performance.now() + END_MS
      while (thread?.flush(0) === false && !gaveUp) {
        gaveUp = performance.now() >= deadline
        await sleep(1)
      }
    },
  }
}

function settings({ format, begin, records, destinations, sources, ...ipfix }: LogForm) {
  const collector = collectorOf(ipfix)
  return {
    json: format === 'json',
    colours: isColourful(),
    begins: begin,
    sessions: records === 'sessions',
    destinations,
    sources,
    ...(collector === undefined ? {} : { collector }),
  }
}

/** Gives the collector of records, if there is one. */
function collectorOf(given: Pick<LogForm, `ipfix${string}` & keyof LogForm>) {
  const address = parseAddress(given.ipfix ?? '')
  if (address === undefined) return undefined
  const { host, port } = address
  const templateIntervalMs = Math.round(given['ipfix-templates'] * 1000)
  return { address: host, port, domain: given['ipfix-domain'], templateIntervalMs }
}

function isColourful(): boolean {
  return isatty(STDERR) && !process.env['NO_COLOR']
}

/** Formats a line as the thread does, without colours. */
function early({ format }: LogForm, level: Level, facts: object, msg: string): string {
  const now = new Date()
  return format === 'json'
    ? JSON.stringify({ level, time: now.toISOString(), ...facts, msg })
    : `[${localTime(now)}] ${level.toUpperCase()}: ${msg}`
}

/** Gives the local time as `2026-11-29 14:03:07.123+01:00`. */
function localTime(now: Date): string {
  const east = -now.getTimezoneOffset()
  const local = new Date(now.getTime() + east * 60_000).toISOString()
  const [hours, minutes] = [Math.trunc(Math.abs(east) / 60), Math.abs(east) % 60].map((part) =>
    `${part}`.padStart(2, '0'),
  )
  return `${local.slice(0, -1).replace('T', ' ')}${east < 0 ? '-' : '+'}${hours}:${minutes}`
}

/** Writes at once. A closed or full pipe is no reason to stop. */
export function writeNow(line: string, descriptor = STDERR): void {
  try {
    writeSync(descriptor, line)
  } catch {
    // stderr is the only place to report to.
  }
}
