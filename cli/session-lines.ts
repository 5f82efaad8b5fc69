/** Describes relays and refusals in sentences. */
import type { FaithInterfaceStats } from '../lib/interface-stats.js'
import type { FaithCause, FaithRefusal } from '../lib/refusal.js'
import type { FaithRelayStats } from '../lib/relay-stats.js'

/** The text of each cause, to follow a reason and a colon. */
export const CAUSES: Readonly<Record<FaithCause, string>> = {
  'denied-by-rule': 'a rule denies it',
  'denied-no-match': 'no rule permits it',
  'special-purpose': 'a special-purpose address that no rule names',
  'own-address': 'an address of the router itself that no rule names',
  loopback: 'a loopback address, without --allow-loopback',
  'prohibited-by-host': 'the firewall or the routing table of this host prohibits it',
  'rejected-by-route': 'the route rejected it',
  'max-sessions': '--max-sessions is reached',
  'max-sessions-per-client': '--max-sessions-per-client is reached',
  'max-rate-per-client': '--max-rate-per-client is reached',
  'max-ports-per-client': 'the blocks that --port-blocks-per-client allows have no port left',
  'no-port-block': "every block of --port-block is another client's",
  'max-mappings': '--max-mappings is reached',
  'max-mappings-per-client': '--max-mappings-per-client is reached',
  'max-destinations': 'ports of clients have too many destinations at a time',
  'max-rate': 'clients begin too many sessions of datagrams a second',
  'max-undecided': 'too many connections wait for the route',
  'no-mapping': 'the dialled address maps to no IPv4 address',
  'no-source': 'faithd cannot connect from the source address',
  'no-verdict': 'the route gave no verdict',
  'client-gave-up': 'the client gave up before its server was connected',
  'no-handshake': 'the client did not complete its handshake',
  'end-denied': 'the new access list denies it',
  'relay-closed': 'the relay was closed',
}

/** Counts the sessions and attempts of the moment. */
export function activeLine({ sessions, attempts }: FaithRelayStats): string {
  return `${count(sessions.active, 'session')} active, ${count(attempts, 'attempt')} under way`
}

/** Sums up all that was relayed, captured and dropped. */
export function totalsLine(relay: FaithRelayStats, faith: FaithInterfaceStats): string {
  const { begun, ended, aborted, bytesUp, bytesDown } = relay.sessions
  const { byCause } = relay.refused
  const attempts = sum(byCause)
  const refused = attempts === 0 ? '' : `${count(attempts, 'attempt')} refused${parts(byCause)}, `
  return (
    `${count(begun, 'session')}${parts(causes(ended, aborted))}, ${refused}` +
    `${count(bytesUp, 'byte')} up, ${bytesDown} down; ` +
    `${count(faith.captured.packets, 'packet')} captured, ${sum(faith.drops)} dropped${parts(faith.drops)}`
  )
}

/** Explains in a sentence why an attempt became no session. */
export function refusalReason({ reason, cause, code }: FaithRefusal): string {
  const because = cause === undefined ? reason : `${reason}: ${CAUSES[cause]}`
  // ECONNREFUSED would only repeat `refused`.
  return code === undefined || reason === 'refused' ? because : `${because} (${code})`
}

/** Counts aborted sessions by their causes, as their lines name them; those without a cause stay `aborted`. */
function causes(
  ended: FaithRelayStats['sessions']['ended'],
  aborted: FaithRelayStats['sessions']['aborted'],
): Partial<Record<string, number>> {
  return { ...ended, ...aborted, aborted: ended.aborted - sum(aborted) }
}

/** Lists the counts above zero in brackets, the largest first. */
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
