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
  bed.relay(process.execPath, faithdArguments(['--log-level', 'warn', ...extra]))
}

/** Starts the same with a log line for each session, which goes to a file. */
export function startLoggingFaithd(bed: Bed, format: 'text' | 'json', log: string): void {
  const args = [process.execPath, ...faithdArguments(['--log-format', format])]
  bed.relay('sh', ['-c', 'exec "$@" 2>"$0"', log, ...args])
}

/** Starts the same with these options of the log. `wrap` is a command that precedes it and becomes it. */
export function startFaithdLoggingTo(
  bed: Bed,
  options: readonly string[],
  wrap: readonly string[] = ['env'],
): void {
  const [program = '', ...args] = [...wrap, process.execPath, ...faithdArguments(options)]
  bed.relay(program, args)
}

/** Starts it by a file of configuration. */
export function startFaithdFrom(bed: Bed, file: string): void {
  const args = ['-k', '-c', file, '--no-control', '--drain', '0', '--log-level', 'warn']
  bed.relay(process.execPath, [command, ...args])
}

function faithdArguments(extra: readonly string[]): string[] {
  const where = ['-k', '-i', 'faith0', '-P', faithPrefix, '--permit', '198.51.100.0/24']
  return [command, ...where, '--drain', '0', ...extra]
}
