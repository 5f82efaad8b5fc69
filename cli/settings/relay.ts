import {
  ALL_PROTOCOLS,
  anyText,
  flag,
  ipv4Address,
  type Kind,
  list,
  mapping,
  oneOf,
  ports,
  protocols,
  rule,
  ruleFor,
  seconds,
  wholeNumber,
} from '../kinds.js'
import { type Settings, under } from './setting.js'

const captured = under('Capture')
const goes = under('Mapping')
const allowed = under('Access')
const seen = under('Connections to servers')
const lasting = under('Sessions')
const limits = under('Limits')

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
    undefined,
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
