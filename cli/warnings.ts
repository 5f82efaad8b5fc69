/** Warnings about what the command line and the rules ask for: it has no effect, or not the one that it seems to have. */
import type { FaithdOptions } from './settings.js'

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
