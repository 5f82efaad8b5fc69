// Tells how a connection ended. libuv reports a reset as an end when it finds the reset together with the last bytes
// (uv__stream_io). So each `end` event needs a second look: the kernel's table has no line for a socket that was reset.
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

const tables = ['/proc/self/net/tcp6', '/proc/self/net/tcp']

function hex(port: number | undefined): string {
  return (port ?? 0).toString(16).toUpperCase().padStart(4, '0')
}

/** Reads the end of one socket in the program's own network namespace. The socket is open or still connecting. */
export class Ending {
  #ports = /$^/

  constructor(socket: Socket) {
    const note = (): void => {
      this.#ports = new RegExp(`:${hex(socket.localPort)} [0-9A-F]+:${hex(socket.remotePort)} `)
    }
    if (socket.connecting) socket.once('connect', note)
    else note()
  }

  /**
   * True after a reset, false after an orderly end. Valid until this side closes the socket, or ends its direction after
   * the peer has: the kernel forgets such a connection too as soon as the peer has acknowledged the end.
   */
  get wasReset(): boolean {
    return !tables.some((table) => this.#ports.test(readFileSync(table, 'latin1')))
  }

  /** The real meaning of an `end` event of the socket. */
  get event(): 'end' | 'ECONNRESET' {
    return this.wasReset ? 'ECONNRESET' : 'end'
  }
}
