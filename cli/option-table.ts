/** Every option of faithd in one table, from which the command line is parsed, checked and explained. */
import {
  defaults,
  type FaithdOptions,
  LOG_FORMATS,
  LOG_LEVELS,
  WELL_KNOWN_PREFIX,
} from './settings.js'
import {
  ipv4Address,
  ipv4Prefix,
  ipv6Prefix,
  mapping,
  milliseconds,
  oneOf,
  wholeNumber,
} from './values.js'

/** One option: how it is written, explained and applied. */
export interface Option {
  long: string
  short?: string
  /** What the value is called in the help; without it the option takes none. */
  value?: string
  help: string
  /** The default, as the help shows it. */
  fallback?: string
  /** `true` for an option that may be given several times, each of which counts; any other takes one value. */
  repeatable?: boolean
  set(options: FaithdOptions, value: string): void
}

/** Options that are about one thing. */
export interface OptionGroup {
  title: string
  options: readonly Option[]
}

const DEFAULTS = defaults()
const { relay: RELAY } = DEFAULTS

/** Every option, in the order of the help. */
export const GROUPS: readonly OptionGroup[] = [
  {
    title: 'What is captured',
    options: [
      {
        long: 'keepfaith',
        short: 'k',
        help: 'set keepfaith to 1: capture; faithd does not start without',
        set: (options) => (options.keepfaith = true),
      },
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
        repeatable: true,
        set: (options, value) => options.prefixes.push(ipv6Prefix(value)),
      },
      {
        long: 'no-routes',
        help: 'leave the routes to the interface to the administrator',
        set: (options) => (options.routes = false),
      },
      {
        long: 'mtu',
        value: 'BYTES',
        help: 'MTU of the interface: segments are at least 60 shorter',
        fallback: String(DEFAULTS.mtu),
        set: (options, value) => (options.mtu = wholeNumber(value, 1280, 65_535)),
      },
      {
        long: 'no-shortcut',
        help: 'let every packet pass through faithd and the interface queue',
        set: (options) => (options.shortcut = false),
      },
      {
        long: 'unsupported',
        value: 'unreachable|drop',
        help: 'answer to UDP and the like: ICMPv6, or silence',
        fallback: DEFAULTS.unsupported,
        set: (options, value) => (options.unsupported = oneOf(['unreachable', 'drop'], value)),
      },
    ],
  },
  {
    title: 'Where it goes',
    options: [
      {
        long: 'mapping',
        value: 'rfc6052|low32',
        help: 'where the IPv4 address is inside the IPv6 one',
        fallback: RELAY.mapping,
        set: ({ relay }, value) => (relay.mapping = oneOf(['rfc6052', 'low32'], value)),
      },
      {
        long: 'map',
        value: 'IPV6=IPV4',
        help: 'map an address or a prefix by hand, see below; may be repeated',
        repeatable: true,
        set: ({ relay }, value) => relay.mappings.push(mapping(value)),
      },
    ],
  },
  {
    title: 'Who may go there',
    options: [
      {
        long: 'permit',
        value: 'CIDR',
        help: 'permit these IPv4 destinations; may be repeated',
        repeatable: true,
        set: ({ rules }, value) => rules.push({ action: 'permit', destination: ipv4Prefix(value) }),
      },
      {
        long: 'deny',
        value: 'CIDR',
        help: 'deny these IPv4 destinations; may be repeated',
        repeatable: true,
        set: ({ rules }, value) => rules.push({ action: 'deny', destination: ipv4Prefix(value) }),
      },
      {
        long: 'acl',
        short: 'f',
        value: 'FILE',
        help: 'further rules; SIGHUP reads them again',
        set: (options, value) => (options.accessListFile = value),
      },
      {
        long: 'end-denied',
        help: 'end the sessions that the rules read again deny, not keep them',
        set: (options) => (options.endDenied = true),
      },
      {
        long: 'allow-loopback',
        help: "let 127.0.0.0/8, the router's own loopback, be a destination",
        set: ({ relay }) => (relay.allowLoopback = true),
      },
    ],
  },
  {
    title: 'What the server sees',
    options: [
      {
        long: 'source',
        value: 'ADDRESS',
        help: 'IPv4 address to connect from; repeated, each client keeps one',
        repeatable: true,
        set: ({ relay }, value) => relay.localAddresses.push(ipv4Address(value)),
      },
      {
        long: 'privileged-source',
        short: 'p',
        help: 'connect from a port from 600 to 1023',
        set: ({ relay }) => (relay.privilegedLocalPort = true),
      },
      {
        long: 'proxy-protocol',
        value: '1|2',
        help: 'tell it the client and what it dialled, in this version',
        set: ({ relay }, value) => (relay.proxyProtocol = oneOf(['1', '2'], value) === '1' ? 1 : 2),
      },
      {
        long: 'copy-dscp',
        help: "send with the DSCP of the client's SYN",
        set: ({ relay }) => (relay.copyDscp = true),
      },
    ],
  },
  {
    title: 'How sessions begin and end',
    options: [
      {
        long: 'no-connect-first',
        help: 'answer the client before the server is connected',
        set: ({ relay }) => (relay.connectFirst = false),
      },
      {
        long: 'connect-timeout',
        value: 'SECONDS',
        help: 'how long a server may take to answer',
        fallback: seconds(RELAY.connectTimeoutMs),
        set: ({ relay }, value) => (relay.connectTimeoutMs = milliseconds(value, 'positive')),
      },
      {
        long: 'idle-timeout',
        value: 'SECONDS',
        help: 'how long a session may carry nothing; 0 for ever',
        fallback: seconds(RELAY.idleTimeoutMs),
        set: ({ relay }, value) => (relay.idleTimeoutMs = milliseconds(value, 'zero or positive')),
      },
      {
        long: 'keep-alive',
        value: 'SECONDS',
        help: 'declare a silent peer dead after this long',
        fallback: seconds(RELAY.keepAliveTimeoutMs),
        set: ({ relay }, value) =>
          (relay.keepAliveTimeoutMs = wholeNumber(value, 2, 64_800) * 1000),
      },
      {
        long: 'drain',
        value: 'SECONDS',
        help: 'time for sessions and last bytes after SIGINT or SIGTERM',
        fallback: seconds(DEFAULTS.drainMs),
        set: (options, value) => (options.drainMs = milliseconds(value, 'zero or positive')),
      },
    ],
  },
  {
    title: 'Limits',
    options: [
      {
        long: 'max-sessions',
        value: 'N',
        help: 'sessions at once; 0 for any number',
        fallback: `${RELAY.maxSessions}`,
        set: ({ relay }, value) => (relay.maxSessions = wholeNumber(value)),
      },
      {
        long: 'max-sessions-per-client',
        value: 'N',
        help: 'sessions of one client at once; 0 for any number',
        fallback: `${RELAY.maxSessionsPerClient}`,
        set: ({ relay }, value) => (relay.maxSessionsPerClient = wholeNumber(value)),
      },
      {
        long: 'max-rate-per-client',
        value: 'N',
        help: 'new sessions of one client per second; 0 for any number',
        fallback: `${RELAY.maxRatePerClient}`,
        set: ({ relay }, value) => (relay.maxRatePerClient = wholeNumber(value)),
      },
      {
        long: 'client-prefix-length',
        value: 'BITS',
        help: 'leading bits of an address that make one client',
        fallback: `${RELAY.clientPrefixLength}`,
        set: ({ relay }, value) => (relay.clientPrefixLength = wholeNumber(value, 0, 128)),
      },
      {
        long: 'max-held',
        value: 'N',
        help: 'SYNs held while their servers are connected',
        fallback: `${RELAY.maxHeld}`,
        set: ({ relay }, value) => (relay.maxHeld = wholeNumber(value, 1)),
      },
      {
        long: 'max-held-per-client',
        value: 'N',
        help: 'of these, from one client',
        fallback: `${RELAY.maxHeldPerClient}`,
        set: ({ relay }, value) => (relay.maxHeldPerClient = wholeNumber(value, 1)),
      },
    ],
  },
  {
    title: 'Log and help',
    options: [
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
    ],
  },
]

/** Every option, without the groups. */
export const TABLE: readonly Option[] = GROUPS.flatMap(({ options }) => options)

function seconds(time: number): string {
  return `${time / 1000}`
}
