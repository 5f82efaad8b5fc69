/** The log of the command, to which its relays give their records without a way through JavaScript. */
import type { NativeLog } from './native.js'

/** A symbol, because this is no option of programs. */
const LOG = Symbol('log')

/** @internal Gives options of a relay that also writes to `log`. */
export function logTo<Options extends object>(
  log: NativeLog | undefined,
  options: Options,
): Options {
  return { ...options, [LOG]: log }
}

/** @internal Gives the log that options name. */
export function logOf(options: object): NativeLog | undefined {
  return (options as { [LOG]?: NativeLog })[LOG]
}
