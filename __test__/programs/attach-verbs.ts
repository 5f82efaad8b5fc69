/** Node's own servers, as the driver attaches them to listeners. */
import { EventEmitter, once } from 'node:events'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import * as net from 'node:net'
import * as tls from 'node:tls'
import {
  destinationOf,
  FaithListener,
  type FaithAttachment,
  type FaithEnds,
  type FaithServer,
  type FaithSocketDestination,
} from '../../index.js'
import { keep, recall } from './kept.js'

/** A key and its certificate. */
export interface Identity {
  key: string
  cert: string
}

/** The answer of a server to its client. */
export interface Answer {
  server: string
  /** The dialled address, as read from the server's socket. */
  destination?: FaithSocketDestination
  /** True if that socket is Node's, and not the captured one. */
  wrapped: boolean
  /** The client's text before its end, if the server waits for the end. */
  heard?: string
}

/** A server that is not Node's own, and takes connections by a method. */
class Injected extends EventEmitter {
  injectSocket(socket: net.Socket): void {
    answerAtOnce('injected', socket)
  }
}

function answer(server: string, socket: net.Socket, more: Partial<Answer> = {}): string {
  const destination = destinationOf(socket)
  const wrapped = !('destination' in socket)
  return `${JSON.stringify({ server, ...(destination && { destination }), wrapped, ...more })}\n`
}

function answerAtOnce(server: string, socket: net.Socket): void {
  socket.on('error', () => undefined)
  socket.resume().end(answer(server, socket))
}

/** Answers once the client has ended, which only a half-open socket can do. */
function answerAtEnd(server: string, socket: net.Socket): void {
  let heard = ''
  socket.on('error', () => undefined)
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text))
  socket.on('end', () => {
    // Waits a turn: without half-open, Node ends the socket after the listeners of this event have run.
    setImmediate(() => {
      if (socket.writable) socket.end(answer(server, socket, { heard }))
    })
  })
}

const kinds = {
  http: () =>
    http.createServer((request, response) => {
      response.end(answer('http', request.socket))
    }),
  https: (identity: Identity) =>
    https.createServer(identity, (request, response) => {
      response.end(answer('https', request.socket))
    }),
  h2c: () =>
    http2.createServer((request, response) => {
      response.end(answer('h2c', request.socket))
    }),
  h2: (identity: Identity) =>
    http2.createSecureServer(identity, (request, response) => {
      response.end(answer('h2', request.socket))
    }),
  tls: (identity: Identity) => tls.createServer(identity, (socket) => answerAtOnce('tls', socket)),
  net: () => net.createServer((socket) => answerAtOnce('net', socket)),
  'half-open net': () =>
    net.createServer({ allowHalfOpen: true }, (socket) => answerAtEnd('half-open net', socket)),
  'full-close net': () => net.createServer((socket) => answerAtEnd('full-close net', socket)),
  injected: () => new Injected(),
} satisfies Record<string, (identity: Identity) => FaithServer & EventEmitter>

/** The kinds of servers. */
export type Kind = keyof typeof kinds

const attachments = new Map<number, FaithAttachment>()

/** The attachment of the last server that was attached to a listener. */
export function attachmentOf(listener: number): FaithAttachment {
  const attachment = attachments.get(listener)
  if (attachment === undefined) throw new Error(`${listener} never had a server`)
  return attachment
}

export const attachVerbs = {
  /** Makes a server. */
  makeServer(kind: Kind, identity: Identity): number {
    return keep(kinds[kind](identity))
  },

  attach(listener: number, server: number): void {
    const attachable = recall(server, EventEmitter) as EventEmitter & FaithServer
    attachments.set(listener, recall(listener, FaithListener).attach(attachable))
  },

  /** Attaches an object that is not a server. */
  attachWrongly(listener: number, server: unknown): void {
    recall(listener, FaithListener).attach(server as FaithServer)
  },

  detach: (listener: number): void => attachmentOf(listener).detach(),

  /** The ports dialled by the current connections of a server, looked up by their ends. */
  destinationsOf: (connections: FaithEnds[]): number[] =>
    connections.flatMap((ends) => destinationOf(ends)?.port ?? []),

  /** Lets a server listen on its own address, too. */
  async listenItself(server: number, port: number, address = '::1'): Promise<void> {
    const listening = recall(server, net.Server).listen(port, address)
    await once(listening, 'listening')
  },

  /** Closes a server that listens; waits for the end of the connections it accepted itself. */
  async closeServer(server: number): Promise<void> {
    const closing = recall(server, net.Server).close()
    await once(closing, 'close')
  },
}
