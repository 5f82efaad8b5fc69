import { EXIT_CODES } from './exit.js'
import { type Option, TABLE } from './options.js'

/** What `faithd --help` prints. */
export function helpText(): string {
  const width = Math.max(...TABLE.map((option) => synopsis(option).length))
  const options = TABLE.map((option) => {
    const fallback = option.fallback === undefined ? '' : ` [${option.fallback}]`
    return `  ${synopsis(option).padEnd(width)}  ${option.help}${fallback}`
  })
  const codes = EXIT_CODES.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)

  return `faithd: relay TCP from an IPv6-only network to IPv4 servers

Usage: faithd [options] [service]

It makes a faith interface, routes an IPv6 prefix to it, captures the TCP connections that arrive
there, and carries each to the IPv4 address inside the address its client dialled.

  service  ports to relay: a name from /etc/services, a port, a range, a list of them set apart by
           commas, or all [all]

Options:
${options.join('\n')}

The first --permit or --deny that matches a destination decides; where none matches, it is denied,
or permitted if there are none at all. Private, link-local and other special-purpose destinations
and the router's own addresses are denied unless a --permit names the block, a part of it, or that
very address.

Examples:
  faithd -k
      relay every port of 64:ff9b::/96 to the IPv4 internet
  faithd -k -P 2001:db8:64::/96 ssh,http,8000-8999
      relay some ports of a prefix of your own
  faithd -k --permit 10.1.0.0/16 --permit 0.0.0.0/0
      let clients reach one private network beside the internet

Exit codes:
${codes.join('\n')}
`
}

function synopsis({ short, long, value }: Option): string {
  return `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`
}
