/** The kinds of the settings that name the place of the log. */
import { isIPv6 } from 'node:net'
import { parseAddress, text } from './kinds.js'

/** The port of syslog (RFC 5426 section 3.3). */
const SYSLOG_PORT = 514

/** The facilities of syslog, by their names of syslog.conf(5), with their numbers of RFC 5424. */
export const FACILITY_NUMBERS = {
  daemon: 3,
  user: 1,
  auth: 4,
  syslog: 5,
  authpriv: 10,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const

type Facility = keyof typeof FACILITY_NUMBERS
export const FACILITIES = Object.keys(FACILITY_NUMBERS) as readonly Facility[]

/** A place for the log. A port of syslog is written even where it is the usual one. */
export const logPlace = text(
  'stderr, journal, syslog, syslog:PATH, syslog:ADDRESS[:PORT], or the absolute path of a file',
  '/var/log/faithd/faithd.log',
  (given) => {
    if (['stderr', 'journal', 'syslog'].includes(given) || isPath(given)) return given
    const [, address] = /^syslog:(.+)$/.exec(given) ?? []
    if (address === undefined) return undefined
    if (isPath(address)) return given
    const host = isIPv6(address) ? `[${address}]` : address
    const whole = /^(\[.*\]|[\d.]+)$/.test(host) ? `${host}:${SYSLOG_PORT}` : host
    return parseAddress(whole) === undefined ? undefined : `syslog:${whole}`
  },
)

/** Tells if a place is a path. */
export function isPath(given: string): boolean {
  return given.startsWith('/') && !given.endsWith('/') && !given.includes('\0')
}
