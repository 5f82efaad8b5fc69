/**
 * The command line of faithd, parsed by its table of options.
 *
 * The order of `--permit` and `--deny` matters, so values are applied one by one as they stand on the line.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { PortRange } from '../lib/ports.js'
import { explain, UsageError } from './exit.js'
import { type Option, TABLE } from './option-table.js'
import { parseService } from './services.js'
import { defaults, type FaithdOptions, WELL_KNOWN_PREFIX } from './settings.js'

/**
 * What the arguments ask for, defaults filled in.
 *
 * @throws UsageError when they cannot be understood
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
      `'${server}' is one argument too many: faithd relays and starts no local servers, so name one ` +
        'service, or several set apart by commas',
    )
  }
  if (service !== undefined) options.ports = ports(service)
  return options
}

type Token = ReturnType<typeof tokenize>[number]

/** The value of an option as it stands on the line; `''` for one that takes none. */
function valueOf({ value: called }: Option, token: Extract<Token, { kind: 'option' }>): string {
  const { value, inlineValue } = token
  if (called === undefined) {
    if (value !== undefined) throw new Error('does not take an argument')
    return ''
  }
  if (value === undefined) throw new Error(`argument missing: ${called}`)
  // A value that begins like an option means that the value is missing; a negative number is a (wrong) value.
  if (!inlineValue && /^-\D/.test(value)) {
    throw new Error(`argument missing: ${called}, before '${value}'`)
  }
  return value
}

/** The parts of the line. Not strict: this file reports the errors, in the option's own words. */
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
