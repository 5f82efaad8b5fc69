/** Warnings about what the command line and the rules ask for: it has no effect, or not the one that it seems to have. */
import type { FaithRelayStats } from '../index.js'
import type { FaithdOptions } from './settings.js'

const REMEDY = 'raise it by ulimit -n, or LimitNOFILE= of systemd'

/** Finds limits of the command line that the process cannot have. Gives a sentence for each, with the remedy. */
export function limitWarnings(
  { relay }: Pick<FaithdOptions, 'relay'>,
  { maxHeld, maxSessions }: Pick<FaithRelayStats, 'maxHeld' | 'maxSessions'>,
): string[] {
  const warnings: string[] = []
  if (relay.connectFirst && maxHeld < relay.maxHeld) {
    warnings.push(
      `the limit of descriptors allows ${maxHeld} held SYNs, not --max-held ${relay.maxHeld}; further clients are ` +
        `answered before their servers; ${REMEDY}`,
    )
  }
  if (maxSessions < relay.maxSessions) {
    warnings.push(
      `the limit of descriptors allows ${maxSessions} sessions, not --max-sessions ${relay.maxSessions}; ${REMEDY}`,
    )
  }
  return warnings
}

/**
 * Finds rules that permit loopback addresses and have no effect, because loopback is not allowed. Gives a sentence for
 * each, with the remedy. `accessList` is the text of every rule, of the command line and of the file.
 */
export function loopbackWarnings(
  accessList: string,
  { relay }: Pick<FaithdOptions, 'relay'>,
): string[] {
  if (relay.allowLoopback) return []
  const permitted = accessList.split('\n').flatMap((line) => loopbackOf(line) ?? [])
  return permitted.map(
    (destination) =>
      `a rule permits ${destination}, which is denied all the same: loopback needs --allow-loopback`,
  )
}

/** The loopback destination that a well-formed rule permits. One that is wider was not written for loopback. */
function loopbackOf(rule: string): string | undefined {
  const [, action, destination = ''] = rule.replace(/#.*/, '').trim().split(/\s+/)
  const permits = action?.toLowerCase() === 'permit'
  return permits && /^(?:127\.|0\.0\.0\.0(?:\/32)?$)/.test(destination) ? destination : undefined
}
