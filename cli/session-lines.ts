/** Sessions, attempts and their sums, each in one line of the log. */
import type { FaithEndpoint } from '../lib/endpoint.js'
import type { FaithInterfaceStats } from '../lib/interface.js'
import type {
  FaithCause,
  FaithRefusals,
  FaithRelayStats,
  FaithSession,
  FaithUntold,
} from '../lib/session.js'

/** Causes in words that fit behind a reason and a colon. */
const CAUSES: Readonly<Record<FaithCause, string>> = {
  'denied-by-rule': 'a rule denies it',
  'denied-no-match': 'no rule permits it',
  'special-purpose': 'a special-purpose address that no rule opens',
  'own-address': 'an address of the router itself that no rule opens',
  loopback: 'a loopback address, without --allow-loopback',
  'prohibited-by-host': 'the firewall or the routing table of this host prohibits it',
  'rejected-by-route': 'the route rejected it',
  'max-sessions': 'as many sessions as --max-sessions allows',
  'max-sessions-per-client': 'as many sessions of the client as --max-sessions-per-client allows',
  'max-rate-per-client': 'as many new sessions of the client as --max-rate-per-client allows',
  'max-undecided': 'as many connections wait for the route as may',
  'max-bytes': 'as many bytes as the route lets it carry',
  'no-mapping': 'it means no IPv4 address',
  'no-source': 'it cannot come from its source address',
  'no-verdict': 'the route gave no verdict',
  'client-gave-up': 'the client gave up before it had a server',
  'no-handshake': 'the client did not complete its handshake',
}

/** One ended session, or one attempt that came to none. */
export function sessionLine(session: FaithSession): string {
  const { client, destination, bytesUp, bytesDown, durationMs, joined } = session
  const server = destination.ipv4 === undefined ? '' : ` (${serverOf(destination)})`
  const ends = `${endpoint(client)} to ${endpoint(destination)}${server}`
  const seconds = (durationMs / 1000).toFixed(3)
  return joined
    ? `${ends}: ${count(bytesUp, 'byte')} up, ${bytesDown} down in ${seconds} s, ${session.reason}`
    : `${ends}: no session after ${seconds} s, ${whyNot(session)}`
}

/** What was relayed, captured and dropped. */
export function totalsLine(relay: FaithRelayStats, faith: FaithInterfaceStats): string {
  const attempts = sum(relay.refused)
  const refused =
    attempts === 0 ? '' : `${count(attempts, 'attempt')} refused${parts(relay.refused)}, `
  return (
    `${count(sum(relay.sessions), 'session')}${parts(relay.sessions)}, ${refused}` +
    `${count(relay.bytesUp, 'byte')} up, ${relay.bytesDown} down; ` +
    `${count(faith.captured.packets, 'packet')} captured, ${sum(faith.drops)} dropped${parts(faith.drops)}`
  )
}

/** Ends within some time that have no line of their own. */
export function untoldLine({ sessions, refused }: FaithUntold, intervalMs: number): string {
  const attempts = sum(refused)
  const what = [
    ...(sessions === 0 ? [] : [`${sessions} more ${noun(sessions, 'session')}`]),
    ...(attempts === 0
      ? []
      : [`${attempts} more ${noun(attempts, 'attempt')} refused${parts(refused)}`]),
  ]
  return `${what.join(' and ')} in ${(intervalMs / 1000).toFixed(1)} s`
}

function whyNot({ reason, cause, code }: FaithSession): string {
  const because = cause === undefined ? reason : `${reason}: ${CAUSES[cause]}`
  // That a server refuses is all that ECONNREFUSED says.
  return code === undefined || reason === 'refused' ? because : `${because} (${code})`
}

/** The largest first, in brackets. */
function parts(counts: FaithRefusals | Record<string, number>): string {
  const some = Object.entries(counts)
    .filter(([, number]) => number > 0)
    .toSorted(([, one], [, other]) => other - one)
  if (some.length === 0) return ''
  return ` (${some.map(([what, number]) => `${number} ${what}`).join(', ')})`
}

function sum(counts: FaithRefusals | Record<string, number>): number {
  return Object.values(counts).reduce((total, number) => total + number, 0)
}

function count(number: number, one: string): string {
  return `${number} ${noun(number, one)}`
}

function noun(number: number, one: string): string {
  return number === 1 ? one : `${one}s`
}

/** The server, with its port where it is not the one that was dialled. */
function serverOf({ port, ipv4, ipv4Port = port }: FaithSession['destination']): string {
  return ipv4Port === port ? `${ipv4}` : `${ipv4}:${ipv4Port}`
}

function endpoint({ address, port }: FaithEndpoint): string {
  return `[${address}]:${port}`
}
