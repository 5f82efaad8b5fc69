/** Urgent bytes, which Node cannot send. */
import { Socket } from 'node:net'
import { FaithError } from './errors.js'
import { toFaithError } from './failure.js'
import { handleOf } from './inside-node.js'
import { native } from './native.js'
import { readable, show } from './option-reader.js'

const CALL = 'writeUrgent'

/**
 * Writes bytes of which the last is urgent, as send(2) does with `MSG_OOB` and Node cannot: the interrupt of telnet or
 * rlogin, or that before ABOR of FTP. The socket may be a captured one, its `upstream`, or any other connected TCP socket of
 * Node. The bytes keep their place between those written before and after.
 *
 * The kernel must take the urgent byte at once. So it is an ordinary byte, and the result `false`, while written bytes wait
 * in Node (`socket.writableLength` is not 0, or the socket is corked) and while the send queue is full. A program that must
 * have it urgent first waits for the callback of an empty `write()`. `socket.bytesWritten` does not count the urgent byte.
 *
 * In the other direction, a program that stands between client and server ({@link FaithRouteBetween}) gets the urgent bytes of
 * both as ordinary ones in their place. All other sockets of Node lose the urgent bytes of their peer. Relays and splices keep
 * them urgent. New protocols should have no urgent data (RFC 6093 section 5).
 *
 * @param socket - the connected socket to write to
 * @param data - at least one byte
 * @returns `true` if the last byte is urgent
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `ERR_FAITH_SOCKET` when the socket is closed, not connected, has ended
 * writing or is not plain TCP. An error of the connection is an `error` event of the socket, as with `write()`.
 *
 * @example
 * ```ts
 * relay.on('connection', (client) => {
 *   const { upstream } = client
 *   // Interrupts the program of a telnet server: IAC IP, then IAC DM as the synch (RFC 854).
 *   if (upstream) writeUrgent(upstream, Buffer.from([255, 244, 255, 242]))
 * })
 * ```
 *
 * @group Listener and sockets
 */
export function writeUrgent(socket: Socket, data: Uint8Array): boolean {
  const descriptor = descriptorOf(socket)
  const bytes = readBytes(data)
  const [head, last] = [bytes.subarray(0, -1), bytes.subarray(-1)]
  if (head.length > 0) socket.write(head)
  // Bytes that wait in Node would come after the urgent one.
  if (socket.writableLength === 0) {
    const sent = native.sendUrgent(descriptor, last[0] ?? 0)
    if (sent === true) return true
    if (sent !== false) {
      socket.destroy(toFaithError(sent))
      return false
    }
  }
  socket.write(last)
  return false
}

/** The descriptor of a socket that can be written. */
function descriptorOf(socket: Socket): number {
  if (!readable(`${CALL}: the socket`, () => socket instanceof Socket)) {
    throw new FaithError('ERR_FAITH_ARGUMENT', `${CALL}: expected a socket, got ${show(socket)}`)
  }
  if (socket.connecting) throw refuse('it is not connected yet', 'wait for its `connect`')
  if (socket.writableEnded) throw refuse('it has ended writing')
  const handle = handleOf(socket)
  if (socket.destroyed || handle === null) throw refuse('it is closed')
  // TLS sockets and pipes have handles of other classes.
  if (handle.constructor.name !== 'TCP' || handle.fd < 0) throw refuse('it is not plain TCP')
  return handle.fd
}

function readBytes(data: Uint8Array): Uint8Array {
  const isData = readable(`${CALL}: the data`, () => data instanceof Uint8Array && data.length > 0)
  if (isData) return data
  const message = `${CALL}: expected at least one byte, in a Uint8Array, got ${show(data)}`
  throw new FaithError('ERR_FAITH_ARGUMENT', message)
}

function refuse(why: string, hint?: string): FaithError {
  return new FaithError('ERR_FAITH_SOCKET', `${CALL}: the socket cannot be written: ${why}`, {
    hint,
  })
}
