/** Servers of Node's own, as the driver attaches them to listeners. */
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

/** What a server tells its clients. */
export interface Answer {
  server: string
  /** What was dialled, by what the server has for a socket. */
  destination?: FaithSocketDestination
  /** Whether that socket is Node's, and not the one that was captured. */
  wrapped: boolean
  /** What came before the client ended, where the server waits for that. */
  heard?: string
}

/** A server that is none of Node's, and takes connections by a method. */
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

/** Answers when the client has ended, which only a half-open socket can. */
function answerAtEnd(server: string, socket: net.Socket): void {
  let heard = ''
  socket.on('error', () => undefined)
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text))
  socket.on('end', () => {
    // One that is not half-open is ended when whoever listens to this event has been told.
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

/** The servers there are. */
export type Kind = keyof typeof kinds

const attachments = new Map<number, FaithAttachment>()

/** What has attached the last server to a listener. */
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

  /** Attaches what is no server. */
  attachWrongly(listener: number, server: unknown): void {
    recall(listener, FaithListener).attach(server as FaithServer)
  },

  detach: (listener: number): void => attachmentOf(listener).detach(),

  /** The ports that were dialled, of those connections that a server has now, by their ends. */
  destinationsOf: (connections: FaithEnds[]): number[] =>
    connections.flatMap((ends) => destinationOf(ends)?.port ?? []),

  /** Lets a server listen on an address of its own too. */
  async listenItself(server: number, port: number, address = '::1'): Promise<void> {
    const listening = recall(server, net.Server).listen(port, address)
    await once(listening, 'listening')
  },

  /** Closes a server that listens; waits for the end of what it has accepted itself. */
  async closeServer(server: number): Promise<void> {
    const closing = recall(server, net.Server).close()
    await once(closing, 'close')
  },
}
