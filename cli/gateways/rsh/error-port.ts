/** Reads what an rsh client says first: the port on which it waits for the connection of the errors (rshd(8)). */

/** The longest number of a port. */
const DIGITS = 5
const NUL = 0
/** The server refuses a client whose second port is not privileged, and must not be told another. */
export const PRIVILEGED = { first: 512, last: 1023 } as const

/** The first bytes of a client: not all there, malformed, or the port and the number of bytes that named it. */
export type First = 'incomplete' | 'malformed' | { port: number; length: number }

/**
 * Reads the port at the beginning of `bytes`: digits and a NUL.
 *
 * @returns port 0 for a client that wants no second connection
 */
export function readErrorPort(bytes: Buffer): First {
  const end = bytes.indexOf(NUL)
  const digits = bytes.toString('latin1', 0, end === -1 ? bytes.length : end)
  if (digits.length > DIGITS || !/^\d*$/.test(digits)) return 'malformed'
  if (end === -1) return 'incomplete'
  const port = Number(digits)
  const length = end + 1
  return port === 0 || isPrivileged(port) ? { port, length } : 'malformed'
}

/** Tells if a port is one that only root may use, and that rsh and rlogin trust. */
export function isPrivileged(port: number): boolean {
  return port >= PRIVILEGED.first && port <= PRIVILEGED.last
}
