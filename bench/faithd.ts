/** Starts the built faithd for a benchmark. */
import { fileURLToPath } from 'node:url'

import { faithPrefix } from '../lab/index.js'
import type { Bed } from './bed.js'

const command = fileURLToPath(new URL('../dist/cli/faithd.js', import.meta.url))

/**
 * Starts faithd as on a real router, but without a log line per session, because the peers write none either. The
 * lab's addresses are for documentation: faithd refuses them unless a rule permits them.
 */
export function startFaithd(bed: Bed, extra: readonly string[] = []): void {
  const where = ['-k', '-i', 'faith0', '-P', faithPrefix, '--permit', '198.51.100.0/24']
  const quiet = ['--log-level', 'warn', '--drain', '0']
  bed.relay(process.execPath, [command, ...where, ...quiet, ...extra])
}
