import type { Socket } from 'node:net'

/** Sends everything back, and ends after the client ends. */
export function echo(socket: Socket): void {
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
}
