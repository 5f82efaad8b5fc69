/**
 * The command line of faithd: one table, from which it is parsed, checked and explained.
 *
 * The order of `--permit` and `--deny` matters, so values are applied one by one as they stand on the line.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { PortRange } from '../lib/ports.js'
import { explain, UsageError } from './exit.js'
import { parseService } from './services.js'
import { ipv4Prefix, ipv6Prefix, milliseconds, oneOf, wholeNumber } from './values.js'

/** What the command line asks for. Times are in milliseconds. */
export interface FaithdOptions {
  ports: PortRange[]
  interface: string
  prefixes: string[]
  keepfaith: boolean
  accessList: { action: 'permit' | 'deny'; destination: string }[]
  allowLoopback: boolean
  mapping: 'rfc6052' | 'low32'
  unsupported: 'unreachable' | 'drop'
  connectFirst: boolean
  connectTimeout: number
  idleTimeout: number
  maxSessions: number
  routes: boolean
  drain: number
  logFormat: LogFormat
  logLevel: LogLevel
  help: boolean
  version: boolean
}

/** How log lines are written. */
export type LogFormat = (typeof LOG_FORMATS)[number]
/** The least important log lines that are written. */
export type LogLevel = (typeof LOG_LEVELS)[number]

const LOG_FORMATS = ['text', 'json'] as const
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
const WELL_KNOWN_PREFIX = '64:ff9b::/96'

const DEFAULTS: Readonly<FaithdOptions> = {
  ports: parseService('all'),
  interface: 'faith0',
  prefixes: [],
  keepfaith: false,
  accessList: [],
  allowLoopback: false,
  mapping: 'rfc6052',
  unsupported: 'unreachable',
  connectFirst: true,
  connectTimeout: 10_000,
  idleTimeout: 1_800_000,
  maxSessions: 0,
  routes: true,
  drain: 5_000,
  logFormat: 'text',
  logLevel: 'info',
  help: false,
  version: false,
}

/** One option: how it is written, explained and applied. */
export interface Option {
  long: string
  short?: string
  /** What the value is called in the help; without it the option takes none. */
  value?: string
  help: string
  /** The default, as the help shows it. */
  fallback?: string
  set(options: FaithdOptions, value: string): void
}

/** Every option, in the order of the help. */
export const TABLE: readonly Option[] = [
  {
    long: 'interface',
    short: 'i',
    value: 'NAME',
    help: 'name of the faith interface',
    fallback: DEFAULTS.interface,
    set: (options, value) => (options.interface = value),
  },
  {
    long: 'prefix',
    short: 'P',
    value: 'PREFIX',
    help: 'IPv6 prefix to capture; may be repeated',
    fallback: WELL_KNOWN_PREFIX,
    set: (options, value) => options.prefixes.push(ipv6Prefix(value)),
  },
  {
    long: 'keepfaith',
    short: 'k',
    help: 'set keepfaith to 1: capture; faithd does not start without',
    set: (options) => (options.keepfaith = true),
  },
  {
    long: 'permit',
    value: 'CIDR',
    help: 'permit these IPv4 destinations; may be repeated',
    set: (options, value) =>
      options.accessList.push({ action: 'permit', destination: ipv4Prefix(value) }),
  },
  {
    long: 'deny',
    value: 'CIDR',
    help: 'deny these IPv4 destinations; may be repeated',
    set: (options, value) =>
      options.accessList.push({ action: 'deny', destination: ipv4Prefix(value) }),
  },
  {
    long: 'allow-loopback',
    help: "treat 127.0.0.0/8, the router's own loopback, like any destination",
    set: (options) => (options.allowLoopback = true),
  },
  {
    long: 'mapping',
    value: 'rfc6052|low32',
    help: 'where the IPv4 address is inside the IPv6 one',
    fallback: DEFAULTS.mapping,
    set: (options, value) => (options.mapping = oneOf(['rfc6052', 'low32'], value)),
  },
  {
    long: 'unsupported',
    value: 'unreachable|drop',
    help: 'what becomes of UDP and the like: an ICMPv6 answer, or silence',
    fallback: DEFAULTS.unsupported,
    set: (options, value) => (options.unsupported = oneOf(['unreachable', 'drop'], value)),
  },
  {
    long: 'no-connect-first',
    help: 'answer the client before the server is connected',
    set: (options) => (options.connectFirst = false),
  },
  {
    long: 'connect-timeout',
    value: 'SECONDS',
    help: 'how long a server may take to answer',
    fallback: `${DEFAULTS.connectTimeout / 1000}`,
    set: (options, value) => (options.connectTimeout = milliseconds(value, 'positive')),
  },
  {
    long: 'idle-timeout',
    value: 'SECONDS',
    help: 'how long a session may carry nothing; 0 for ever',
    fallback: `${DEFAULTS.idleTimeout / 1000}`,
    set: (options, value) => (options.idleTimeout = milliseconds(value, 'zero or positive')),
  },
  {
    long: 'max-sessions',
    value: 'N',
    help: 'sessions at once; 0 for any number',
    fallback: `${DEFAULTS.maxSessions}`,
    set: (options, value) => (options.maxSessions = wholeNumber(value)),
  },
  {
    long: 'no-routes',
    help: 'leave the routes to the interface to the administrator',
    set: (options) => (options.routes = false),
  },
  {
    long: 'drain',
    value: 'SECONDS',
    help: 'how long sessions may go on after SIGINT or SIGTERM',
    fallback: `${DEFAULTS.drain / 1000}`,
    set: (options, value) => (options.drain = milliseconds(value, 'zero or positive')),
  },
  {
    long: 'debug',
    short: 'd',
    help: 'as --log-level debug',
    set: (options) => (options.logLevel = 'debug'),
  },
  {
    long: 'log-format',
    value: LOG_FORMATS.join('|'),
    help: 'how log lines are written to stderr',
    fallback: DEFAULTS.logFormat,
    set: (options, value) => (options.logFormat = oneOf(LOG_FORMATS, value)),
  },
  {
    long: 'log-level',
    value: 'LEVEL',
    help: LOG_LEVELS.join(', '),
    fallback: DEFAULTS.logLevel,
    set: (options, value) => (options.logLevel = oneOf(LOG_LEVELS, value)),
  },
  {
    long: 'help',
    short: 'h',
    help: 'print this help',
    set: (options) => (options.help = true),
  },
  {
    long: 'version',
    short: 'V',
    help: 'print the version',
    set: (options) => (options.version = true),
  },
]

/**
 * What the arguments ask for, defaults filled in.
 *
 * @throws UsageError when they cannot be understood
 */
export function parseOptions(args: readonly string[]): FaithdOptions {
  const options: FaithdOptions = { ...DEFAULTS, prefixes: [], accessList: [] }
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
