/** Parses the command line of faithctl by its table. */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { closest } from '../../lib/spelling.js'
import { Exit, ExitError } from '../exit.js'
import type { Command, Option } from './command.js'
import { GLOBAL_OPTIONS } from './command-options.js'
import { COMMANDS } from './command-table.js'

type KnownCommand = (typeof COMMANDS)[number]

/** A command line: the command, its arguments and its options. */
export interface Line {
  /** Absent if only help or the version is asked for. */
  command?: KnownCommand
  /** Words that name several commands, such as `interface`. */
  family?: string
  words: readonly string[]
  given: Given
}

/** The options of a command line by their long names, with the values as written. */
export class Given {
  readonly #values: ReadonlyMap<string, readonly string[]>

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1)
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  names(): string[] {
    return [...this.#values.keys()]
  }
}

/** A malformed command line of faithctl. */
export class CommandLineError extends ExitError {
  override readonly name = 'CommandLineError'

  constructor(message: string, command = '') {
    super(Exit.usage, `${message}; see faithctl ${command === '' ? '' : `${command} `}--help`)
  }
}

/** Every option of the table by its long name. An option that several commands have is written the same in each. */
export const OPTIONS: ReadonlyMap<string, Option> = new Map(
  [...GLOBAL_OPTIONS, ...(COMMANDS as readonly Command[]).flatMap(({ options }) => options)].map(
    (option) => [option.long, option],
  ),
)

/**
 * Parses the arguments.
 *
 * @throws CommandLineError for an unknown command or option, a missing value, or a wrong number of arguments
 */
export function parseLine(args: readonly string[]): Line {
  const values = new Map<string, string[]>()
  const words: string[] = []
  const unknown: string[] = []
  const tokens = tokenize(args)
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at]
    if (token?.kind === 'positional') words.push(token.value)
    if (token?.kind !== 'option') continue
    const option = OPTIONS.get(token.name)
    if (option === undefined) {
      unknown.push(token.rawName)
      continue
    }
    let { value } = token
    if (option.value === undefined && value !== undefined) {
      throw new CommandLineError(`${token.rawName}: does not take an argument`)
    }
    const next = tokens[at + 1]
    if (
      option.optional &&
      value === undefined &&
      next?.kind === 'positional' &&
      isNumber(next.value)
    ) {
      ;({ value } = next)
      at += 1
    }
    if (option.value !== undefined && !option.optional) {
      // A value that looks like an option means that the value is missing.
      if (value === undefined || (!token.inlineValue && /^-\D/.test(value))) {
        throw new CommandLineError(`${token.rawName}: argument missing: ${option.value}`)
      }
    }
    const before = values.get(option.long) ?? []
    if (before.length > 0 && option.value !== undefined && !option.repeats) {
      throw new CommandLineError(`${token.rawName}: given twice`)
    }
    values.set(option.long, [...before, value ?? option.fallback ?? ''])
  }
  return understand(words, new Given(values), unknown)
}

function understand(words: readonly string[], given: Given, unknown: readonly string[]): Line {
  const asks = given.has('help') || given.has('version')
  const { command, taken } = commandOf(words)
  if (command === undefined) {
    const [family] = words
    if (asks && (family === undefined || familyOf(family).length > 0)) {
      return { ...(family === undefined ? {} : { family }), words: [], given }
    }
    const [option] = unknown
    if (family === undefined && option !== undefined) throw unknownOption(option)
    throw unknownCommand(words)
  }
  const line: Line = { command, words: words.slice(taken), given }
  if (asks) return line
  const [option] = unknown
  if (option !== undefined) throw unknownOption(option, command)
  const stranger = given
    .names()
    .find((name) => !optionsOf(command).some(({ long }) => long === name))
  if (stranger !== undefined) {
    const others = (COMMANDS as readonly Command[])
      .filter(({ options }) => options.some(({ long }) => long === stranger))
      .map(({ name }) => name)
    throw new CommandLineError(
      `'--${stranger}' does not go with ${command.name}; it is an option of ${others.join(', ')}`,
      command.name,
    )
  }
  checkWords(command, line.words)
  return line
}

/** Gives the options that go with a command. */
export function optionsOf(command: Command): readonly Option[] {
  return [...command.options, ...GLOBAL_OPTIONS]
}

/** Finds the command that the first words name, and the number of these words. */
export function commandOf(words: readonly string[]): {
  command: KnownCommand | undefined
  taken: number
} {
  const [first = '', second = ''] = words
  const both = COMMANDS.find(({ name }) => name === `${first} ${second}`)
  if (both !== undefined) return { command: both, taken: 2 }
  return { command: COMMANDS.find(({ name }) => name === first), taken: 1 }
}

/** Gives the commands of two words that begin with one. */
export function familyOf(first: string): readonly KnownCommand[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
}

function checkWords(command: Command, words: readonly string[]): void {
  const missing = command.arguments[words.length]
  if (missing !== undefined && !missing.optional) {
    const [example] = command.examples
    throw new CommandLineError(
      `${command.name}: argument missing: ${missing.name}; for example: faithctl ${example?.[0]}`,
      command.name,
    )
  }
  const extra = words[command.arguments.length]
  if (extra !== undefined && !command.arguments.at(-1)?.repeats) {
    throw new CommandLineError(`${command.name}: '${extra}' is one argument too many`, command.name)
  }
}

function unknownCommand(words: readonly string[]): CommandLineError {
  const [first, second] = words
  if (first === undefined) return new CommandLineError('command missing')
  const family = familyOf(first)
  if (family.length > 0) {
    const names = family.map(({ name }) => name.slice(first.length + 1))
    if (second === undefined) {
      return new CommandLineError(`${first}: command missing: ${names.join(', ')}`, first)
    }
    return new CommandLineError(
      `unknown command '${first} ${second}'${guess(second, names, `${first} `)}`,
      first,
    )
  }
  const names = COMMANDS.flatMap(({ name }) => [name, name.split(' ')[0] ?? ''])
  return new CommandLineError(`unknown command '${first}'${guess(first, names)}`)
}

function unknownOption(rawName: string, command?: Command): CommandLineError {
  const names = (command === undefined ? [...OPTIONS.values()] : optionsOf(command)).map(
    ({ long }) => long,
  )
  const meant = rawName.startsWith('--') ? guess(rawName.slice(2), names, '--') : ''
  return new CommandLineError(`unknown option '${rawName}'${meant}`, command?.name)
}

function guess(name: string, names: readonly string[], before = ''): string {
  const meant = closest(name, names)
  return meant === undefined ? '' : `; did you mean '${before}${meant}'?`
}

function isNumber(text: string): boolean {
  return /^\d+(?:\.\d+)?$/.test(text)
}

/** Splits the line into tokens. It is not strict: this file reports errors by the command that was given. */
function tokenize(args: readonly string[]) {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const { long, short, value, optional } of OPTIONS.values()) {
    options[long] = {
      type: value !== undefined && !optional ? 'string' : 'boolean',
      ...(short === undefined ? {} : { short }),
    }
  }
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens
}
