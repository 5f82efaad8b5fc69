/**
 * Captured connections for servers that Node, or somebody else, has written.
 *
 * Theory of operation: a server that listens gets each connection as its own `connection` event, and does not mind
 * who emits it. What a server would have done to the socket before that is done here, as the server's own settings
 * say. A TLS server puts a socket of its own around the captured one and tells nobody which; both have the same ends,
 * though, and by these {@link destinationOf} finds the one from the other.
 *
 * Servers from npm are mostly made around one of Node's, and their own `connection` event, if they have any, tells of
 * something else. Either they have a method that takes a socket (ssh2), or the server inside is theirs to show.
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
 * A server that takes connections by its `connection` event, as those of `net`, `tls`, `http`, `https` and `http2`.
 *
 * @group Listener and sockets
 */
export interface FaithConnectionServer {
  /** Emits `connection`. */
  emit(event: 'connection', socket: FaithSocket): boolean
}

/**
 * A server that takes connections by a method, as ssh2's, whose `connection` event means something else.
 *
 * @group Listener and sockets
 */
export interface FaithInjectionServer {
  /** Takes a connection. */
  injectSocket(socket: FaithSocket): unknown
}

/**
 * A server around one of Node's, which takes the connections for it, as smtp-server's.
 *
 * @group Listener and sockets
 */
export interface FaithWrappingServer {
  /** The server inside. */
  readonly server: Server
}

/**
 * A server that {@link FaithListener.attach} can give connections to.
 *
 * @group Listener and sockets
 */
export type FaithServer = FaithConnectionServer | FaithInjectionServer | FaithWrappingServer

/**
 * A server that gets the connections of a listener, for as long as it is not detached.
 *
 * @group Listener and sockets
 */
export interface FaithAttachment extends Disposable {
  /**
   * Gives it no more connections: they wait in the listener until they are taken otherwise. The server keeps those it has.
   * Once they have ended, and unless it listens or is attached elsewhere, it is a server that is not running.
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
 * The ends of a connection, as sockets have them, and as some servers tell them in place of the socket.
 *
 * @group Listener and sockets
 */
export type FaithEnds = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>

/** The open sockets that were given to servers, by their ends. */
const given = new Map<string, FaithSocketDestination>()

/**
 * What the client of a connection wanted to reach, for the socket that an attached server has: the captured one
 * itself, or the TLS socket around it. Where a server tells nothing but addresses, as the session of smtp-server does,
 * that will do. `undefined` for a connection that no listener has captured, and, unless asked by the captured socket
 * itself, for one that is closed: a log that is written then has to have asked before.
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

/** @internal A server that connections are given to, and how it wants them. */
export interface Taking {
  /** Prepares the server for connections, until what this returns is called. */
  begin(): () => void
  /** Tells if it takes another connection; tells the server of one that it does not take. */
  admits(connection: NativeConnection): boolean
  /** How its sockets are made, by a listener with options of its own. */
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

/** @internal How a server takes connections; throws where it cannot take any. */
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

/** As Node asks of what it accepts: there is no more than `maxConnections`, and the client is not on the block list. */
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

/** The server that takes the connections: inside of what was given, or that itself. */
function innermost(server: unknown): unknown {
  const { injectSocket, server: inside } = propertiesOf(server)
  const itself = server instanceof Server || typeof injectSocket === 'function'
  return !itself && inside instanceof Server ? inside : server
}

function takerOf(server: unknown): (socket: FaithSocket) => void {
  const { emit, injectSocket } = propertiesOf(server)
  // First, as a server that has it emits `connection` too, with something of its own.
  if (typeof injectSocket === 'function') return (socket) => injectSocket.call(server, socket)
  if (typeof emit !== 'function') throw refusal(`\`server\` must be a server, got ${show(server)}`)
  if (isDeaf(server)) throw refusal('nothing listens to the `connection` event of `server`')
  return (socket) => emit.call(server, 'connection', socket)
}

/** Whether clients would be connected, and wait for ever, because what is emitted is lost. */
function isDeaf(server: unknown): boolean {
  // Node's own may be told later who listens.
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
