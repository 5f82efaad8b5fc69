import { spawnSync } from 'node:child_process'

/**
 * Runs a short command to its end and gives what it printed; an error when it fails.
 *
 * It blocks on purpose, and in a session of its own: a Ctrl-C that reached `ip` half-way, or a clean-up
 * that ran beside it, would leave namespaces that nobody knows of.
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
