/** What the command line can ask for, and whoever asked may not have meant. */
import type { FaithdOptions } from './settings.js'

/** A sentence for each, with what to do. */
export function warningsAbout({ relay }: FaithdOptions): string[] {
  const { connectFirst, maxHeld, maxSessions } = relay
  const warnings: string[] = []
  // Without connect-first nothing is held, and a forged SYN never becomes a session.
  if (connectFirst && maxSessions > 0 && maxSessions <= maxHeld) {
    warnings.push(
      `--max-sessions ${maxSessions} is not above --max-held ${maxHeld}: held SYNs count as sessions, so that a ` +
        'flood of forged ones can have every real client refused; lower --max-held or raise --max-sessions',
    )
  }
  return warnings
}
