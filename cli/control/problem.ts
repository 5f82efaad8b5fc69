/** Errors of the control interface, as RFC 9457 describes problems. */
import { STATUS_CODES } from 'node:http'
import { FaithError } from '../../lib/errors.js'
import { ConfigurationError } from '../complaints.js'
import { ExitError } from '../exit.js'
import type { Problem } from './schemas.js'

/** An error with its HTTP status. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly status: number
  readonly code: string | undefined
  readonly hint: string | undefined
  /** Header fields that the answer has besides. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    detail: string,
    {
      code,
      hint,
      headers = {},
    }: { code?: string; hint?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail)
    this.status = status
    this.code = code
    this.hint = hint
    this.headers = headers
  }

  /** The body of the answer. */
  get body(): Problem {
    const { status, code, hint } = this
    return {
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      detail: this.message,
      ...(code === undefined ? {} : { code }),
      ...(hint === undefined ? {} : { hint }),
    }
  }
}

/** The status of each error of the library that a request may cause. Other errors are faithd's own: 500. */
const STATUSES: Readonly<Record<string, number>> = {
  ERR_FAITH_ACCESS_LIST: 422,
  ERR_FAITH_ARGUMENT: 422,
  ERR_FAITH_NAME: 422,
  ERR_FAITH_PORT: 422,
  ERR_FAITH_PREFIX: 422,
  EADDRNOTAVAIL: 422,
  EACCES: 403,
  EPERM: 403,
  ENOENT: 404,
  EADDRINUSE: 409,
  EEXIST: 409,
  ERR_FAITH_KEEPFAITH: 409,
  ERR_FAITH_CLOSED: 503,
}

/** Gives any error as a problem. The text of an unexpected one stays in the log. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error
  if (error instanceof FaithError) {
    const { code, message, hint } = error
    const details = hint === undefined ? { code } : { code, hint }
    return new ProblemError(STATUSES[code] ?? 500, message, details)
  }
  if (error instanceof ConfigurationError || error instanceof ExitError) {
    return new ProblemError(422, error.message)
  }
  return new ProblemError(500, 'this is a bug in faithd; its log has the details')
}
