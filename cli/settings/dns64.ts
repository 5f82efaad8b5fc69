import {
  anyText,
  clientPrefix,
  dnsAddress,
  dnsUpstream,
  flag,
  ipv6Prefix,
  type Kind,
  list,
  oneOf,
  wholeNumber,
} from '../kinds.js'
import { type Settings, under } from './setting.js'

const answered = under('DNS64')

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
    undefined,
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
    undefined,
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
  'all-servers': answered(
    flag,
    false,
    'ask all these servers at once and take the first answer; otherwise the next one is asked when one takes long',
    { change: 'at the next start', options: [] },
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
  'cache-bytes': answered(
    wholeNumber(),
    16_777_216,
    'memory for responses that are kept, in bytes, about; 0: none are kept',
    { change: 'at the next start', options: [] },
  ),
  'max-rate-per-client': answered(
    wholeNumber(),
    1000,
    'maximum queries of a client per second over UDP; 0: no limit',
    { change: 'at once', options: [] },
  ),
} satisfies Settings
