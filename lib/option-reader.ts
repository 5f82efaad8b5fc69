/**
 * Reads options once, at the public edge, into checked values. Programs in JavaScript get errors as clear as those of
 * the TypeScript compiler, also for a misspelt option.
 */
import { FaithError } from './errors.js'
import { closest } from './spelling.js'

/** The largest number that the addon takes (32 bits). */
export const MOST = 4_294_967_295

/** The option names of type `T`. A record, because the compiler checks that it names every option. */
export type OptionNames<T> = Readonly<Record<keyof T, true>>

/**
 * Reads the options object of one call. The constructor refuses unknown options. Each method reads one option, checks
 * it and fills in its default. `undefined` means the default; `null` is a wrong value.
 */
export class OptionReader<Name extends string = string> {
  readonly #call: string
  readonly #options: ReadonlyMap<string, unknown>

  /**
   * @param call - the name of the call in messages: `faith.listen`
   * @param names - the known options
   * @param what - the name of the object in messages
   */
  constructor(
    call: string,
    names: Readonly<Record<Name, true>>,
    options: unknown,
    what: string = 'options',
  ) {
    if (typeof options !== 'object' || options === null || isArray(options)) {
      throw new FaithError(
        'ERR_FAITH_ARGUMENT',
        `${call}: ${what} must be an object, got ${show(options)}`,
      )
    }
    this.#call = call
    this.#options = new Map(readable(`${call}: the options`, () => Object.entries(options)))
    for (const name of this.#options.keys()) {
      if (!Object.hasOwn(names, name)) throw unknownOption(call, name, Object.keys(names))
    }
  }

  /** Refuses every option but `name` and `withs`, the options that `name` goes with. */
  alone(name: Name, ...withs: readonly Name[]): void {
    const fits = new Set<string>([name, ...withs])
    const other = [...this.#options.keys()].find((one) => !fits.has(one))
    if (other === undefined) return
    const message = `${this.#call}: \`${other}\` does not go with \`${name}\``
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }

  /** Gives the option unchecked. If it was left out or is `undefined`, gives `fallback`. */
  unchecked(name: Name, fallback?: unknown): unknown {
    const value = this.#options.get(name)
    return value === undefined ? fallback : value
  }

  string(name: Name, fallback?: string): string {
    const value = this.unchecked(name, fallback)
    if (typeof value !== 'string') throw this.refuse(name, 'a string', value)
    return value
  }

  strings(name: Name, fallback: readonly string[]): string[] {
    return this.list(name, fallback, (value) => {
      if (typeof value !== 'string') throw this.refuse(name, 'an array of strings', value)
      return value
    })
  }

  /** Reads an array. `read` checks each item. */
  list<T>(name: Name, fallback: readonly T[], read: (item: unknown) => T): T[] {
    const value = this.unchecked(name, fallback)
    if (!isArray(value)) throw this.refuse(name, 'an array', value)
    return itemsOf(`${this.#call}: \`${name}\``, value).map(read)
  }

  boolean(name: Name, fallback: boolean): boolean {
    const value = this.unchecked(name, fallback)
    if (typeof value !== 'boolean') throw this.refuse(name, 'true or false', value)
    return value
  }

  integer(name: Name, range: { min: number; max: number }, fallback?: number): number {
    const value = this.unchecked(name, fallback)
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
    const value = this.unchecked(name, fallback)
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

  /** Makes the error for an option with a wrong value. */
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
  const message = `${call}: unknown option \`${name}\`${guess}`
  return new FaithError('ERR_FAITH_ARGUMENT', message, {
    hint: `its options are ${names.toSorted().join(', ')}`,
  })
}

/** Reads an argument of `call` that must be a string. */
export function readText(call: string, name: string, value: unknown): string {
  if (typeof value === 'string') return value
  const message = `${call}: \`${name}\` must be a string, got ${show(value)}`
  throw new FaithError('ERR_FAITH_ARGUMENT', message)
}

/** Copies the items of an array from the program, holes included. */
export function itemsOf(what: string, array: readonly unknown[]): unknown[] {
  return readable(what, () => Array.from(array))
}

/** Calls `read` on an object from the program. Its getters and proxy traps may throw, which becomes an error of ours. */
export function readable<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof FaithError) throw cause
    throw new FaithError('ERR_FAITH_ARGUMENT', `${what} cannot be read`, { cause })
  }
}

/** Tells if a value is an array. A revoked proxy, on which Array.isArray() throws, is not. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** Tells if a value is a real signal, not only an object with its prototype. */
function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal && typeof value.aborted === 'boolean'
  } catch {
    return false
  }
}

/** The most characters that an error quotes: more than any address, prefix or keyword has. */
const LONGEST_QUOTE = 64

/** Describes a value in an error message. It quotes only the beginning of a long text. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    return value.length > LONGEST_QUOTE ? `'${value.slice(0, LONGEST_QUOTE)}…'` : `'${value}'`
  }
  if (isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function') return 'a function'
  return String(value)
}
