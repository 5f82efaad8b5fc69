import { Socket, type SocketConstructorOpts } from 'node:net'
import type { NativeConnection } from './native.js'

/** An address and a TCP port. */
export interface FaithEndpoint {
  /** An IPv6 address in RFC 5952 form, or a dotted IPv4 address. */
  address: string
  /** A TCP port, 1 to 65535. */
  port: number
}

/** What the client of a captured connection wanted to reach. */
export interface FaithDestination extends FaithEndpoint {
  /** The IPv4 address inside `address` (RFC 6052), where the mapping finds one. */
  ipv4?: string
}

/** The destination of a captured connection, and what captured it. */
export interface FaithSocketDestination extends FaithDestination {
  /** The faith prefix the address is inside of: `64:ff9b::/96`. */
  prefix: string
  /** The name of the faith interface: `faith0`. */
  interface: string
}

/** How a listener makes its sockets; both as in `net.createServer`. */
export interface FaithSocketOptions {
  /**
   * Whether the socket stays writable after the client has ended its side. Default `true`: half-close is passed on
   * by a relay of one's own, and `end()` is called by whoever is done writing.
   */
  allowHalfOpen: boolean
  /** Whether nothing is read until `resume()`. Default `false`. */
  pauseOnConnect: boolean
}

/**
 * A captured connection: a real `net.Socket`, already connected, whose local address is the one the client dialled.
 *
 * Listeners make it; there is no `connect` event. `localAddress`, `localPort`, `remoteAddress` and `remotePort` are
 * known from the start and stay known after the socket is closed.
 *
 * @example
 * ```ts
 * listener.on('connection', (socket) => {
 *   const { address, port, ipv4 } = socket.destination
 *   socket.end(`you dialled ${address} port ${port}, which is ${ipv4}\n`)
 * })
 * ```
 */
export class FaithSocket extends Socket {
  /** What the client wanted to reach: getsockname(2) of the captured connection. */
  readonly destination: FaithSocketDestination
  override readonly localAddress: string
  override readonly localPort: number
  override readonly localFamily = 'IPv6'
  override readonly remoteAddress: string
  override readonly remotePort: number
  override readonly remoteFamily = 'IPv6'

  /** @internal The socket of a connection, whose `fd` it takes over. */
  static adopt(
    connection: NativeConnection,
    faith: string,
    options: FaithSocketOptions,
  ): FaithSocket {
    return new FaithSocket(connection, faith, options)
  }

  // Private rather than internal: what is internal is not declared at all, and then the constructor of `Socket` is.
  private constructor(connection: NativeConnection, faith: string, options: FaithSocketOptions) {
    const settings: SocketConstructorOpts & { pauseOnCreate: boolean } = {
      fd: connection.fd,
      readable: true,
      writable: true,
      allowHalfOpen: options.allowHalfOpen,
      pauseOnCreate: options.pauseOnConnect,
    }
    super(settings)

    const { address, port, prefix, ipv4 } = connection
    this.destination = {
      address,
      port,
      ...(ipv4 === undefined ? {} : { ipv4 }),
      prefix,
      interface: faith,
    }
    this.localAddress = address
    this.localPort = port
    this.remoteAddress = connection.remoteAddress
    this.remotePort = connection.remotePort
  }
}
