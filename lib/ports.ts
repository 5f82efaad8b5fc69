/** Ports as people write them, read into legal ranges; the addon sorts and joins them. */
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
 * One port that a listener or a relay takes.
 *
 * @group Interface
 */
export interface OnePortOption {
  /** One TCP port, 1 to 65535. */
  port: number
  /** Tells it from a {@link SeveralPortsOption}. */
  ports?: never
}

/**
 * Several ports that a listener or a relay takes.
 *
 * @group Interface
 */
export interface SeveralPortsOption {
  /** A port, a range such as `'8000-8999'`, a list of both, or `'all'`. */
  ports: PortSpec | readonly PortSpec[]
  /** Tells it from a {@link OnePortOption}. */
  port?: never
}

/**
 * Which ports a listener or a relay takes: `port` for one, `ports` for several. Exactly one of them is given.
 *
 * @group Interface
 */
export type PortOptions = OnePortOption | SeveralPortsOption

/** The names of {@link PortOptions}. */
export const PORT_OPTIONS: OptionNames<PortOptions> = { port: true, ports: true }

const HIGHEST = 65_535

/**
 * The ranges that `ports` names, in the order given.
 *
 * @throws {@link FaithError} `ERR_FAITH_PORT` when one of them is malformed or out of range, or there are none
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

/** The ports an options object names by `port` or `ports`. */
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
  return parsePorts(port ?? ports)
}

/** Ranges in the form they are read in: `22,8000-8999`, or `all`. */
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
      hint: "write 80, '8000-8999' or 'all'",
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
