import { EXIT_CODES } from './exit.js'
import { GROUPS, type Option, OPTIONS, shownName } from './option-table.js'

/** Makes the text of `faithd --help`. */
export function helpText(): string {
  const width = Math.max(...OPTIONS.map((option) => synopsis(option).length))
  const line = (option: Option): string => {
    const fallback = option.fallback === undefined ? '' : ` [${option.fallback}]`
    return `  ${synopsis(option).padEnd(width)}  ${option.help}${fallback}\n`
  }
  const groups = [...GROUPS].map(([title, options]) => `${title}:\n${options.map(line).join('')}`)
  const codes = EXIT_CODES.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)

  return `faithd: relay TCP, UDP and ping from an IPv6-only network to IPv4 servers

Usage: faithd [options] [service [serverpath [serverargs…]]]
       faithd --inetd [options] [serverpath [serverargs…]]
       faithd install-service [--instance NAME] [--root DIR] [--print] [--force]
       faithd pref64 --for DAEMON [-P PREFIX]… [--lifetime SECONDS] [--link IFACE]
                     [-c FILE] [--control PATH]

faithd makes a faith interface and routes an IPv6 prefix to it. It captures connections, datagrams
and pings to that prefix, and relays each to the IPv4 address inside the IPv6 address that the
client dialled.

  service     ports to relay: a name from /etc/services, a port, a range, a comma-separated list of
              these, or all [all]; ports other than all are TCP's, unless --protocols says more
  serverpath  program for connections to this host's own IPv4 addresses, started as by inetd(8)
  serverargs  its arguments; the first is its name for itself, argv[0]

${groups.join('\n')}
Flags: each has an opposite, such as --no-keepfaith and --routes.

Configuration file: faithd reads /etc/faithd/faithd.toml if it exists and -c names no other file;
-c /dev/null reads none. Its keys have the names of the options. Options override the file. If the
file has several interfaces or relays, options about one of them belong in the file.

Mapping: --map 2001:db8:64:a::/120=198.51.100.0/24 maps 256 addresses one-to-one.
--map 2001:db8:64::80=198.51.100.80:8080 maps every port of one address to one port of a server.
The longest matching IPv6 prefix decides. Addresses that no --map covers follow --mapping.

Access: the first rule that matches decides. faithd tries the rules of --permit and --deny first, in
the order given, then those of the file. If there are rules and none matches, the connection is
denied. Without rules, every public destination is permitted. In the file each line is a rule, and
# begins a comment:

  SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]

  2001:db8:1::/48  deny    0.0.0.0/0        port 25
  2001:db8:1::/48  permit  198.51.100.0/24  port 80,443,8000-8999  192.0.2.1
  ::/0             permit  0.0.0.0/0

SOURCE is the clients' IPv6 prefix. OUTGOING is the router's address that faithd connects from.
Private, link-local and other special-purpose destinations are denied unless a rule permits the
block or a part of it. The router's own addresses are denied unless a rule permits that very one.
A file with a bad line is refused as a whole: faithd does not start with it, and after SIGHUP it
keeps the rules in force.

Service: faithd install-service writes a unit of systemd for this installation, with --instance one
that runs by /etc/faithd/NAME.toml. --root writes below another folder, --print prints the unit
instead, and --force replaces one that differs.

PREF64 (RFC 8781): faithd pref64 prints the configuration by which a daemon has the prefix in its
router advertisements, where hosts with a CLAT find it: --for radvd, networkd, bird, odhcpd or vyos.
It takes the prefixes of -P, else of the configuration file, else of the running faithd. --lifetime
is 1800 by default and becomes a multiple of 8; --link is the interface that the clients are at.
pref64 and install-service are commands as the first word alone; behind an option or -- they are
services.

Given sockets: with --inetd, and with sockets of a service manager (LISTEN_FDS, sd_listen_fds(3)),
faithd makes no interface and needs neither -k nor a privilege. It relays the connections of these
sockets, whose local addresses are what the clients dialled. With --inetd, serverpath gets a
connection that is for this host itself; faithd exits with 0 after a session, with 77 when it has
denied one, and with 69 when there was none for another reason.

Examples:
  faithd -k
      relay TCP, UDP and ping of 64:ff9b::/96 to the IPv4 internet
  faithd -k --protocols tcp
      relay TCP alone; clients are told so, and those of QUIC fall back to TCP
  faithd -k -P 2001:db8:64::/96 ssh,http,8000-8999
      relay TCP to some ports of a prefix of your own
  faithd -k telnet /usr/sbin/telnetd telnetd
      relay telnet, and serve it on this host's own addresses
  faithd -k --permit 10.1.0.0/16 --permit 0.0.0.0/0
      let clients reach one private network and the internet
  faithd -k --dns64
      give clients addresses of the prefix for names, by DNS64, too
  faithd -k -f /etc/faithd/faithd.conf --max-sessions-per-client 500 --max-rate-per-client 50
      read the access rules from a file, and limit each client
  faithd -k -f /etc/faithd/faithd.conf --print-config > /etc/faithd/faithd.toml
      turn a command line into a configuration file, which faithd reads from then on

Signals:
  SIGINT, SIGTERM   stop capturing, and exit when the sessions have ended or --drain is over;
                    a second one exits at once, and resets for clients may be lost
  SIGHUP            read the configuration file and the --acl files again
  SIGUSR1           open the file of the log again, as logrotate needs it
  SIGUSR2           write the state to the log, as faithctl status shows it

Exit codes:
${codes.join('\n')}
`
}

function synopsis(option: Option): string {
  const { short, value, alone } = option
  const shown = alone === undefined ? value : `[${value}]`
  return `${short === undefined ? '    ' : `-${short}, `}--${shownName(option)}${shown === undefined ? '' : ` ${shown}`}`
}
