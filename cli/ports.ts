/** The ports of a relay, as the configuration writes them: `22,8000-8999` or `all`. */
import { parsePorts, type PortRange } from '../lib/ports.js'

/** The ranges of the ports. */
export function rangesOf(ports: string): PortRange[] {
  return parsePorts(ports.split(','))
}

/** Tells if a port is among the ports. */
export function hasPort(ports: string, port: number): boolean {
  return rangesOf(ports).some(({ first, last }) => first <= port && port <= last)
}
