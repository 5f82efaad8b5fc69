/**
 * Parses the command line of faithd by its table of options.
 *
 * The order of `--permit` and `--deny` matters, so the parser applies values one by one, from left to right.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { PortRange } from '../lib/ports.js'
import { explain, UsageError } from './exit.js'
import { type Option, TABLE } from './option-table.js'
import { parseService } from './services.js'
import { defaults, type FaithdOptions, WELL_KNOWN_PREFIX } from './settings.js'

/**
 * Parses the arguments and fills in the defaults.
 *
 * @throws UsageError for an unknown option, a malformed value, or one argument too many
 */
export function parseOptions(args: readonly string[]): FaithdOptions {
  const options = defaults()
  const services: string[] = []
  const given = new Map<Option, string>()

  for (const token of tokenize(args)) {
    if (token.kind === 'positional') services.push(token.value)
    if (token.kind !== 'option') continue
    const entry = TABLE.find(({ long }) => long === token.name)
    if (entry === undefined) throw new UsageError(`unknown option '${token.rawName}'`)
    try {
      const value = valueOf(entry, token)
      const before = given.get(entry)
      if (before !== undefined && !entry.repeatable && entry.value !== undefined) {
        throw new Error(`it takes one ${entry.value}, and was given '${before}' before '${value}'`)
      }
      given.set(entry, value)
      entry.set(options, value)
    } catch (error) {
      throw new UsageError(`${token.rawName}: ${explain(error)}`)
    }
  }

  if (options.prefixes.length === 0) options.prefixes.push(WELL_KNOWN_PREFIX)
  const [service, server] = services
  if (server !== undefined) {
    throw new UsageError(
      `'${server}' is one argument too many: faithd relays and starts no local servers; name one ` +
        'service, or a comma-separated list',
    )
  }
  if (service !== undefined) options.ports = ports(service)
  return options
}

type Token = ReturnType<typeof tokenize>[number]

/** Gives the value of an option as written; `''` if the option takes none. */
function valueOf({ value: called }: Option, token: Extract<Token, { kind: 'option' }>): string {
  const { value, inlineValue } = token
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

/** Splits the line into tokens. It is not strict: this file reports errors with the option as the operator wrote it. */
function tokenize(args: readonly string[]) {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const entry of TABLE) {
    options[entry.long] = {
      type: entry.value !== undefined ? 'string' : 'boolean',
      ...(entry.short === undefined ? {} : { short: entry.short }),
    }
  }
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens
}

function ports(service: string): PortRange[] {
  try {
    return parseService(service)
  } catch (error) {
    throw new UsageError(explain(error))
  }
}
