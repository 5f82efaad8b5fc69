/** Warns of options and rules without effect, or with another effect than they seem to have. */
import type { FaithRelayStats } from '../index.js'
import type { FaithdOptions } from './settings.js'

const REMEDY = "raise it with ulimit -n, or with systemd's LimitNOFILE="

/** Finds limits of the command line that need more descriptors than the process may open. Gives a sentence for each. */
export function limitWarnings(
  { relay }: Pick<FaithdOptions, 'relay'>,
  { maxHeld, maxSessions }: Pick<FaithRelayStats, 'maxHeld' | 'maxSessions'>,
): string[] {
  const warnings: string[] = []
  if (relay.connectFirst && maxHeld < relay.maxHeld) {
    warnings.push(
      `the descriptor limit allows ${maxHeld} held SYNs, not --max-held ${relay.maxHeld}; faithd accepts further ` +
        `clients before their servers are connected; ${REMEDY}`,
    )
  }
  if (maxSessions < relay.maxSessions) {
    warnings.push(
      `the descriptor limit allows ${maxSessions} sessions, not --max-sessions ${relay.maxSessions}; ${REMEDY}`,
    )
  }
  return warnings
}

/**
 * Finds rules that permit loopback addresses but have no effect without `--allow-loopback`. Gives a sentence for each.
 * `accessList` is the text of all rules, of the command line and of the file.
 */
export function loopbackWarnings(
  accessList: string,
  { relay }: Pick<FaithdOptions, 'relay'>,
): string[] {
  if (relay.allowLoopback) return []
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
