/** The error class of this package and its table of codes. */

/**
 * The codes of this package. If the kernel refused, `code` is the name of the errno instead, and `errno` (negative) and
 * `syscall` are set as in Node's system errors.
 *
 * | code | meaning |
 * |---|---|
 * | `ERR_FAITH_ACCESS_LIST` | an access list has malformed rules, or its file cannot be read |
 * | `ERR_FAITH_ARGUMENT` | an option is missing, unknown, of the wrong type or out of range |
 * | `ERR_FAITH_CLOSED` | the faith interface, the listener or the relay is closed; or another program deleted the interface |
 * | `ERR_FAITH_DENIED` | a splice may not go to the server: its address is special-purpose, this host's own or loopback, as `message` says; `allowAny: true` permits it |
 * | `ERR_FAITH_IPV6` | IPv6 is disabled: the kernel runs without it, or the sysctl that `message` names switches it off |
 * | `ERR_FAITH_KEEPFAITH` | keepfaith is off, so nothing would be captured |
 * | `ERR_FAITH_NAME` | the interface name is not legal on Linux |
 * | `ERR_FAITH_PLATFORM` | the package has no addon for this platform; or this runtime cannot take over sockets, like Bun |
 * | `ERR_FAITH_PORT` | a port, a range or a list of ports is malformed, empty or out of range |
 * | `ERR_FAITH_PREFIX` | a prefix is malformed, has host bits or an illegal length, or overlaps another |
 * | `ERR_FAITH_RESOLVE` | a DNS server's `resolve` gave no answer to a query; `cause` says why |
 * | `ERR_FAITH_ROUTE` | a relay's `route` gave no verdict on a connection; `cause` says why |
 * | `ERR_FAITH_SOCKET` | a socket cannot be spliced: it is closed, ended, spliced already, or not plain TCP |
 * | `ERR_FAITH_SYSTEM` | the system failed without an errno, as `message` says |
 * | `ERR_FAITH_WORKER` | a thread of the interface ended by itself, which is a bug; the interface is lost |
 * | `EADDRINUSE` | another faith listener or relay has the port |
 * | `EADDRNOTAVAIL` | the address is inside no prefix of the interface; or a `localAddress` of a relay or a splice is not this host's |
 * | `EEXIST` | an interface of that name exists; or a prefix is routed elsewhere already |
 * | `ENOENT` | the interface does not have that prefix; or /dev/net/tun is missing |
 * | `EPERM`, `EACCES` | a capability or a permission is missing, and `hint` names it; or a splice's server is prohibited |
 * | `ENOSPC` | no more listeners, or ranges of ports, fit on the interface |
 * | any other errno | as in errno(3); `Unknown system error -N` for a number without a name, as in Node; a failed name lookup has a code of getaddrinfo(3), such as `ENOTFOUND` |
 *
 * A call that an `AbortSignal` stops rejects with an `AbortError` instead, whose `code` is `ABORT_ERR`, as in Node.
 *
 * @group Errors
 */
export type FaithErrorCode =
  | 'ERR_FAITH_ACCESS_LIST'
  | 'ERR_FAITH_ARGUMENT'
  | 'ERR_FAITH_CLOSED'
  | 'ERR_FAITH_DENIED'
  | 'ERR_FAITH_IPV6'
  | 'ERR_FAITH_KEEPFAITH'
  | 'ERR_FAITH_NAME'
  | 'ERR_FAITH_PLATFORM'
  | 'ERR_FAITH_PORT'
  | 'ERR_FAITH_PREFIX'
  | 'ERR_FAITH_RESOLVE'
  | 'ERR_FAITH_ROUTE'
  | 'ERR_FAITH_SOCKET'
  | 'ERR_FAITH_SYSTEM'
  | 'ERR_FAITH_WORKER'

/**
 * The parts of a {@link FaithError} beside its code and message.
 *
 * @group Errors
 */
export interface FaithErrorDetails {
  /** The remedy, in one phrase. */
  hint?: string | undefined
  /** The kernel's error number, negative as in Node; set if the kernel refused. */
  errno?: number | undefined
  /** The system call or netlink request that the kernel refused. */
  syscall?: string | undefined
  /** The original error, if other code threw it. */
  cause?: unknown
}

/**
 * The error of every failed operation of this package. Programs test `code`; people read `message` and `hint`.
 *
 * @example
 * ```ts
 * try {
 *   await createFaithInterface({ name: 'faith0' })
 * } catch (error) {
 *   if (error instanceof FaithError && error.code === 'EPERM') console.error(error.hint)
 * }
 * ```
 *
 * @group Errors
 */
export class FaithError extends Error {
  /** Always `FaithError`. */
  override readonly name = 'FaithError'
  /** One of {@link FaithErrorCode}, or the name of an errno such as `EPERM`. */
  readonly code: FaithErrorCode | (string & {})
  /** The kernel's error number, negative as in Node; set if the kernel refused. */
  declare readonly errno: number | undefined
  /** The system call or netlink request that the kernel refused. */
  declare readonly syscall: string | undefined
  /** The remedy, if one is known. `stack` repeats it after the message, so Node prints it with the error. */
  declare readonly hint: string | undefined

  /**
   * Makes an error. Programs need this only to test their own error handling.
   *
   * @param code - one of {@link FaithErrorCode}, or the name of an errno
   * @param message - the failed operation and its object
   * @param details - the other parts; each defaults to `undefined`
   *
   * @example
   * ```ts
   * const error = new FaithError('EPERM', 'cannot create faith0', { hint: 'run as root' })
   * console.log(`${error.code}: ${error.message}; ${error.hint}`)
   * ```
   */
  constructor(code: string, message: string, details: FaithErrorDetails = {}) {
    const { cause, errno, syscall, hint } = details ?? {}
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    if (errno !== undefined) this.errno = errno
    if (syscall !== undefined) this.syscall = syscall
    if (hint === undefined) return
    // Not enumerable, so that Node prints it once, with the stack.
    Object.defineProperty(this, 'hint', { value: hint })
    const header = `${this.name}: ${message}`
    // The stack that `Error` captured begins with the wrong class name.
    Error.captureStackTrace(this)
    this.stack = String(this.stack).replace(header, () => `${header}; ${hint}`)
  }
}

/** @internal The key of constructors that only this package may call. */
export const INSIDE: unique symbol = Symbol('inside faithd')

/** @internal Throws if other code calls such a constructor. */
export function requireInside(key: unknown, name: string, maker: string): asserts key is symbol {
  if (key === INSIDE) return
  const message = `${name} cannot be constructed`
  throw new FaithError('ERR_FAITH_ARGUMENT', message, { hint: `${maker} makes it` })
}

/** @internal Makes the error for the use of a closed object. */
export function closedError(
  what: string,
  hint: string = 'start faithd again (in a program: create a new faith interface)',
): FaithError {
  return new FaithError('ERR_FAITH_CLOSED', `${what} is closed`, { hint })
}
