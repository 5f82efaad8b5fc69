/** Urgent bytes, which Node cannot send. */
import type { Socket } from 'node:net'
import { unwrap } from './failure.js'
import { handleOf } from './inside-node.js'
import { native } from './native.js'

const NOTHING = Buffer.alloc(0)

/**
 * @internal Writes bytes with the one at `place` marked as urgent, as an interrupt of telnet is. Resolves when the kernel has
 * those up to it. If the send queue is full, it is an ordinary byte.
 */
export async function writeUrgent(socket: Socket, bytes: Buffer, place: number): Promise<void> {
  await new Promise<void>((resolve) => socket.write(bytes.subarray(0, place), () => resolve()))
  const byte = bytes[place]
  const handle = handleOf(socket)
  if (byte === undefined || handle === null || !socket.writable) return
  const isSent = socket.writableLength === 0 && unwrap(native.sendUrgent(handle.fd, byte))
  const rest = bytes.subarray(isSent ? place + 1 : place)
  socket.write(rest.length === 0 ? NOTHING : rest)
}
