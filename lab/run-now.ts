import { spawnSync } from 'node:child_process'

/**
 * Runs a short command to its end and returns its output; throws when it fails.
 *
 * It blocks on purpose and runs in its own session. Otherwise a Ctrl-C could interrupt `ip` half-way, or a clean-up
 * could run at the same time, and both would leave namespaces that no lab removes.
 */
export function runNow(command: string, args: readonly string[], input = ''): string {
  const { status, signal, stdout, stderr, error } = spawnSync(
    'setsid',
    ['--wait', command, ...args],
    { input: `${input}\n`, encoding: 'utf8' },
  )
  if (status === 0) return stdout
  const reason = error?.message ?? (stderr.trim() || `ended with ${signal ?? status}`)
  throw new Error(`lab: ${[command, ...args].join(' ')}: ${reason}`)
}
