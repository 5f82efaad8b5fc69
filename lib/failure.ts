/**
 * Failures of the addon as exceptions. A promise of the addon can reject only with an error that has no code, so the
 * addon returns its failures as values.
 */
import { getSystemErrorName } from 'node:util'
import { FaithError } from './errors.js'
import type { NativeFailure } from './native.js'

/** @internal The exception for a failure the addon returned. */
export function toFaithError(failure: NativeFailure): FaithError {
  const { code = systemCode(failure.errno), message } = failure
  return new FaithError(code, message, failure)
}

/** @internal Gives what the addon returned, unless it is a failure: that is thrown as a {@link FaithError}. */
export function unwrap<T>(result: T | NativeFailure): T {
  if (isFailure(result)) throw toFaithError(result)
  return result
}

/** The code of an errno that the addon has no name for: Node's name, or Node's words for a number without one. */
function systemCode(errno: number | undefined): string {
  return errno === undefined ? 'ERR_FAITH_SYSTEM' : getSystemErrorName(errno)
}

function isFailure(result: unknown): result is NativeFailure {
  return typeof result === 'object' && result !== null && 'failed' in result
}
