/**
 * Parses the command line of faithd by its table of options.
 *
 * The order of `--permit` and `--deny` matters, so the parser takes values one by one, from left to right.
 */
import { basename } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { closest } from '../lib/spelling.js'
import type { Override, Overrides } from './configuration.js'
import { explain, UsageError } from './exit.js'
import { ports } from './kinds.js'
import { trustingServices } from './services.js'
import { type Command, isFlag, type Option, OPTIONS } from './option-table.js'
import { type Place, TABLES } from './settings/tables.js'

/** A program for connections to this host itself. */
export interface LocalServer {
  /** Its whole path. */
  program: string
  /** The name that it gets as its own. */
  argv0: string
  args: readonly string[]
}

/** A command line: what is to be done, and the settings that it gives. */
export interface CommandLine {
  /** The options that are about the command itself, with their values. */
  asked: ReadonlyMap<Command, string>
  overrides: Overrides
  /** The local server, with `--inetd`. */
  server?: LocalServer
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
  const tokens = withValues(tokenize(args))
  const { end, operands } = operandsOf(args, tokens)
  const given = new Map<Option, string>()

  for (const token of tokens) {
    if (token.kind !== 'option' || token.index >= end) continue
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

  if (asked.has('inetd')) {
    const server = localServerOf(operands)
    return { asked, overrides, ...(server === undefined ? {} : { server }) }
  }
  const [service, ...words] = operands
  if (service === undefined) return { asked, overrides }
  const value = portsOf(service)
  const relay = settingsOf(overrides, 'relay')
  relay.set('ports', { value, by: `'${service}'` })
  // On BSD a service is one of TCP.
  if (service !== 'all' && !relay.has('protocols')) {
    relay.set('protocols', { value: 'tcp', by: `'${service}'` })
  }
  for (const name of trustingServices(service)) {
    if (!relay.has(name)) relay.set(name, { value: true, by: `'${service}'` })
  }
  const server = localServerOf(words)
  if (server !== undefined) {
    const { program, argv0, args: serverArgs } = server
    const by = `'${program}'`
    const settings = settingsOf(overrides, 'local')
    settings.set('port', { value, by })
    settings.set('command', { value: [program, ...serverArgs], by })
    settings.set('argv0', { value: argv0, by })
  }
  return { asked, overrides }
}

/** Reads a local server. As on BSD its first argument is the program's name for itself. */
function localServerOf(words: readonly string[]): LocalServer | undefined {
  const [program, argv0 = program, ...args] = words
  if (program === undefined || argv0 === undefined) return undefined
  if (!program.startsWith('/')) throw notAPath(program)
  if (argv0.startsWith('-')) {
    throw new UsageError(
      `'${argv0}' would be the name of ${program} for itself; write the name before it: ${program} ${basename(program)} ${argv0}`,
    )
  }
  return { program, argv0, args }
}

/**
 * Finds the operands of a command line: the service, and the local server with its arguments. All words behind the
 * server's path are the server's own, options included.
 */
function operandsOf(args: readonly string[], tokens: readonly Token[]) {
  const isInetd = tokens.some((token) => token.kind === 'option' && token.name === 'inetd')
  const [first, second] = tokens.filter(({ kind }) => kind === 'positional')
  const server = isInetd ? first : second
  const end = server?.index ?? args.length
  const service = isInetd || first === undefined ? [] : args.slice(first.index, first.index + 1)
  return { end, operands: [...service, ...args.slice(end)] }
}

function notAPath(serverPath: string): UsageError {
  return new UsageError(
    `'${serverPath}' is not the whole path of a local server; if it is a service, name several by a comma-separated list`,
  )
}

/** Gives an option whose value may be left out the word behind it, if that word is such a value. */
function withValues(tokens: readonly Token[]): Token[] {
  const taken = new Set<Token>()
  return tokens.flatMap((token, place) => {
    if (taken.has(token)) return []
    const next = tokens[place + 1]
    if (token.kind !== 'option' || token.value !== undefined || next?.kind !== 'positional') {
      return [token]
    }
    const option = NAMES.get(token.name)?.option
    if (option?.alone === undefined || !canRead(option, next.value)) return [token]
    taken.add(next)
    return [{ ...token, value: next.value, inlineValue: false }]
  })
}

function canRead(option: Option, word: string): boolean {
  try {
    option.read(word)
    return true
  } catch {
    return false
  }
}

/** Gives the value of an option as written; `''` if the option takes none. */
function textOf({ value: called, alone }: Option, { value, inlineValue }: OptionToken): string {
  if (called === undefined) {
    if (value !== undefined) throw new Error('does not take an argument')
    return ''
  }
  if (value === undefined && alone !== undefined) return alone
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
      // A string would take the next word, whatever it is.
      type: option.value !== undefined && option.alone === undefined ? 'string' : 'boolean',
      ...(option.short === undefined || off ? {} : { short: option.short }),
    }
  }
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens
}

function unknown({ name, rawName }: OptionToken): UsageError {
  const key = name.replace(/^dns64-/, '')
  if (rawName.startsWith('--') && isInFileAlone(key)) {
    return new UsageError(`unknown option '${rawName}'; write ${key} in [dns64] of faithd.toml`)
  }
  const meant = rawName.startsWith('--') ? closest(name, [...NAMES.keys()]) : undefined
  const guess = meant === undefined ? '' : `; did you mean '--${meant}'?`
  return new UsageError(`unknown option '${rawName}'${guess}`)
}

/** Returns true for a key of `[dns64]` that no option sets. */
function isInFileAlone(key: string): boolean {
  return (
    Object.hasOwn(TABLES.dns64, key) &&
    !OPTIONS.some(({ sets }) => sets?.place === 'dns64' && sets.key === key)
  )
}

function portsOf(service: string): string {
  try {
    return ports.read(service)
  } catch (error) {
    throw new UsageError(explain(error))
  }
}
