/** How the built faithd is started for a benchmark. */
import { fileURLToPath } from 'node:url'

import { faithPrefix } from '../lab/index.js'
import type { Bed } from './bed.js'

const command = fileURLToPath(new URL('../dist/cli/faithd.js', import.meta.url))

/**
 * As a router runs it, but without a log line per session: the peers write none either. The lab's
 * addresses are for documentation and are refused unless a rule permits them.
 */
export function startFaithd(bed: Bed, extra: readonly string[] = []): void {
  const where = ['-k', '-i', 'faith0', '-P', faithPrefix, '--permit', '198.51.100.0/24']
  const quiet = ['--log-level', 'warn', '--drain', '0']
  bed.relay(process.execPath, [command, ...where, ...quiet, ...extra])
}
