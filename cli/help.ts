import { EXIT_CODES } from './exit.js'
import { GROUPS, type Option, TABLE } from './option-table.js'

/** What `faithd --help` prints. */
export function helpText(): string {
  const width = Math.max(...TABLE.map((option) => synopsis(option).length))
  const line = (option: Option): string => {
    const fallback = option.fallback === undefined ? '' : ` [${option.fallback}]`
    return `  ${synopsis(option).padEnd(width)}  ${option.help}${fallback}\n`
  }
  const groups = GROUPS.map(({ title, options }) => `${title}:\n${options.map(line).join('')}`)
  const codes = EXIT_CODES.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)

  return `faithd: relay TCP from an IPv6-only network to IPv4 servers

Usage: faithd [options] [service]

It makes a faith interface, routes an IPv6 prefix to it, captures the TCP connections that arrive
there, and carries each to the IPv4 address inside the address its client dialled.

  service  ports to relay: a name from /etc/services, a port, a range, a list of them set apart by
           commas, or all [all]

${groups.join('\n')}
Where it goes: --map 2001:db8:64:a::/120=198.51.100.0/24 has 256 addresses mean those, one by one,
--map 2001:db8:64::80=198.51.100.80:8080 has one mean that port of a server, whatever port is
dialled. The longest IPv6 prefix decides; what no --map holds is read as --mapping says.

Who may go there: the first rule that matches decides, those of --permit and --deny first, in their
order, then those of the file. Where there are rules and none matches, it is denied; where there are
none at all, it is permitted. A rule of the file is a line, and # begins a comment:

  SOURCE permit|deny DESTINATION [port LIST] [OUTGOING]

  2001:db8:1::/48  deny    0.0.0.0/0        port 25
  2001:db8:1::/48  permit  198.51.100.0/24  port 80,443,8000-8999  192.0.2.1
  ::/0             permit  0.0.0.0/0

SOURCE is the clients' IPv6 prefix, OUTGOING the router's address that the connections come from.
Private, link-local and other special-purpose destinations and the router's own addresses are denied
unless a rule names the block, a part of it, or that very address. A file with a bad line is refused
whole: faithd does not start with it, and after SIGHUP the rules in force are kept.

Examples:
  faithd -k
      relay every port of 64:ff9b::/96 to the IPv4 internet
  faithd -k -P 2001:db8:64::/96 ssh,http,8000-8999
      relay some ports of a prefix of your own
  faithd -k --permit 10.1.0.0/16 --permit 0.0.0.0/0
      let clients reach one private network beside the internet
  faithd -k -f /etc/faithd.conf --max-sessions-per-client 500 --max-rate-per-client 50
      let a file say who may go where, and no client take up too much

Signals:
  SIGINT, SIGTERM   stop: sessions may go on for as long as --drain says; a second one stops at
                    once, and clients may not hear of it
  SIGHUP            read the file of --acl again
  SIGUSR1, SIGUSR2  log what was relayed so far

Exit codes:
${codes.join('\n')}
`
}

function synopsis({ short, long, value }: Option): string {
  return `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`
}
