/** How faithd ends: sysexits(3) codes, and which error means which. */
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
  [Exit.unavailable, '/dev/net/tun or a kernel feature is missing, or the interface was lost'],
  [Exit.software, 'a bug in faithd'],
  [Exit.permission, 'not permitted; the message names the capability'],
  [
    Exit.config,
    'configuration: keepfaith is not set, bad rules, no such source, or the interface exists',
  ],
  [130, 'ended at once by a second SIGINT; 143 by a second SIGTERM'],
]

/** A reason of the command's own to stop, with its exit code. */
export class ExitError extends Error {
  override readonly name: string = 'ExitError'
  readonly exitCode: number

  constructor(exitCode: number, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

/** A command line that cannot be understood. */
export class UsageError extends ExitError {
  override readonly name = 'UsageError'

  constructor(message: string) {
    super(Exit.usage, `${message}; see faithd --help`)
  }
}

/** The exit code for whatever stopped faithd. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode
  if (!(error instanceof FaithError)) return Exit.software
  switch (error.code) {
    // What they object to was said on the command line.
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

/** An error in one line: what, why, and what to do. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof FaithError)) return error.message
  // An access list with several malformed rules has a line for each.
  const message = error.message.replaceAll('\n', '; ')
  return error.hint === undefined ? message : `${message}; ${error.hint}`
}
