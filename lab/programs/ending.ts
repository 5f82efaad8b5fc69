// How a connection has ended. libuv reports a reset as an end when it finds the reset together with the last bytes
// (uv__stream_io), so an `end` of Node's needs a second look: the kernel's table has no line for a socket that was reset.
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

const tables = ['/proc/self/net/tcp6', '/proc/self/net/tcp']

function hex(port: number | undefined): string {
  return (port ?? 0).toString(16).toUpperCase().padStart(4, '0')
}

/** The end of a socket of the program's own network namespace, which is open or still connects. */
export class Ending {
  #ports = /$^/

  constructor(socket: Socket) {
    const note = (): void => {
      this.#ports = new RegExp(`:${hex(socket.localPort)} [0-9A-F]+:${hex(socket.remotePort)} `)
    }
    if (socket.connecting) socket.once('connect', note)
    else note()
  }

  /** Tells a reset from an end, as long as the socket has not been closed on this side. */
  get wasReset(): boolean {
    return !tables.some((table) => this.#ports.test(readFileSync(table, 'latin1')))
  }

  /** What an event `end` of the socket stands for. */
  get event(): 'end' | 'ECONNRESET' {
    return this.wasReset ? 'ECONNRESET' : 'end'
  }
}
