/**
 * The command line of faithd, parsed by its table of options.
 *
 * The order of `--permit` and `--deny` matters, so values are applied one by one as they stand on the line.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { PortRange } from '../lib/ports.js'
import { explain, UsageError } from './exit.js'
import { TABLE } from './option-table.js'
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

  for (const token of tokenize(args)) {
    if (token.kind === 'positional') services.push(token.value)
    if (token.kind !== 'option') continue
    const entry = TABLE.find(({ long }) => long === token.name)
    if (entry === undefined) continue
    try {
      entry.set(options, token.value ?? '')
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

function tokenize(args: readonly string[]): NonNullable<ReturnType<typeof parse>['tokens']> {
  try {
    return parse(args).tokens
  } catch (error) {
    // "Unknown option '-x'. To specify a positional argument …": the advice is not ours.
    const [first = 'bad option'] = explain(error).split(/\. |\n/)
    throw new UsageError(first.charAt(0).toLowerCase() + first.slice(1).replace(/\.$/, ''))
  }
}

function parse(args: readonly string[]) {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const entry of TABLE) {
    options[entry.long] = {
      type: entry.value !== undefined ? 'string' : 'boolean',
      ...(entry.short === undefined ? {} : { short: entry.short }),
    }
  }
  return parseArgs({ args: [...args], options, allowPositionals: true, tokens: true })
}

function ports(service: string): PortRange[] {
  try {
    return parseService(service)
  } catch (error) {
    throw new UsageError(explain(error))
  }
}
