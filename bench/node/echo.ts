import type { Socket } from 'node:net'

/** Sends back what comes, and ends when the other side has ended. */
export function echo(socket: Socket): void {
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
}
