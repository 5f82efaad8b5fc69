/** Looks up the names of services(5), so that `faithd telnet` works as on BSD. */
import { readFileSync } from 'node:fs'
import { FaithError } from '../lib/errors.js'
import { parsePorts, type PortRange } from '../lib/ports.js'

const DATABASE = '/etc/services'

/**
 * Parses the `service` argument: `all`, or a comma-separated list of names, ports and ranges.
 *
 * @param read - reads services(5); called only to look a name up
 * @throws FaithError `ERR_FAITH_PORT` for an unknown name, or a port that is malformed or out of range
 */
export function parseService(
  service: string,
  read: () => string = () => readFileSync(DATABASE, 'utf8'),
): PortRange[] {
  if (service === 'all') return parsePorts('all')
  return parsePorts(
    service.split(',').map((item) => (isPort(item) ? item : lookUp(item, database(read)))),
  )
}

/**
 * Tells if an item is a port or a range, maybe a malformed one, so that its error is about a port. A service name has a
 * letter (RFC 6335, section 5.1), and may begin with a digit: `9pfs`.
 */
function isPort(item: string): boolean {
  return /^[-\d]*$/.test(item)
}

/** The names of the services whose servers trust a client by its address. services(5) has the second ones. */
const TRUSTING = { rlogin: ['rlogin', 'login'], rsh: ['rsh', 'shell'] } as const
const TRUSTED_PORTS = { rlogin: 513, rsh: 514 } as const
type Trusting = keyof typeof TRUSTING

/** The settings of rlogin and rsh that a `service` argument asks for by a name. `all` and numbers ask for none. */
export function trustingServices(service: string): Trusting[] {
  const named: readonly string[] = service.split(',')
  const all = Object.keys(TRUSTING) as Trusting[]
  return all.filter((setting) => TRUSTING[setting].some((name) => named.includes(name)))
}

function lookUp(name: string, services: string): number {
  if (name === 'rlogin' || name === 'rsh') return TRUSTED_PORTS[name]
  for (const line of services.split('\n')) {
    const [official, port, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    const [, number] = /^(\d+)\/tcp$/.exec(port ?? '') ?? []
    if (number !== undefined && (official === name || aliases.includes(name))) return Number(number)
  }
  throw new FaithError('ERR_FAITH_PORT', `no TCP service is named '${name}' in ${DATABASE}`, {
    hint: 'give its port number instead',
  })
}

function database(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
