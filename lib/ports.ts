/** Parses ports into legal ranges. The addon sorts and merges them. */
import { FaithError } from './errors.js'
import { isArray, itemsOf, type OptionNames, type OptionReader, show } from './option-reader.js'

/**
 * One port (`22` or `'22'`), a range (`'8000-8999'`, both ends included) or every port (`'all'`).
 *
 * @group Interface
 */
export type PortSpec = number | string

/** The ports from `first` to `last`, both included. */
export interface PortRange {
  first: number
  last: number
}

/**
 * One port for a listener or a relay.
 *
 * @group Interface
 */
export interface OnePortOption {
  /** One TCP port, 1 to 65535. */
  port: number
  /** Absent, to distinguish this type from {@link SeveralPortsOption}. */
  ports?: never
}

/**
 * Several ports for a listener or a relay.
 *
 * @group Interface
 */
export interface SeveralPortsOption {
  /** A port, a range such as `'8000-8999'`, a list of both, or `'all'`. */
  ports: PortSpec | readonly PortSpec[]
  /** Absent, to distinguish this type from {@link OnePortOption}. */
  port?: never
}

/**
 * The ports of a listener or a relay: either `port` for one, or `ports` for several.
 *
 * @group Interface
 */
export type PortOptions = OnePortOption | SeveralPortsOption

/** The names of {@link PortOptions}. */
export const PORT_OPTIONS: OptionNames<PortOptions> = { port: true, ports: true }

const HIGHEST = 65_535
const HOW_TO_WRITE = "write 80, '8000-8999' or 'all'"

/**
 * Parses `ports` into ranges, in the order given.
 *
 * @throws {@link FaithError} `ERR_FAITH_PORT` when a port is malformed or out of range, or the list is empty
 */
export function parsePorts(ports: unknown): PortRange[] {
  const list = isArray(ports) ? itemsOf('the list of ports', ports) : [ports]
  const ranges = list.map(parseRange)
  if (ranges.length === 0) {
    throw new FaithError('ERR_FAITH_PORT', 'the list of ports is empty', {
      hint: "name at least one port, or 'all'",
    })
  }
  return ranges
}

/** Reads the options `port` and `ports`, one of which is required. */
export function readPorts(read: OptionReader<'port' | 'ports'>): PortRange[] {
  const port = read.unchecked('port')
  const ports = read.unchecked('ports')
  if ((port === undefined) === (ports === undefined)) {
    throw new FaithError('ERR_FAITH_PORT', 'give either `port` or `ports`', {
      hint: "for example { port: 80 }, { ports: [22, '8000-8999'] } or { ports: 'all' }",
    })
  }
  if (port !== undefined && typeof port !== 'number') {
    throw new FaithError('ERR_FAITH_PORT', `\`port\` must be a number, got ${show(port)}`, {
      hint: '`ports` takes ranges and lists',
    })
  }
  if (ports === null) {
    const message = "`ports` must be a port, a range, 'all' or a list, got null"
    throw new FaithError('ERR_FAITH_PORT', message, { hint: HOW_TO_WRITE })
  }
  return parsePorts(port ?? ports)
}

/** Formats ranges so that parsePorts() can read them: `22,8000-8999`, or `all`. */
export function formatPorts(ranges: readonly PortRange[]): string {
  return ranges
    .map(({ first, last }) => {
      if (first === 1 && last === HIGHEST) return 'all'
      return first === last ? `${first}` : `${first}-${last}`
    })
    .join(',')
}

function parseRange(spec: unknown): PortRange {
  if (spec === 'all') return { first: 1, last: HIGHEST }
  if (typeof spec === 'number') return { first: legal(spec, spec), last: spec }

  const [, from, to] = (typeof spec === 'string' && /^(\d+)(?:-(\d+))?$/.exec(spec)) || []
  if (from === undefined) {
    throw new FaithError('ERR_FAITH_PORT', `${show(spec)} is not a port, a range or 'all'`, {
      hint: HOW_TO_WRITE,
    })
  }
  const first = legal(Number(from), spec)
  const last = to === undefined ? first : legal(Number(to), spec)
  if (first > last) {
    throw new FaithError('ERR_FAITH_PORT', `the range ${show(spec)} ends before it begins`)
  }
  return { first, last }
}

function legal(port: number, spec: unknown): number {
  if (Number.isInteger(port) && port >= 1 && port <= HIGHEST) return port
  throw new FaithError('ERR_FAITH_PORT', `port ${show(spec)} is out of range`, {
    hint: `ports are whole numbers from 1 to ${HIGHEST}`,
  })
}
