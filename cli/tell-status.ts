/** Writes the state of faithd to the log, as `faithctl status` shows it. */
import type { Context } from './control/route.js'
import { statusBody } from './control/status.js'
import { statusLines } from './ctl/status.js'
import { explain } from './exit.js'
import type { Logger } from './log.js'

/**
 * Writes the state: several lines of text, or one line of JSON that has it as `status`.
 *
 * @param signal - the signal that asked for it
 */
export async function tellStatus(context: Context, log: Logger, signal: string): Promise<void> {
  const { daemon } = context
  try {
    const status = await statusBody(context)
    if (daemon.configuration.log.format === 'json') {
      log.info({ signal, status }, `${signal}: ${daemon.status}`)
      return
    }
    for (const line of statusLines(status, Infinity)) {
      if (line === '') continue
      log[line.startsWith('problem: ') ? 'warn' : 'info']({ signal }, `${signal}: ${line}`)
    }
  } catch (error) {
    log.error({ signal }, `${signal}: ${explain(error)}`)
  }
}
