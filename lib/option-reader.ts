/**
 * Options are read once, at the public edge, into values that cannot be wrong. Programs in JavaScript get the same clear
 * errors that the compiler gives to TypeScript, a misspelt option included.
 */
import { FaithError } from './errors.js'
import { closest } from './spelling.js'

/** The most the addon takes for a number, whatever it counts. */
export const MOST = 4_294_967_295

/** The names that an options object of type `T` may have. A record has to name every one, which a list need not. */
export type OptionNames<T> = Readonly<Record<keyof T, true>>

/**
 * Reads the options object of one call. Options that are not among the names of the call are refused first; then each
 * method reads one option, checks it and fills in its default.
 */
export class OptionReader<Name extends string = string> {
  readonly #call: string
  readonly #options: ReadonlyMap<string, unknown>

  /**
   * @param call - the function whose options these are, for the messages: `faith.listen`
   * @param names - the options that there are
   */
  constructor(call: string, names: Readonly<Record<Name, true>>, options: unknown) {
    if (typeof options !== 'object' || options === null || isArray(options)) {
      throw new FaithError(
        'ERR_FAITH_ARGUMENT',
        `${call}: options must be an object, got ${show(options)}`,
      )
    }
    this.#call = call
    this.#options = new Map(readable(`${call}: the options`, () => Object.entries(options)))
    for (const name of this.#options.keys()) {
      if (!Object.hasOwn(names, name)) throw unknownOption(call, name, Object.keys(names))
    }
  }

  /** Refuses every option but `name`, which does not go with others, and those that it goes with. */
  alone(name: Name, ...withs: readonly Name[]): void {
    const fits = new Set<string>([name, ...withs])
    const other = [...this.#options.keys()].find((one) => !fits.has(one))
    if (other === undefined) return
    const message = `${this.#call}: \`${other}\` does not go with \`${name}\``
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }

  /** The option as it was given; `undefined` where it was not. */
  unchecked(name: Name): unknown {
    return this.#options.get(name)
  }

  string(name: Name, fallback?: string): string {
    const value = this.unchecked(name) ?? fallback
    if (typeof value !== 'string') throw this.refuse(name, 'a string', value)
    return value
  }

  strings(name: Name, fallback: readonly string[]): string[] {
    return this.list(name, fallback, (value) => {
      if (typeof value !== 'string') throw this.refuse(name, 'an array of strings', value)
      return value
    })
  }

  /** An array whose items `read` checks one by one. */
  list<T>(name: Name, fallback: readonly T[], read: (item: unknown) => T): T[] {
    const value = this.unchecked(name) ?? fallback
    if (!isArray(value)) throw this.refuse(name, 'an array', value)
    return itemsOf(`${this.#call}: \`${name}\``, value).map(read)
  }

  boolean(name: Name, fallback: boolean): boolean {
    const value = this.unchecked(name) ?? fallback
    if (typeof value !== 'boolean') throw this.refuse(name, 'true or false', value)
    return value
  }

  integer(name: Name, range: { min: number; max: number }, fallback?: number): number {
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

  oneOf<const T extends string | number>(name: Name, choices: readonly T[], fallback?: T): T {
    const value = this.unchecked(name) ?? fallback
    const choice = choices.find((candidate) => candidate === value)
    if (choice === undefined) {
      throw this.refuse(name, choices.map(show).join(' or '), value)
    }
    return choice
  }

  signal(name: Name): AbortSignal | undefined {
    const value = this.unchecked(name)
    if (value === undefined || isSignal(value)) return value
    throw this.refuse(name, 'an AbortSignal', value)
  }

  /** The error for an option that is not what it must be. */
  refuse(name: Name, expected: string, value: unknown): FaithError {
    return new FaithError(
      'ERR_FAITH_ARGUMENT',
      `${this.#call}: \`${name}\` must be ${expected}, got ${show(value)}`,
    )
  }
}

function unknownOption(call: string, name: string, names: readonly string[]): FaithError {
  const meant = closest(name, names)
  const guess = meant === undefined ? '' : `; did you mean \`${meant}\`?`
  const message = `${call}: \`${name}\` is no option${guess}`
  return new FaithError('ERR_FAITH_ARGUMENT', message, {
    hint: `its options are ${names.toSorted().join(', ')}`,
  })
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
