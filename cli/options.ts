/**
 * Parses the command line of faithd by its table of options.
 *
 * The order of `--permit` and `--deny` matters, so the parser takes values one by one, from left to right.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { closest } from '../lib/spelling.js'
import type { Override, Overrides } from './configuration.js'
import { explain, UsageError } from './exit.js'
import { ports } from './kinds.js'
import { type Command, isFlag, type Option, OPTIONS, type Place } from './option-table.js'

/** A command line: what is to be done, and the settings that it gives. */
export interface CommandLine {
  /** The options that are about the command itself, with their values. */
  asked: ReadonlyMap<Command, string>
  overrides: Overrides
}

type Token = ReturnType<typeof tokenize>[number]
type OptionToken = Extract<Token, { kind: 'option' }>

/** An option by one of its names. */
interface Named {
  option: Option
  off: boolean
}

/** Every name that an option goes by. A flag has two: the second turns it off. */
const NAMES: ReadonlyMap<string, Named> = named()

function named(): Map<string, Named> {
  const names = new Map<string, Named>()
  for (const option of OPTIONS) {
    names.set(option.long, { option, off: false })
    if (isFlag(option)) names.set(`no-${option.long}`, { option, off: true })
  }
  return names
}

/**
 * Parses the arguments.
 *
 * @throws UsageError for an unknown option, a malformed value, or one argument too many
 */
export function parseOptions(args: readonly string[]): CommandLine {
  const asked = new Map<Command, string>()
  const overrides: Overrides = new Map()
  const services: string[] = []
  const given = new Map<Option, string>()

  for (const token of tokenize(args)) {
    if (token.kind === 'positional') services.push(token.value)
    if (token.kind !== 'option') continue
    const entry = NAMES.get(token.name)
    if (entry === undefined) throw unknown(token)
    const { option, off } = entry
    try {
      const text = textOf(option, token)
      requireOnce(given, option, isFlag(option) ? `--${token.name}` : text)
      if (option.sets === undefined) asked.set(option.long as Command, text)
      else give(overrides, option, off ? false : option.read(text), token.rawName)
    } catch (error) {
      throw new UsageError(`${token.rawName}: ${explain(error)}`)
    }
  }

  const [service, server] = services
  if (server !== undefined) {
    throw new UsageError(
      `'${server}' is one argument too many: faithd relays and starts no local servers; name one ` +
        'service, or a comma-separated list',
    )
  }
  if (service !== undefined) {
    settingsOf(overrides, 'relay').set('ports', { value: portsOf(service), by: `'${service}'` })
  }
  return { asked, overrides }
}

/** Gives the value of an option as written; `''` if the option takes none. */
function textOf({ value: called }: Option, { value, inlineValue }: OptionToken): string {
  if (called === undefined) {
    if (value !== undefined) throw new Error('does not take an argument')
    return ''
  }
  if (value === undefined) throw new Error(`argument missing: ${called}`)
  // A value that looks like an option means that the value is missing. A negative number is a wrong value.
  if (!inlineValue && /^-\D/.test(value)) {
    throw new Error(`argument missing: ${called}, before '${value}'`)
  }
  return value
}

/** Refuses a second value of an option that has one, and a flag that is turned on and off. */
function requireOnce(given: Map<Option, string>, option: Option, text: string): void {
  const before = given.get(option)
  given.set(option, text)
  if (before === undefined || option.sets?.setting.kind.form.type === 'list') return
  if (option.value !== undefined) {
    throw new Error(`it takes one ${option.value}, and was given '${before}' before '${text}'`)
  }
  if (before !== text) throw new Error(`it does not go with ${before}`)
}

/** Has an option replace the value of the file; a further one of a list is added to the first. */
function give(overrides: Overrides, { sets }: Option, value: unknown, by: string): void {
  if (sets === undefined) return
  const settings = settingsOf(overrides, sets.place)
  const before = settings.get(sets.key)?.value
  const added = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value
  settings.set(sets.key, { value: added, by })
}

function settingsOf(overrides: Overrides, place: Place): Map<string, Override> {
  const settings = overrides.get(place) ?? new Map<string, Override>()
  overrides.set(place, settings)
  return settings
}

/** Splits the line into tokens. It is not strict: this file reports errors with the option as the operator wrote it. */
function tokenize(args: readonly string[]) {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const [name, { option, off }] of NAMES) {
    options[name] = {
      type: option.value !== undefined ? 'string' : 'boolean',
      ...(option.short === undefined || off ? {} : { short: option.short }),
    }
  }
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens
}

function unknown({ name, rawName }: OptionToken): UsageError {
  const meant = rawName.startsWith('--') ? closest(name, [...NAMES.keys()]) : undefined
  const guess = meant === undefined ? '' : `; did you mean '--${meant}'?`
  return new UsageError(`unknown option '${rawName}'${guess}`)
}

function portsOf(service: string): string {
  try {
    return ports.read(service)
  } catch (error) {
    throw new UsageError(explain(error))
  }
}
