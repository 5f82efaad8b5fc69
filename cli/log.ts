/**
 * The log of faithd, on stderr. Each line is a sentence for people; its facts are fields of the JSON form. Writing is
 * synchronous, so that the last line before an exit is not the one that is missing.
 */
import { isatty } from 'node:tty'
import { pino, type Logger } from 'pino'
import { build as prettify } from 'pino-pretty'
import type { FaithInterfaceStats } from '../lib/interface.js'
import type { FaithRelayStats, FaithSession } from '../lib/session.js'
import type { FaithEndpoint } from '../lib/socket.js'
import type { FaithdOptions } from './settings.js'

const STDERR = 2

/** The log that the options ask for. */
export function createLog({ logFormat, logLevel }: FaithdOptions): Logger {
  const destination =
    logFormat === 'json'
      ? pino.destination({ dest: STDERR, sync: true })
      : prettify({
          destination: STDERR,
          sync: true,
          colorize: isatty(STDERR),
          translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
          ignore: 'pid,hostname',
          hideObject: true,
        })
  return pino(
    { level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  )
}

/** One ended session in one line. */
export function sessionLine(session: FaithSession): string {
  const { source, destination, bytesUp, bytesDown, durationMs, reason } = session
  const server = destination.ipv4 === undefined ? '' : ` (${serverOf(destination)})`
  const seconds = (durationMs / 1000).toFixed(3)
  return (
    `${endpoint(source)} to ${endpoint(destination)}${server}: ` +
    `${bytesUp} bytes up, ${bytesDown} down in ${seconds} s, ${reason}`
  )
}

/** What was relayed, captured and dropped, in one line. */
export function totalsLine(relay: FaithRelayStats, faith: FaithInterfaceStats): string {
  return (
    `${sum(relay.ended)} sessions${byReason(relay.ended)}, ` +
    `${relay.bytesUp} bytes up, ${relay.bytesDown} down; ` +
    `${faith.captured.packets} packets captured, ${sum(faith.drops)} dropped${byReason(faith.drops)}`
  )
}

function byReason(counts: Record<string, number>): string {
  const some = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([, one], [, other]) => other - one)
  if (some.length === 0) return ''
  return ` (${some.map(([reason, count]) => `${count} ${reason}`).join(', ')})`
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

/** The server, with its port where it is not the one that was dialled. */
function serverOf({ port, ipv4, ipv4Port = port }: FaithSession['destination']): string {
  return ipv4Port === port ? `${ipv4}` : `${ipv4}:${ipv4Port}`
}

function endpoint({ address, port }: FaithEndpoint): string {
  return `[${address}]:${port}`
}
