/** Warns of options and rules without effect, or with another effect than they seem to have. */
import type { FaithRelayStats } from '../index.js'
import { accessDoubts } from '../lib/access-list.js'
import type { LogConfiguration, RelayConfiguration } from './configuration.js'

const REMEDY = "raise it with ulimit -n, or with systemd's LimitNOFILE="

/** Finds limits of the command line that need more descriptors than the process may open. Gives a sentence for each. */
export function limitWarnings(
  relay: RelayConfiguration,
  { maxHeld, maxSessions, udp }: Pick<FaithRelayStats, 'maxHeld' | 'maxSessions' | 'udp'>,
): string[] {
  const warnings: string[] = []
  if (relay['connect-first'] && maxHeld < relay['max-held']) {
    warnings.push(
      `the descriptor limit allows ${maxHeld} held SYNs, not --max-held ${relay['max-held']}; faithd accepts further ` +
        `clients before their servers are connected; ${REMEDY}`,
    )
  }
  if (maxSessions < relay['max-sessions']) {
    warnings.push(
      `the descriptor limit allows ${maxSessions} sessions, not --max-sessions ${relay['max-sessions']}; ${REMEDY}`,
    )
  }
  if (udp !== undefined && udp.maxMappings < relay['max-mappings']) {
    warnings.push(
      `the descriptor limit allows ${udp.maxMappings} ports of clients with datagrams, not --max-mappings ` +
        `${relay['max-mappings']}; faithd refuses further ones; ${REMEDY}`,
    )
  }
  return warnings
}

/**
 * Finds rules that permit loopback addresses but have no effect without `--allow-loopback`. Gives a sentence for each.
 * `accessList` is the text of all rules, of the command line and of the file.
 */
export function loopbackWarnings(accessList: string, relay: RelayConfiguration): string[] {
  if (relay['allow-loopback']) return []
  const permitted = accessList.split('\n').flatMap((line) => loopbackOf(line) ?? [])
  return permitted.map(
    (destination) =>
      `a rule permits ${destination}, but faithd denies it: loopback needs --allow-loopback`,
  )
}

/** Gives the loopback destination that a rule permits. A wider destination was not written for loopback. */
function loopbackOf(rule: string): string | undefined {
  const [, action, destination = ''] = rule.replace(/#.*/, '').trim().split(/\s+/)
  const permits = action?.toLowerCase() === 'permit'
  return permits && /^(?:127\.|0\.0\.0\.0(?:\/32)?$)/.test(destination) ? destination : undefined
}

/** Finds rules of an access list that never decide, and a list that permits nothing. */
export function ruleDoubts(text: string): string[] {
  const { vain, permitsNothing } = accessDoubts(text)
  const sentences = vain.map(
    ({ rule, decidedBy }) =>
      `the rule '${rule}' never decides: '${decidedBy}' stands before it and matches everything that it matches`,
  )
  if (permitsNothing) sentences.push('no rule permits anything, so every connection is denied')
  return sentences
}

/** Finds a relay whose sessions have no record: the log records port blocks alone, and the relay gives none. */
export function recordDoubts(
  { records }: Pick<LogConfiguration, 'records'>,
  { 'port-block': size }: Pick<RelayConfiguration, 'port-block'>,
): string[] {
  if (records === 'sessions' || size > 0) return []
  return [
    '--log-records blocks records nothing without --port-block; set that, or --log-records sessions',
  ]
}
