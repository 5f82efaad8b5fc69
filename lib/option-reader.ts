/**
 * Options are read once, at the public edge, into values that cannot be wrong. Whoever calls from JavaScript gets
 * the same clear errors that the compiler gives to TypeScript, a misspelt option included.
 */
import { FaithError } from './errors.js'

/** The most the addon takes for a number, whatever it counts. */
export const MOST = 4_294_967_295

/**
 * Reads the options object of one call: each method takes one option, checks it and fills in its default;
 * {@link OptionReader.end} then refuses the options nobody took.
 */
export class OptionReader {
  readonly #call: string
  readonly #options: ReadonlyMap<string, unknown>
  readonly #taken = new Set<string>()

  /** @param call - the function whose options these are, for the messages: `faith.listen` */
  constructor(call: string, options: unknown) {
    if (typeof options !== 'object' || options === null || isArray(options)) {
      throw new FaithError(
        'ERR_FAITH_ARGUMENT',
        `${call}: options must be an object, got ${show(options)}`,
      )
    }
    this.#call = call
    this.#options = new Map(readable(`${call}: the options`, () => Object.entries(options)))
  }

  /** The option as it was given; `undefined` where it was not. */
  unchecked(name: string): unknown {
    this.#taken.add(name)
    return this.#options.get(name)
  }

  string(name: string, fallback?: string): string {
    const value = this.unchecked(name) ?? fallback
    if (typeof value !== 'string') throw this.refuse(name, 'a string', value)
    return value
  }

  strings(name: string, fallback: readonly string[]): string[] {
    return this.list(name, fallback, (value) => {
      if (typeof value !== 'string') throw this.refuse(name, 'an array of strings', value)
      return value
    })
  }

  /** An array whose items `read` checks one by one. */
  list<T>(name: string, fallback: readonly T[], read: (item: unknown) => T): T[] {
    const value = this.unchecked(name) ?? fallback
    if (!isArray(value)) throw this.refuse(name, 'an array', value)
    return itemsOf(`${this.#call}: \`${name}\``, value).map(read)
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.unchecked(name) ?? fallback
    if (typeof value !== 'boolean') throw this.refuse(name, 'true or false', value)
    return value
  }

  integer(name: string, range: { min: number; max: number }, fallback?: number): number {
    const value = this.unchecked(name) ?? fallback
    if (
      typeof value !== 'number' ||
      !Number.isInteger(value) ||
      value < range.min ||
      value > range.max
    ) {
      throw this.refuse(name, `an integer from ${range.min} to ${range.max}`, value)
    }
    return value
  }

  oneOf<const T extends string | number>(name: string, choices: readonly T[], fallback?: T): T {
    const value = this.unchecked(name) ?? fallback
    const choice = choices.find((candidate) => candidate === value)
    if (choice === undefined) {
      throw this.refuse(name, choices.map(show).join(' or '), value)
    }
    return choice
  }

  signal(name: string): AbortSignal | undefined {
    const value = this.unchecked(name)
    if (value === undefined || isSignal(value)) return value
    throw this.refuse(name, 'an AbortSignal', value)
  }

  /** Refuses every option that was given and not taken. */
  end(): void {
    for (const name of this.#options.keys()) {
      if (!this.#taken.has(name)) {
        const known = [...this.#taken].toSorted().join(', ')
        throw new FaithError('ERR_FAITH_ARGUMENT', `${this.#call}: unknown option \`${name}\``, {
          hint: `its options are ${known}`,
        })
      }
    }
  }

  /** The error for an option that is not what it must be. */
  refuse(name: string, expected: string, value: unknown): FaithError {
    return new FaithError(
      'ERR_FAITH_ARGUMENT',
      `${this.#call}: \`${name}\` must be ${expected}, got ${show(value)}`,
    )
  }
}

/** An argument of `call` that must be text. */
export function readText(call: string, name: string, value: unknown): string {
  if (typeof value === 'string') return value
  const message = `${call}: \`${name}\` must be a string, got ${show(value)}`
  throw new FaithError('ERR_FAITH_ARGUMENT', message)
}

/** The items of an array that a program gave, holes included, as they are now. */
export function itemsOf(what: string, array: readonly unknown[]): unknown[] {
  return readable(what, () => Array.from(array))
}

/** What `read` reads from an object that a program gave. Its getters and traps may throw. */
export function readable<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof FaithError) throw cause
    throw new FaithError('ERR_FAITH_ARGUMENT', `${what} cannot be read`, { cause })
  }
}

/** Tells if a value is an array; a proxy that was revoked is none. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** Tells if it is a signal, and not only an object with the prototype of one. */
function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal && typeof value.aborted === 'boolean'
  } catch {
    return false
  }
}

/** A value as it can stand in an error message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}
