/** Maps errors to exit codes of sysexits(3), and to one line of explanation. */
import { FaithError } from '../lib/errors.js'

/** The exit codes, after sysexits(3). */
export const Exit = {
  ok: 0,
  /** EX_USAGE */
  usage: 64,
  /** EX_UNAVAILABLE */
  unavailable: 69,
  /** EX_SOFTWARE */
  software: 70,
  /** EX_NOPERM */
  permission: 77,
  /** EX_CONFIG */
  config: 78,
} as const

/** The table of `faithd --help`. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [Exit.ok, 'ended by SIGINT or SIGTERM'],
  [Exit.usage, 'usage: an unknown option, a malformed value'],
  [
    Exit.unavailable,
    '/dev/net/tun or a kernel feature is missing, or an interface or a worker was lost',
  ],
  [Exit.software, 'a bug in faithd'],
  [Exit.permission, 'not permitted; the message names the capability'],
  [
    Exit.config,
    'configuration: no -k, a bad rule, an unknown source address, or the interface exists',
  ],
  [130, 'ended at once by a second SIGINT; 143 by a second SIGTERM'],
]

/** An error of the command itself, not of the library, with its exit code. */
export class ExitError extends Error {
  override readonly name: string = 'ExitError'
  readonly exitCode: number

  constructor(exitCode: number, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A malformed command line. */
export class UsageError extends ExitError {
  override readonly name = 'UsageError'

  constructor(message: string) {
    super(Exit.usage, `${message}; see faithd --help`)
  }
}

/** Gives the exit code for the error that stopped faithd. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode
  if (!(error instanceof FaithError)) return Exit.software
  switch (error.code) {
    // The bad value came from the command line.
    case 'ERR_FAITH_ARGUMENT':
    case 'ERR_FAITH_NAME':
    case 'ERR_FAITH_PORT':
    case 'ERR_FAITH_PREFIX':
      return Exit.usage
    case 'EACCES':
    case 'EPERM':
      return Exit.permission
    case 'ERR_FAITH_ACCESS_LIST':
    case 'EEXIST':
    case 'EADDRINUSE':
    case 'EADDRNOTAVAIL':
      return Exit.config
    default:
      return Exit.unavailable
  }
}

/** Explains an error in one line: what failed, why, and the remedy. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof FaithError)) return error.message
  // The message about an access list has a line for each malformed rule.
  const message = error.message.replaceAll('\n', '; ')
  return error.hint === undefined ? message : `${message}; ${error.hint}`
}
