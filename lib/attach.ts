/**
 * Gives captured connections to servers of Node and of npm packages.
 *
 * Theory of operation: a server of Node takes connections by its own `connection` event, no matter which code emits it.
 * Before that event Node applies the server's settings to the socket; here this file does so. A TLS server wraps the
 * captured socket in one of its own and does not show the inner one. Both sockets have the same addresses and ports,
 * and {@link destinationOf} finds the destination by these.
 *
 * Most servers from npm wrap a server of Node, and their own `connection` event, if any, means something else. They
 * either have a method that takes a socket (ssh2) or show the inner server (smtp-server).
 */
import { type BlockList, Server, type Socket } from 'node:net'
import { FaithError } from './errors.js'
import { count, isFull, openToCaptured } from './inside-node.js'
import type { NativeConnection } from './native.js'
import { readable, show } from './option-reader.js'
import {
  FaithSocket,
  type FaithSocketDestination,
  type FaithSocketOptions,
  type SocketMaking,
  whenDestroyed,
} from './socket.js'

/**
 * A server that takes connections by its `connection` event, like those of `net`, `tls`, `http`, `https` and `http2`.
 *
 * @group Listener and sockets
 */
export interface FaithConnectionServer {
  /** Emits `connection`. */
  emit(event: 'connection', socket: FaithSocket): boolean
}

/**
 * A server that takes connections by a method, like ssh2's, whose `connection` event means something else.
 *
 * @group Listener and sockets
 */
export interface FaithInjectionServer {
  /** Takes a connection. */
  injectSocket(socket: FaithSocket): unknown
}

/**
 * A server that wraps a server of Node, which takes its connections, like smtp-server's.
 *
 * @group Listener and sockets
 */
export interface FaithWrappingServer {
  /** The inner server. */
  readonly server: Server
}

/**
 * A server that {@link FaithListener.attach} can give connections to.
 *
 * @group Listener and sockets
 */
export type FaithServer = FaithConnectionServer | FaithInjectionServer | FaithWrappingServer

/**
 * The attachment of a server to a listener, until it is detached.
 *
 * @group Listener and sockets
 */
export interface FaithAttachment extends Disposable {
  /**
   * Stops giving connections to the server. New ones wait in the listener until a handler, an iteration or another
   * server takes them. The server keeps the connections that it has. After their end Node treats it as a server that is
   * not running, unless it listens or is attached elsewhere.
   *
   * @example
   * ```ts
   * import { createServer } from 'node:net'
   *
   * const say = (text: string) =>
   *   createServer((socket) => {
   *     socket.on('error', () => socket.destroy()).resume()
   *     socket.setTimeout(30_000, () => socket.destroy())
   *     socket.end(text)
   *   })
   * const draining = listener.attach(say('come back later\n'))
   * process.once('SIGUSR1', () => {
   *   draining.detach()
   *   listener.attach(say('here we are\n'))
   * })
   * ```
   */
  detach(): void
}

/**
 * The addresses and ports of a connection. Sockets have them, and some servers show them in place of the socket.
 *
 * @group Listener and sockets
 */
export type FaithEnds = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>

/** The destinations of the open sockets that servers have, by the ends of the connection. */
const given = new Map<string, FaithSocketDestination>()

/**
 * Gives the destination that the client dialled, for a socket of an attached server: the captured socket itself, or the
 * TLS socket around it. The addresses and ports alone suffice, which is all that some servers show, such as the session
 * of smtp-server. Gives `undefined` for a connection that no listener has captured, and for a closed connection, unless
 * `socket` is the captured socket itself. A program that logs at the close has to ask before.
 *
 * @throws {@link FaithError} `ERR_FAITH_ARGUMENT` when `socket` is not an object
 *
 * @example
 * ```ts
 * import { readFileSync } from 'node:fs'
 * import { createServer } from 'node:https'
 * import { destinationOf } from 'faithd'
 *
 * const identity = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }
 * const server = createServer(identity, (request, response) => {
 *   response.end(`you dialled ${destinationOf(request.socket)?.ipv4}\n`)
 * })
 * listener.attach(server)
 * ```
 *
 * @group Listener and sockets
 */
export function destinationOf(socket: FaithEnds): FaithSocketDestination | undefined {
  if (typeof socket !== 'object' || socket === null) {
    const message = `destinationOf: \`socket\` must be a socket or its ends, got ${show(socket)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  return readable('destinationOf: `socket`', () =>
    socket instanceof FaithSocket ? socket.destination : given.get(endsOf(socket)),
  )
}

/** @internal A server that takes connections, and the settings of its sockets. */
export interface Taking {
  /** Prepares the server for connections. The returned function undoes that. */
  begin(): () => void
  /** Tells if the server takes another connection. A full server emits its `drop` event. */
  admits(connection: NativeConnection): boolean
  /** Combines the server's settings for sockets with the listener's options. */
  making(options: FaithSocketOptions): SocketMaking
  take(socket: FaithSocket): void
}

/** The settings of `net.Server` that concern the sockets it accepts. */
interface Settings {
  allowHalfOpen?: unknown
  blockList?: BlockList
  highWaterMark?: unknown
  keepAlive?: unknown
  /** In seconds. */
  keepAliveInitialDelay?: unknown
  noDelay?: unknown
  pauseOnConnect?: unknown
}

/** @internal Finds the way a server takes connections; throws if it takes none. */
export function takingBy(attached: FaithServer): Taking {
  const [taking, emit] = readable('listener.attach: `server`', () => {
    const inside = innermost(attached)
    return [inside, takerOf(inside)] as const
  })
  const server = taking instanceof Server ? taking : undefined
  // A server without such settings expects sockets with Node's defaults.
  const settings = taking as Settings
  return {
    begin: () => (server === undefined ? () => undefined : openToCaptured(server)),
    admits: (connection) => server === undefined || admits(server, settings, connection),
    making: ({ pauseOnConnect }) => ({
      allowHalfOpen: settings.allowHalfOpen === true,
      pauseOnConnect: pauseOnConnect || settings.pauseOnConnect === true,
      highWaterMark:
        typeof settings.highWaterMark === 'number' ? settings.highWaterMark : undefined,
    }),
    take(socket) {
      if (settings.noDelay === true) socket.setNoDelay(true)
      if (settings.keepAlive === true) {
        socket.setKeepAlive(true, Number(settings.keepAliveInitialDelay) * 1_000)
      }
      if (server) count(server, socket)
      remember(socket)
      emit(socket)
    },
  }
}

/** Applies Node's own conditions: `maxConnections` is not reached, and the client is not on the block list. */
function admits(server: Server, { blockList }: Settings, connection: NativeConnection): boolean {
  const { address, port, remoteAddress, remotePort } = connection
  if (isFull(server)) {
    server.emit('drop', {
      localAddress: address,
      localPort: port,
      localFamily: 'IPv6',
      remoteAddress,
      remotePort,
      remoteFamily: 'IPv6',
    })
    return false
  }
  return !blockList?.check(remoteAddress, 'ipv6')
}

/** Finds the server that takes the connections: the inner server, or `server` itself. */
function innermost(server: unknown): unknown {
  const { injectSocket, server: inside } = propertiesOf(server)
  const itself = server instanceof Server || typeof injectSocket === 'function'
  return !itself && inside instanceof Server ? inside : server
}

function takerOf(server: unknown): (socket: FaithSocket) => void {
  const { emit, injectSocket } = propertiesOf(server)
  // A server with this method emits `connection` too, with another meaning, so the method goes first.
  if (typeof injectSocket === 'function') return (socket) => injectSocket.call(server, socket)
  if (typeof emit !== 'function') throw refusal(`\`server\` must be a server, got ${show(server)}`)
  if (isDeaf(server)) throw refusal('nothing listens to the `connection` event of `server`')
  return (socket) => emit.call(server, 'connection', socket)
}

/** Tells if no handler takes the `connection` event, so that clients would be connected and wait for ever. */
function isDeaf(server: unknown): boolean {
  // A server of Node may get its handler later.
  if (server instanceof Server) return false
  const { listenerCount } = propertiesOf(server)
  return typeof listenerCount === 'function' && listenerCount.call(server, 'connection') === 0
}

function propertiesOf(server: unknown): Record<string, unknown> {
  const able = (typeof server === 'object' && server !== null) || typeof server === 'function'
  return (able ? server : {}) as Record<string, unknown>
}

function refusal(why: string): FaithError {
  return new FaithError('ERR_FAITH_ARGUMENT', `listener.attach: ${why}`, {
    hint: 'give it what createServer() of net, tls, http, https or http2 returns',
  })
}

function remember(socket: FaithSocket): void {
  const { destination } = socket
  const ends = endsOf(socket)
  given.set(ends, destination)
  whenDestroyed(socket, () => {
    // The client may have dialled again from the same port in the meantime.
    if (given.get(ends) === destination) given.delete(ends)
  })
}

function endsOf({ localAddress, localPort, remoteAddress, remotePort }: FaithEnds): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`
}
