/** The table of faithd's options: it parses, checks and explains the command line. */
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

/** One option: its spelling, its help and its effect. */
export interface Option {
  long: string
  short?: string
  /** The name of the value in the help. An option without it takes no value. */
  value?: string
  help: string
  /** The default, as the help shows it. */
  fallback?: string
  /** `true` lets the option be given several times, to add values. Other options take one value. */
  repeatable?: boolean
  set(options: FaithdOptions, value: string): void
}

/** Options of one topic, under one heading of the help. */
export interface OptionGroup {
  title: string
  options: readonly Option[]
}

const DEFAULTS = defaults()
const { relay: RELAY } = DEFAULTS

/** Every option, in the order of the help. */
export const GROUPS: readonly OptionGroup[] = [
  {
    title: 'Capture',
    options: [
      {
        long: 'keepfaith',
        short: 'k',
        help: 'set keepfaith to 1, which turns capturing on; required',
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
        help: 'do not route the prefixes to the interface',
        set: (options) => (options.routes = false),
      },
      {
        long: 'mtu',
        value: 'BYTES',
        help: 'MTU of the interface; the MSS is at least 60 less',
        fallback: String(DEFAULTS.mtu),
        set: (options, value) => (options.mtu = wholeNumber(value, 1280, 65_535)),
      },
      {
        long: 'no-shortcut',
        help: 'turn the BPF shortcut off: the pump passes every packet',
        set: (options) => (options.shortcut = false),
      },
      {
        long: 'unsupported',
        value: 'unreachable|drop',
        help: 'reply to UDP and the like: ICMPv6 error, or none',
        fallback: DEFAULTS.unsupported,
        set: (options, value) => (options.unsupported = oneOf(['unreachable', 'drop'], value)),
      },
    ],
  },
  {
    title: 'Mapping',
    options: [
      {
        long: 'mapping',
        value: 'rfc6052|low32',
        help: 'place of the IPv4 address inside the IPv6 address',
        fallback: RELAY.mapping,
        set: ({ relay }, value) => (relay.mapping = oneOf(['rfc6052', 'low32'], value)),
      },
      {
        long: 'map',
        value: 'IPV6=IPV4',
        help: 'map an address or a prefix, see below; may be repeated',
        repeatable: true,
        set: ({ relay }, value) => relay.mappings.push(mapping(value)),
      },
    ],
  },
  {
    title: 'Access',
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
        help: 'file of further rules; SIGHUP reads it again',
        set: (options, value) => (options.accessListFile = value),
      },
      {
        long: 'end-denied',
        help: 'after SIGHUP, end the sessions that the new rules deny',
        set: (options) => (options.endDenied = true),
      },
      {
        long: 'allow-loopback',
        help: "let rules permit 127.0.0.0/8, the router's own loopback",
        set: ({ relay }) => (relay.allowLoopback = true),
      },
    ],
  },
  {
    title: 'Connections to servers',
    options: [
      {
        long: 'source',
        value: 'ADDRESS',
        help: 'IPv4 address to connect from; if repeated, a client keeps one',
        repeatable: true,
        set: ({ relay }, value) => relay.localAddresses.push(ipv4Address(value)),
      },
      {
        long: 'privileged-source',
        short: 'p',
        help: 'connect from a source port in 600 to 1023',
        set: ({ relay }) => (relay.privilegedLocalPort = true),
      },
      {
        long: 'proxy-protocol',
        value: '1|2',
        help: 'send a PROXY header with the client and the dialled address',
        set: ({ relay }, value) => (relay.proxyProtocol = oneOf(['1', '2'], value) === '1' ? 1 : 2),
      },
      {
        long: 'copy-dscp',
        help: "give packets to the server the DSCP of the client's SYN",
        set: ({ relay }) => (relay.copyDscp = true),
      },
    ],
  },
  {
    title: 'Sessions',
    options: [
      {
        long: 'no-connect-first',
        help: 'accept the client before the server is connected',
        set: ({ relay }) => (relay.connectFirst = false),
      },
      {
        long: 'connect-timeout',
        value: 'SECONDS',
        help: 'give up on a server that does not answer for this long',
        fallback: seconds(RELAY.connectTimeoutMs),
        set: ({ relay }, value) => (relay.connectTimeoutMs = milliseconds(value, 'positive')),
      },
      {
        long: 'idle-timeout',
        value: 'SECONDS',
        help: 'end a session after this long without a byte; 0: never',
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
        help: 'maximum sessions at once; 0: no limit',
        fallback: `${RELAY.maxSessions}`,
        set: ({ relay }, value) => (relay.maxSessions = wholeNumber(value)),
      },
      {
        long: 'max-sessions-per-client',
        value: 'N',
        help: 'maximum sessions of one client at once; 0: no limit',
        fallback: `${RELAY.maxSessionsPerClient}`,
        set: ({ relay }, value) => (relay.maxSessionsPerClient = wholeNumber(value)),
      },
      {
        long: 'max-rate-per-client',
        value: 'N',
        help: 'maximum new sessions of one client per second; 0: no limit',
        fallback: `${RELAY.maxRatePerClient}`,
        set: ({ relay }, value) => (relay.maxRatePerClient = wholeNumber(value)),
      },
      {
        long: 'client-prefix-length',
        value: 'BITS',
        help: 'length of the IPv6 prefix that counts as one client',
        fallback: `${RELAY.clientPrefixLength}`,
        set: ({ relay }, value) => (relay.clientPrefixLength = wholeNumber(value, 0, 128)),
      },
      {
        long: 'max-held',
        value: 'N',
        help: 'maximum SYNs held while their servers are connected',
        fallback: `${RELAY.maxHeld}`,
        set: ({ relay }, value) => (relay.maxHeld = wholeNumber(value, 1)),
      },
      {
        long: 'max-held-per-client',
        value: 'N',
        help: 'maximum of these from one client',
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
        help: 'same as --log-level debug',
        set: (options) => (options.logLevel = 'debug'),
      },
      {
        long: 'log-format',
        value: LOG_FORMATS.join('|'),
        help: 'format of the log on stderr',
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

/** Every option, ungrouped. */
export const TABLE: readonly Option[] = GROUPS.flatMap(({ options }) => options)

function seconds(time: number): string {
  return `${time / 1000}`
}
