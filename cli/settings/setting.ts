/**
 * The shape of a setting: its kind, its default, its help, its options, and the time from which a change is in force.
 */
import type { Kind } from '../kinds.js'

/** The time from which a reload has a changed setting in force. */
export type Change = 'at once' | 'for new connections' | 'at the next start'

/** The spelling of a setting on the command line. */
export interface Spelling {
  /** Its name, where it is not the key's. */
  long?: string
  short?: string
  /** The name of the value in the help. A flag takes no value. */
  value?: string
  help: string
  /** The value that the option has where none stands behind it; without, a value is required. */
  alone?: string
  /** The default as the help shows it. */
  fallback?: string
  /** Reads the value from the text of the command line. */
  read(text: string): unknown
}

/** One setting: a key of a table of faithd.toml, and an option of the command line. */
export interface Setting<T = unknown> {
  kind: Kind<T>
  /** The value where neither the file nor the command line has one. */
  fallback: T
  /** Its heading in the help. */
  group: string
  help: string
  change: Change
  options: readonly Spelling[]
}

/** The settings of one table of the file, by their keys. */
export type Settings = Readonly<Record<string, Setting>>

/** The values of such settings. */
export type ValuesOf<S extends Settings> = {
  -readonly [Key in keyof S]: S[Key] extends Setting<infer T> ? T : never
}

type Words = Partial<Spelling> & { change?: Change; options?: readonly Spelling[] }

/** Makes the settings of one heading of the help. */
export function under(title: string) {
  return <T>(kind: Kind<T>, fallback: T, help: string, words: Words = {}): Setting<T> => {
    const { change = 'for new connections', options } = words
    const shown = Array.isArray(fallback) ? fallback.join(' ') : String(fallback ?? '')
    const spelling: Spelling = {
      help,
      ...(kind.form.type === 'flag' || shown === '' ? {} : { fallback: shown }),
      read: (given) => kind.read(given),
      ...words,
    }
    return { kind, fallback, group: title, help, change, options: options ?? [spelling] }
  }
}
