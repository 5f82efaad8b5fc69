/** How everything in this package fails: one error class, one table of codes. */

/**
 * What the package's own codes mean. Where the kernel refused, `code` is the name of the errno instead, and
 * `errno` (negative) and `syscall` are set as in Node's system errors.
 *
 * | code | meaning |
 * |---|---|
 * | `ERR_FAITH_ACCESS_LIST` | an access list with malformed rules, or whose file cannot be read |
 * | `ERR_FAITH_ARGUMENT` | an option is missing, unknown, of the wrong type or out of range |
 * | `ERR_FAITH_CLOSED` | the faith interface, the listener or the relay is closed; or somebody else deleted the interface |
 * | `ERR_FAITH_DENIED` | a server that a splice may not go to: its address is special-purpose, this host's own or loopback, as `message` says; `allowAny: true` permits it |
 * | `ERR_FAITH_IPV6` | IPv6 is disabled: the kernel runs without it, or a sysctl that `message` names switches it off |
 * | `ERR_FAITH_KEEPFAITH` | keepfaith is off, so nothing would be captured |
 * | `ERR_FAITH_NAME` | an interface name that Linux does not take |
 * | `ERR_FAITH_PLATFORM` | there is no addon for this platform; or this runtime cannot take over sockets, as Bun cannot |
 * | `ERR_FAITH_PORT` | a port, a range or a list of ports that is malformed, empty or out of range |
 * | `ERR_FAITH_PREFIX` | a prefix that is malformed, has host bits, an illegal length, or overlaps another |
 * | `ERR_FAITH_ROUTE` | a relay's `route` gave no verdict on a connection; `cause` says why |
 * | `ERR_FAITH_SOCKET` | a socket that cannot be spliced: closed, ended, spliced already, not plain TCP |
 * | `ERR_FAITH_SYSTEM` | the system failed in a way that has no errno, as `message` says |
 * | `ERR_FAITH_WORKER` | a thread of the interface has ended by itself: a bug, and the interface is lost |
 * | `EADDRINUSE` | another faith listener or relay has the port |
 * | `EADDRNOTAVAIL` | the address is inside no prefix of the interface; or a `localAddress` of a relay or a splice is not this host's |
 * | `EEXIST` | an interface of that name exists; or a prefix is routed elsewhere already |
 * | `ENOENT` | the interface does not have that prefix; or there is no /dev/net/tun |
 * | `EPERM`, `EACCES` | a capability or a permission is missing, and `hint` names it; or a splice's server is prohibited |
 * | `ENOSPC` | no more listeners, or ranges of ports, fit on the interface |
 * | any other errno | as in errno(3), and `Unknown system error -N` of one without a name, as in Node; of a name that is not found, as `ENOTFOUND`, as in getaddrinfo(3) |
 *
 * What an `AbortSignal` stops is no failure: it rejects with an `AbortError`, whose `code` is `ABORT_ERR` as in Node.
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
  /** What to do about it, in one phrase. */
  hint?: string | undefined
  /** The kernel's error number, negative as in Node, where the kernel refused. */
  errno?: number | undefined
  /** The system call or netlink request the kernel refused. */
  syscall?: string | undefined
  /** What was thrown in the first place, where that was somebody else's. */
  cause?: unknown
}

/**
 * The error of every failed operation of this package; programs test `code`, people read `message` and `hint`.
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
  /** Always `FaithError`, whatever the code is. */
  override readonly name = 'FaithError'
  /** One of {@link FaithErrorCode}, or the name of an errno such as `EPERM`. */
  readonly code: FaithErrorCode | (string & {})
  /** The kernel's error number, negative as in Node, where the kernel refused. */
  declare readonly errno: number | undefined
  /** The system call or netlink request the kernel refused. */
  declare readonly syscall: string | undefined
  /** What to do about it, where that is known. `stack` has it behind the message, and so it is printed with the error. */
  declare readonly hint: string | undefined

  /**
   * Errors are made by this package; others make them to test what they do about them.
   *
   * @param code - one of {@link FaithErrorCode}, or the name of an errno
   * @param message - what failed, and on what
   * @param details - the other parts; each is `undefined` where it is left out
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
    // Not enumerable, so that it is printed once, by the stack.
    Object.defineProperty(this, 'hint', { value: hint })
    const header = `${this.name}: ${message}`
    // Only now: the stack of the constructor above begins with the name of its own class.
    Error.captureStackTrace(this)
    this.stack = String(this.stack).replace(header, () => `${header}; ${hint}`)
  }
}

/** @internal What the constructors of classes that only this package makes are called with. */
export const INSIDE: unique symbol = Symbol('inside faithd')

/** @internal Refuses to construct what another call makes. */
export function requireInside(key: unknown, name: string, maker: string): asserts key is symbol {
  if (key === INSIDE) return
  const message = `${name} cannot be constructed`
  throw new FaithError('ERR_FAITH_ARGUMENT', message, { hint: `${maker} makes it` })
}

/** @internal The error of using `what` after it was closed. */
export function closedError(
  what: string,
  hint: string = 'create a new faith interface',
): FaithError {
  return new FaithError('ERR_FAITH_CLOSED', `${what} is closed`, { hint })
}
