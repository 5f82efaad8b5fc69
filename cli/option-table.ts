/**
 * Every setting of faithd in one table: its name, its kind, its default, its help, and what a reload does with it. The
 * command line, `--help`, the schema of faithd.toml and the reference of its keys are made from it.
 */
import {
  ALL_PROTOCOLS,
  anyText,
  clientPrefix,
  dnsAddress,
  dnsUpstream,
  flag,
  interfaceName,
  ipv4Address,
  ipv6Prefix,
  type Kind,
  list,
  listenAddress,
  mapping,
  oneOf,
  peerAddress,
  ports,
  protocols,
  rule,
  ruleFor,
  seconds,
  wholeNumber,
} from './kinds.js'
import { FACILITIES, logPlace } from './log-place.js'
import { LONGEST_LIFETIME, USUAL_LIFETIME } from './pref64/prefix.js'

/** The time from which a reload has a changed setting in force. */
export type Change = 'at once' | 'for new connections' | 'at the next start'

/** The spelling of a setting on the command line. */
export interface Spelling {
  /** Its name, where it is not the key's. */
  long?: string
  short?: string
  /** The name of the value in the help. A flag takes no value. */
  value?: string
  help: string
  /** The value that the option has where none stands behind it; without, a value is required. */
  alone?: string
  /** The default as the help shows it. */
  fallback?: string
  /** Reads the value from the text of the command line. */
  read(text: string): unknown
}

/** One setting: a key of a table of faithd.toml, and an option of the command line. */
export interface Setting<T = unknown> {
  kind: Kind<T>
  /** The value where neither the file nor the command line has one. */
  fallback: T
  /** Its heading in the help. */
  group: string
  help: string
  change: Change
  options: readonly Spelling[]
}

/** The settings of one table of the file, by their keys. */
export type Settings = Readonly<Record<string, Setting>>

/** The values of such settings. */
export type ValuesOf<S extends Settings> = {
  -readonly [Key in keyof S]: S[Key] extends Setting<infer T> ? T : never
}

type Words = Partial<Spelling> & { change?: Change; options?: readonly Spelling[] }

/** Makes the settings of one heading of the help. */
function under(title: string) {
  return <T>(kind: Kind<T>, fallback: T, help: string, words: Words = {}): Setting<T> => {
    const { change = 'for new connections', options } = words
    const shown = Array.isArray(fallback) ? fallback.join(' ') : String(fallback ?? '')
    const spelling: Spelling = {
      help,
      ...(kind.form.type === 'flag' || shown === '' ? {} : { fallback: shown }),
      read: (given) => kind.read(given),
      ...words,
    }
    return { kind, fallback, group: title, help, change, options: options ?? [spelling] }
  }
}

export const WELL_KNOWN_PREFIX = '64:ff9b::/96'
export const LOG_FORMATS = ['text', 'json'] as const
export const LOG_RECORDS = ['sessions', 'blocks'] as const
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const

const captured = under('Capture')
const running = under('Process')
const goes = under('Mapping')
const allowed = under('Access')
const seen = under('Connections to servers')
const lasting = under('Sessions')
const served = under('Local services')
const limits = under('Limits')
const observed = under('Metrics')
const log = under('Log')
const recorded = under('Records')
const steered = under('Control')
const advertised = under('Advertisements')
const answered = under('DNS64')

/** The control socket where the configuration names none. */
export const CONTROL_SOCKET = '/run/faithd/faithd.sock'

const noText = undefined as string | undefined
const noNumber = undefined as number | undefined
const noProxy = undefined as 1 | 2 | undefined
const noAddress = undefined as string | undefined

/** Settings of the process. */
export const PROCESS = {
  keepfaith: captured(flag, false, 'set keepfaith to 1, which turns capturing on; required', {
    short: 'k',
    change: 'at once',
  }),
  metrics: observed(
    listenAddress as Kind<string | undefined>,
    noAddress,
    'serve metrics for Prometheus on this address',
    { value: '[HOST:]PORT', change: 'at the next start' },
  ),
  control: steered(
    anyText('the path of a Unix socket', CONTROL_SOCKET) as Kind<string | undefined>,
    noText,
    'Unix socket by which faithd is asked and steered; empty: none',
    {
      change: 'at the next start',
      options: [
        {
          value: 'PATH',
          help: 'Unix socket of the control interface',
          fallback: CONTROL_SOCKET,
          read: (given) => given,
        },
        { long: 'no-control', help: 'make no control socket', read: () => '' },
      ],
    },
  ),
  'control-group': steered(
    anyText('a group', 'faithd') as Kind<string | undefined>,
    noText,
    'group that may use the control socket; without, only its owner',
    { value: 'GROUP', help: 'group that may use the control socket', change: 'at the next start' },
  ),
  user: running(
    anyText('the name of a user', 'faithd') as Kind<string | undefined>,
    noText,
    'user to become, without capabilities, once faithd captures',
    {
      value: 'NAME',
      help: 'user to become, unprivileged, once it captures; empty: none',
      change: 'at the next start',
      // An option that turns off what the file says.
      read: (given) => (given === '' ? undefined : given),
    },
  ),
} satisfies Settings

/** Settings of an interface. */
export const INTERFACE = {
  name: captured(anyText('a name', 'faith0'), 'faith0', 'name of the faith interface', {
    long: 'interface',
    short: 'i',
    value: 'NAME',
    change: 'at the next start',
  }),
  prefixes: captured(list(ipv6Prefix), [WELL_KNOWN_PREFIX], 'IPv6 prefixes to capture', {
    long: 'prefix',
    short: 'P',
    value: 'PREFIX',
    help: 'IPv6 prefix to capture; may be repeated',
    change: 'at once',
  }),
  routes: captured(flag, true, 'route the prefixes to the interface', {
    help: 'do not route the prefixes to the interface',
    change: 'at the next start',
  }),
  mtu: captured(
    wholeNumber(1280, 65_535),
    65_535,
    'MTU of the interface; the MSS is at least 60 less',
    { value: 'BYTES', change: 'at the next start' },
  ),
  shortcut: captured(flag, true, 'keep the packets of established connections in the kernel', {
    help: 'turn the BPF shortcut off: the pump passes every packet',
    change: 'at the next start',
  }),
  unsupported: captured(
    oneOf(['unreachable', 'drop']),
    'unreachable',
    'reply to UDP and the like: ICMPv6 error, or none',
    { value: 'unreachable|drop', change: 'at the next start' },
  ),
} satisfies Settings

/** Settings of a relay. */
export const RELAY = {
  ports: captured(ports, 'all', 'ports to relay, as the service argument names them', {
    options: [],
  }),
  protocols: captured(
    protocols,
    ALL_PROTOCOLS,
    'protocols to relay, on these ports; icmp is ping, of one relay of an interface',
    {
      value: 'PROTOCOLS',
      help: 'protocols to relay; with a service: tcp',
      change: 'at the next start',
    },
  ),
  mapping: goes(
    oneOf(['rfc6052', 'low32']),
    'rfc6052',
    'place of the IPv4 address inside the IPv6 address',
    { value: 'rfc6052|low32' },
  ),
  map: goes(list(mapping), [], 'explicit mappings of addresses or prefixes', {
    value: 'IPV6=IPV4',
    help: 'map an address or a prefix, see below; may be repeated',
  }),
  rules: allowed(list(rule), [], 'rules that go before those of the files of acl', {
    change: 'at once',
    options: (['permit', 'deny'] as const).map((action) => ({
      long: action,
      value: 'CIDR',
      help: `${action} these IPv4 destinations; may be repeated`,
      read: (given: string) => [ruleFor(action, given)],
    })),
  }),
  acl: allowed(
    list(anyText('the path of a file', '/etc/faithd/faithd.conf'), true),
    [],
    'files of further rules',
    {
      short: 'f',
      value: 'FILE',
      help: 'file of further rules; SIGHUP reads it again',
      change: 'at once',
    },
  ),
  'end-denied': allowed(flag, false, 'after SIGHUP, end the sessions that the new rules deny', {
    change: 'at once',
  }),
  'allow-loopback': allowed(
    flag,
    false,
    "let rules permit 127.0.0.0/8, the router's own loopback",
    { change: 'at once' },
  ),
  local: allowed(
    oneOf(['refuse', 'host']),
    'refuse',
    'refuse connections to this host, or let it serve them',
    { value: 'refuse|host' },
  ),
  source: seen(
    list(ipv4Address),
    [],
    'IPv4 addresses to connect from; of several, a client keeps one',
    {
      value: 'ADDRESS',
      help: 'IPv4 address to connect from; if repeated, a client keeps one',
    },
  ),
  'port-block': seen(
    wholeNumber(0, 65_535),
    0,
    "ports in a client's own block of a source; 0: no blocks",
    { value: 'PORTS' },
  ),
  'port-blocks-per-client': seen(wholeNumber(1, 65_535), 4, 'maximum blocks of one client', {
    value: 'N',
  }),
  'port-block-rest': seen(
    wholeNumber(1, 4_294_967),
    120,
    "keep a client's block this long after its last use",
    { value: 'SECONDS' },
  ),
  'udp-filtering': seen(
    oneOf(['endpoint-independent', 'address-dependent', 'address-and-port-dependent']),
    'address-dependent',
    'datagrams of servers that reach a client',
    { value: 'MODE' },
  ),
  'udp-oversize': seen(
    oneOf(['fragment', 'drop']),
    'fragment',
    'treatment of datagrams too long for their client',
    { value: 'fragment|drop' },
  ),
  'privileged-source': seen(flag, false, 'connect from a source port in 600 to 1023', {
    short: 'p',
  }),
  'proxy-protocol': seen(
    oneOf([1, 2]) as Kind<1 | 2 | undefined>,
    noProxy,
    'send a PROXY header with the client and the dialled address',
    { value: '1|2' },
  ),
  ftp: seen(flag, true, 'translate FTP on port 21 by RFC 6384, so that EPSV and EPRT work', {
    help: 'relay FTP as it is, without translating EPSV and EPRT',
  }),
  rlogin: seen(flag, false, 'connect from a privileged port on port 513, for a client that does', {
    help: 'let rlogin work, see the warning in faithd(8)',
  }),
  rsh: seen(
    flag,
    false,
    'do the same on port 514, and join the second connection of rsh with the client',
    { help: 'let rsh work, see the warning in faithd(8)' },
  ),
  'copy-dscp': seen(flag, false, "give packets to the server the DSCP of the client's SYN", {
    change: 'at the next start',
  }),
  'connect-first': lasting(flag, true, 'connect the server before the client is accepted', {
    help: 'accept the client before the server is connected',
    change: 'at the next start',
  }),
  'connect-timeout': lasting(
    seconds('positive'),
    10,
    'give up on a server that does not answer for this long',
    {
      value: 'SECONDS',
    },
  ),
  'idle-timeout': lasting(
    seconds('zero or positive'),
    1800,
    'end a session after this long without a byte; 0: never',
    { value: 'SECONDS' },
  ),
  'keep-alive': lasting(wholeNumber(2, 64_800), 120, 'declare a silent peer dead after this long', {
    value: 'SECONDS',
  }),
  'udp-timeout': lasting(
    wholeNumber(1, 4_294_967),
    300,
    'end UDP sessions whose client is silent this long',
    { value: 'SECONDS' },
  ),
  drain: lasting(
    seconds('zero or positive'),
    5,
    'time for sessions and last bytes after SIGINT or SIGTERM',
    { value: 'SECONDS', change: 'at once' },
  ),
  'max-sessions': limits(wholeNumber(), 0, 'maximum sessions at once; 0: no limit', {
    value: 'N',
  }),
  'max-sessions-per-client': limits(
    wholeNumber(),
    0,
    'maximum sessions of one client at once; 0: no limit',
    { value: 'N' },
  ),
  'max-rate-per-client': limits(
    wholeNumber(),
    0,
    'maximum new sessions of one client per second; 0: no limit',
    { value: 'N' },
  ),
  'max-mappings': limits(
    wholeNumber(1),
    16_384,
    'maximum ports of clients with datagrams at once',
    { value: 'N' },
  ),
  'max-mappings-per-client': limits(
    wholeNumber(),
    1000,
    'maximum of these of one client; 0: no limit',
    { value: 'N' },
  ),
  'client-prefix-length': limits(
    wholeNumber(0, 128),
    64,
    'length of the IPv6 prefix that counts as one client',
    { value: 'BITS' },
  ),
  'max-held': limits(wholeNumber(1), 4096, 'maximum SYNs held while their servers are connected', {
    value: 'N',
  }),
  'max-held-per-client': limits(wholeNumber(1), 256, 'maximum of these from one client', {
    value: 'N',
  }),
} satisfies Settings

const noPorts = undefined as string | undefined

/** Settings of a local service: a program that serves connections to this host's own addresses, as by inetd(8). */
export const LOCAL = {
  port: served(
    ports as Kind<string | undefined>,
    noPorts,
    'ports of the service, as the service argument names them; required',
    { options: [] },
  ),
  address: served(
    ipv4Address as Kind<string | undefined>,
    noAddress,
    'IPv4 address of the service; without, every address of this host but loopback ones',
    { options: [] },
  ),
  command: served(
    list(anyText('a program, by its whole path, or an argument', '/usr/sbin/sshd')),
    [],
    'program that gets the connection as standard input, output and error; required',
    { options: [] },
  ),
  argv0: served(
    anyText('a name', 'telnetd') as Kind<string | undefined>,
    noText,
    'name that the program gets as its own, argv[0]; without, its path',
    { options: [] },
  ),
  user: served(
    anyText('the name of a user', 'nobody') as Kind<string | undefined>,
    noText,
    'user that the program runs as; without, the user of faithd',
    { options: [] },
  ),
  group: served(
    anyText('a group', 'nogroup') as Kind<string | undefined>,
    noText,
    "group that the program runs as; without, the user's own",
    { options: [] },
  ),
  'max-processes': served(wholeNumber(), 40, 'maximum processes at once; 0: no limit', {
    options: [],
  }),
  'max-processes-per-client': served(
    wholeNumber(),
    10,
    'maximum processes of one client at once; 0: no limit',
    { options: [] },
  ),
  'max-rate-per-client': served(
    wholeNumber(),
    0,
    'maximum new processes of one client per minute; 0: no limit',
    { options: [] },
  ),
} satisfies Settings

/** Settings of router advertisements, which tell hosts the prefixes (PREF64, RFC 8781). */
export const PREF64 = {
  advertise: advertised(
    list(interfaceName),
    [],
    'interfaces on which faithd advertises the prefixes to hosts with a CLAT',
    {
      value: 'IFACE',
      help: 'advertise the prefixes on this interface; may be repeated',
      change: 'at once',
    },
  ),
  lifetime: advertised(
    wholeNumber(8, LONGEST_LIFETIME),
    USUAL_LIFETIME,
    'time in seconds for which hosts use a prefix after an advertisement',
    {
      long: 'advertise-lifetime',
      value: 'SECONDS',
      help: 'hosts use a prefix for so long after an advertisement',
      change: 'at once',
    },
  ),
  interval: advertised(
    wholeNumber(4, 1800),
    600,
    'longest time in seconds between two advertisements; the shortest is a third of it',
    {
      long: 'advertise-interval',
      value: 'SECONDS',
      help: 'longest time between two advertisements',
      change: 'at once',
    },
  ),
} satisfies Settings

/** Settings of the DNS server that gives clients addresses in the prefixes (DNS64, RFC 6147). */
export const DNS64 = {
  listen: answered(
    list(dnsAddress),
    [],
    'addresses at which faithd answers DNS queries by DNS64; :: is every IPv6 address of this host',
    {
      change: 'at the next start',
      options: [
        {
          long: 'dns64',
          value: 'ADDRESS[:PORT]',
          alone: '::',
          help: 'answer DNS queries here; alone: at every own IPv6 address',
          read: list(dnsAddress).read,
        },
      ],
    },
  ),
  certificate: answered(
    anyText('the path of a file', '/etc/faithd/dns.pem') as Kind<string | undefined>,
    noText,
    'certificate in PEM with which faithd answers over TLS, too, at port 853 of the addresses; a reload reads it again',
    {
      long: 'dns64-certificate',
      value: 'FILE',
      help: 'certificate in PEM, to answer over TLS, too, at port 853',
      change: 'at the next start',
    },
  ),
  key: answered(
    anyText('the path of a file', '/etc/faithd/dns.key') as Kind<string | undefined>,
    noText,
    'its private key in PEM',
    {
      long: 'dns64-key',
      value: 'FILE',
      help: 'its private key in PEM',
      change: 'at the next start',
    },
  ),
  upstreams: answered(
    list(dnsUpstream),
    [],
    'DNS servers to ask, over TLS or HTTPS too; without any, those of /etc/resolv.conf',
    {
      change: 'at the next start',
      options: [
        {
          long: 'dns64-upstream',
          value: 'SERVER',
          help: 'server to ask: ADDRESS, tls://ADDRESS#NAME … [resolv.conf]',
          read: list(dnsUpstream).read,
        },
      ],
    },
  ),
  clients: answered(
    list(ipv6Prefix),
    [],
    'IPv6 networks whose clients get answers, ::/0 is all; without any, those of the interfaces',
    {
      long: 'dns64-client',
      value: 'PREFIX',
      help: 'network of clients that get answers, ::/0: all; [own networks]',
      change: 'at once',
    },
  ),
  'client-prefixes': answered(
    list(clientPrefix),
    [],
    'networks whose clients get addresses in one prefix alone; the first one that has a client counts',
    {
      change: 'at once',
      options: [
        {
          long: 'dns64-prefix',
          value: 'CLIENTS=PREFIX',
          help: 'give these clients addresses in this prefix; may be repeated',
          read: list(clientPrefix).read,
        },
      ],
    },
  ),
  exclude: answered(
    list(ipv6Prefix),
    [],
    'IPv6 prefixes whose addresses no client gets; a name with no others has none',
    { change: 'at once', options: [] },
  ),
  failures: answered(
    oneOf(['synthesise', 'pass']),
    'synthesise',
    "use of the IPv4 addresses where the DNS server to ask fails for IPv6; pass: the client gets the server's error",
    { change: 'at once', options: [] },
  ),
  'max-rate-per-client': answered(
    wholeNumber(),
    1000,
    'maximum queries of a client per second over UDP; 0: no limit',
    { change: 'at once', options: [] },
  ),
} satisfies Settings

/** Settings of the log. */
export const LOG = {
  to: log(
    logPlace as Kind<string | undefined>,
    noText,
    'place of the log; without, the journal where stderr leads there, else stderr',
    {
      long: 'log-to',
      value: 'PLACE',
      help: 'stderr, journal, syslog[:ADDRESS[:PORT]], syslog:PATH or FILE',
      change: 'at the next start',
    },
  ),
  facility: log(oneOf(FACILITIES), 'daemon', 'facility of messages to syslog', {
    long: 'log-facility',
    value: 'NAME',
    change: 'at the next start',
  }),
  enterprise: log(
    wholeNumber(1) as Kind<number | undefined>,
    noNumber,
    'your private enterprise number, under which syslog gets facts',
    { long: 'log-enterprise', value: 'NUMBER', change: 'at the next start' },
  ),
  format: log(oneOf(LOG_FORMATS), 'text', 'format of lines', {
    long: 'log-format',
    value: LOG_FORMATS.join('|'),
    change: 'at once',
  }),
  level: log(oneOf(LOG_LEVELS), 'info', 'least important lines that are written', {
    change: 'at once',
    options: [
      {
        long: 'debug',
        short: 'd',
        help: 'same as --log-level debug',
        read: () => 'debug',
      },
      {
        long: 'log-level',
        value: 'LEVEL',
        help: LOG_LEVELS.join(', '),
        fallback: 'info',
        read: oneOf(LOG_LEVELS).read,
      },
    ],
  }),
  begin: log(flag, false, 'record when a session begins, too', {
    long: 'log-begin',
    change: 'at once',
  }),
  records: log(oneOf(LOG_RECORDS), 'sessions', 'record each session, or blocks of ports alone', {
    long: 'log-records',
    value: LOG_RECORDS.join('|'),
    change: 'at once',
  }),
  destinations: log(flag, true, 'record the dialled address and the server', {
    long: 'log-destinations',
    help: 'record neither the dialled address nor the server',
    change: 'at once',
  }),
  sources: log(flag, false, 'write the IPv4 address and port that a session came from', {
    long: 'log-sources',
    change: 'at once',
  }),
  ipfix: recorded(
    peerAddress as Kind<string | undefined>,
    noAddress,
    'send records of sessions to this IPFIX collector, by UDP',
    { value: 'HOST:PORT', change: 'at once' },
  ),
  'ipfix-domain': recorded(wholeNumber(), 1, 'observation domain of these records', {
    value: 'N',
    change: 'at once',
  }),
  'ipfix-templates': recorded(
    seconds('positive'),
    600,
    'send the templates again after this time',
    { value: 'SECONDS', change: 'at once' },
  ),
} satisfies Settings

/** The tables of the file, by the name of their settings' place. */
export const TABLES = {
  process: PROCESS,
  log: LOG,
  pref64: PREF64,
  dns64: DNS64,
  local: LOCAL,
  interface: INTERFACE,
  relay: RELAY,
} as const

/** The place of a setting in the file. */
export type Place = keyof typeof TABLES

/** An option of the command line that is no setting. */
export type Command = 'config' | 'check' | 'print-config' | 'inetd' | 'help' | 'version'

/** An option of the command line: a setting's, or the command's own. */
export interface Option extends Spelling {
  long: string
  group: string
  /** The setting; without, the option is about the command itself. */
  sets?: { place: Place; key: string; setting: Setting }
}

const own = (long: Command, group: string, help: string, more: Partial<Spelling> = {}): Option => ({
  long,
  group,
  help,
  read: (given) => given,
  ...more,
})

const FILE = 'Configuration file'

/** Every option, in the order of the help. A flag that is on by default is shown as the one that turns it off. */
export const OPTIONS: readonly Option[] = [
  ...optionsOf('process', ({ group }) => group === 'Capture'),
  ...optionsOf('interface'),
  ...optionsOf('relay'),
  ...optionsOf('pref64'),
  ...optionsOf('dns64'),
  own('config', FILE, 'configuration file', {
    short: 'c',
    value: 'FILE',
    fallback: '/etc/faithd/faithd.toml',
  }),
  own('check', FILE, 'validate the configuration, print it, and exit'),
  own('print-config', FILE, 'print the options as a configuration file, and exit'),
  ...optionsOf('log'),
  ...optionsOf('process', ({ group }) => group !== 'Capture'),
  own('inetd', 'Process', 'relay standard input, a connection, and exit'),
  own('help', 'Help', 'print this help', { short: 'h' }),
  own('version', 'Help', 'print the version', { short: 'V' }),
]

/** Options by their heading, in the order of the help. */
export const GROUPS: ReadonlyMap<string, readonly Option[]> = grouped()

function grouped(): Map<string, Option[]> {
  const groups = new Map<string, Option[]>()
  for (const option of OPTIONS) {
    groups.set(option.group, [...(groups.get(option.group) ?? []), option])
  }
  return groups
}

function optionsOf(place: Place, which: (setting: Setting) => boolean = () => true): Option[] {
  return Object.entries<Setting>(TABLES[place])
    .filter(([, setting]) => which(setting))
    .flatMap(([key, setting]) =>
      setting.options.map((option) => ({
        long: key,
        ...option,
        group: setting.group,
        sets: { place, key, setting },
      })),
    )
}

/** Tells if an option is a flag: it stands alone, and `--no-` before its name turns it off. */
export function isFlag({ sets }: Option): boolean {
  return sets?.setting.kind.form.type === 'flag'
}

/** The name by which an option changes its default: `no-routes` for `routes`, which is on. */
export function shownName(option: Option): string {
  return isFlag(option) && option.sets?.setting.fallback === true
    ? `no-${option.long}`
    : option.long
}
