/**
 * Turns failures of the addon into exceptions. A promise of the addon can reject only with an error without a code, so
 * the addon returns its failures as values.
 */
import { getSystemErrorName } from 'node:util'
import { FaithError } from './errors.js'
import type { NativeFailure } from './native.js'

/** @internal Makes the exception for a failure that the addon returned. */
export function toFaithError(failure: NativeFailure): FaithError {
  const { code = systemCode(failure.errno), message } = failure
  return new FaithError(code, message, failure)
}

/** @internal Gives the result of the addon, or throws its failure as a {@link FaithError}. */
export function unwrap<T>(result: T | NativeFailure): T {
  if (isFailure(result)) throw toFaithError(result)
  return result
}

/** Gives Node's name for an errno that the addon cannot name, or `Unknown system error -N`. */
function systemCode(errno: number | undefined): string {
  return errno === undefined ? 'ERR_FAITH_SYSTEM' : getSystemErrorName(errno)
}

function isFailure(result: unknown): result is NativeFailure {
  return typeof result === 'object' && result !== null && 'failed' in result
}
