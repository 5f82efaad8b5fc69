/** Sessions, refusals and their sums, each in one line of the log. */
import type { FaithEndpoint } from '../lib/endpoint.js'
import type { FaithInterfaceStats } from '../lib/interface.js'
import type { FaithCause, FaithRefusal } from '../lib/refusal.js'
import type { FaithRelayStats, FaithUntold } from '../lib/relay-stats.js'
import type { FaithSession } from '../lib/session.js'

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
  'no-mapping': 'it means no IPv4 address',
  'no-source': 'it cannot come from its source address',
  'no-verdict': 'the route gave no verdict',
  'client-gave-up': 'the client gave up before it had a server',
  'no-handshake': 'the client did not complete its handshake',
}

/** One ended session. */
export function sessionLine(session: FaithSession): string {
  const { bytesUp, bytesDown, durationMs, reason } = session
  const what = `${count(bytesUp, 'byte')} up, ${bytesDown} down in ${seconds(durationMs)}`
  return `${endsOf(session)}: ${what}, ${reason}`
}

/** One attempt that came to no session. */
export function refusalLine(refusal: FaithRefusal): string {
  return `${endsOf(refusal)}: no session after ${seconds(refusal.durationMs)}, ${whyNot(refusal)}`
}

/** What goes on in a relay. */
export function activeLine({ sessions, attempts }: FaithRelayStats): string {
  return `${count(sessions.active, 'session')} active, ${count(attempts, 'attempt')} under way`
}

/** What was relayed, captured and dropped. */
export function totalsLine(relay: FaithRelayStats, faith: FaithInterfaceStats): string {
  const { begun, ended, bytesUp, bytesDown } = relay.sessions
  const { byCause } = relay.refused
  const attempts = sum(byCause)
  const refused = attempts === 0 ? '' : `${count(attempts, 'attempt')} refused${parts(byCause)}, `
  return (
    `${count(begun, 'session')}${parts(ended)}, ${refused}` +
    `${count(bytesUp, 'byte')} up, ${bytesDown} down; ` +
    `${count(faith.captured.packets, 'packet')} captured, ${sum(faith.drops)} dropped${parts(faith.drops)}`
  )
}

/** Sessions and refusals of some time that have no line of their own. */
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

function whyNot({ reason, cause, code }: FaithRefusal): string {
  const because = cause === undefined ? reason : `${reason}: ${CAUSES[cause]}`
  // That a server refuses is all that ECONNREFUSED says.
  return code === undefined || reason === 'refused' ? because : `${because} (${code})`
}

/** The client, what it dialled and the server. */
function endsOf({ client, destination }: FaithSession | FaithRefusal): string {
  const server = destination.ipv4 === undefined ? '' : ` (${serverOf(destination)})`
  return `${endpoint(client)} to ${endpoint(destination)}${server}`
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(3)} s`
}

/** The largest first, in brackets. */
function parts(counts: Partial<Record<string, number>>): string {
  const some = Object.entries(counts)
    .map(([what, number = 0]) => ({ what, number }))
    .filter(({ number }) => number > 0)
    .toSorted((one, other) => other.number - one.number)
  if (some.length === 0) return ''
  return ` (${some.map(({ what, number }) => `${number} ${what}`).join(', ')})`
}

function sum(counts: Partial<Record<string, number>>): number {
  return Object.values(counts).reduce<number>((total, number = 0) => total + number, 0)
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
