/** The log of faithd. Each line is a sentence for people; in JSON its facts are fields too. */
import { isatty } from 'node:tty'
import type { LogConfiguration } from './configuration.js'

const STDERR = 2

/** Pino's numbers, which many tools for JSON logs know: higher is more important. */
const LEVELS = { fatal: 60, error: 50, warn: 40, info: 30, debug: 20 } as const
type Level = keyof typeof LEVELS

const COLOURS: Record<Level, number> = { fatal: 41, error: 31, warn: 33, info: 32, debug: 34 }

/** Writes a line of one level. The facts become fields of the JSON form. */
interface Write {
  (message: string): void
  (facts: object, message: string): void
}

/** A log with a method for each level. */
export interface Logger extends Readonly<Record<Level, Write>> {
  /** Tells if the log writes lines of this level. */
  isLevelEnabled(level: Level): boolean
  /** Writes at another level and in another format from now on. */
  configure(configuration: LogConfiguration): void
}

/** Formats a line, without its line feed. */
type Format = (level: Level, facts: object, message: string) => string

/** Makes the log that the configuration asks for. It passes each line, with a line feed, to `write`. */
export function createLog(configuration: LogConfiguration, write: (line: string) => void): Logger {
  let { least, format } = meaning(configuration)
  const isLevelEnabled = (level: Level): boolean => LEVELS[level] >= least
  const writing = (level: Level): Write => {
    return (...[facts, message]: [string] | [string | object, string]) => {
      if (!isLevelEnabled(level)) return
      const line =
        typeof facts === 'string' ? format(level, {}, facts) : format(level, facts, message ?? '')
      write(`${line}\n`)
    }
  }
  return {
    fatal: writing('fatal'),
    error: writing('error'),
    warn: writing('warn'),
    info: writing('info'),
    debug: writing('debug'),
    isLevelEnabled,
    configure: (changed) => void ({ least, format } = meaning(changed)),
  }
}

function meaning({ level, format }: LogConfiguration): { least: number; format: Format } {
  return {
    least: level === 'silent' ? Infinity : LEVELS[level],
    format: format === 'json' ? json : text(isatty(STDERR) && !process.env['NO_COLOR']),
  }
}

const json: Format = (level, facts, msg) =>
  JSON.stringify({ level: LEVELS[level], time: new Date().toISOString(), ...facts, msg })

/** Formats as `[2026-11-29 14:03:07.123] INFO: message`, in local time. */
function text(colourful: boolean): Format {
  return (level, _facts, message) => {
    const name = level.toUpperCase()
    const shown = colourful ? `\u001B[${COLOURS[level]}m${name}\u001B[0m` : name
    return `[${localTime(new Date())}] ${shown}: ${message}`
  }
}

function localTime(now: Date): string {
  const date = [now.getFullYear(), pad(now.getMonth() + 1), pad(now.getDate())].join('-')
  const time = [pad(now.getHours()), pad(now.getMinutes()), pad(now.getSeconds())].join(':')
  return `${date} ${time}.${pad(now.getMilliseconds(), 3)}`
}

function pad(number: number, length = 2): string {
  return String(number).padStart(length, '0')
}
