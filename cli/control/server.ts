/**
 * The server of the control socket.
 *
 * Only programs that may open the socket reach it, and a broken one must not harm the relay all the same. So each
 * connection has little time for its request, a request has little room, and an answer is made piece by piece, as fast
 * as its reader takes it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { FaithError } from '../../lib/errors.js'
import type { Logger } from '../log.js'
import { Chunks } from './chunks.js'
import { ProblemError, problemOf } from './problem.js'
import type { Context, Route } from './route.js'
import { type Place, takePath } from './socket.js'

const MOST_CONNECTIONS = 64
const MOST_HEADER_BYTES = 8192
/** A client has this long to send a request, and to take a piece of the answer. */
const PATIENCE_MS = 10_000
const HEADERS_MS = 5000
/** Requests that may wait on one connection for the answers to earlier ones. */
const MOST_WAITING = 8
/** The part of a request that its line of the log shows. */
const MOST_LOGGED = 500

/** The parts that are loaded when the first request comes, because they take time that a start has not. */
export interface Parts {
  routes: readonly Route[]
  find(
    routes: readonly Route[],
    method: string,
    path: string,
  ): { route: Route; at: Record<string, string> }
  readQuery(shape: NonNullable<Route['query']>, given: URLSearchParams): Record<string, unknown>
  readBody(schema: NonNullable<Route['body']>, text: string): unknown
  MOST_BODY_BYTES: number
}

/** A server that listens. */
export class ControlServer {
  /** Open connections, and those that were turned away because too many were open. */
  readonly counts = { connections: 0, refused: 0 }
  readonly #server: Server
  readonly #context: Context
  readonly #load: () => Promise<Parts>
  readonly #log: Logger
  #removeRest: () => Promise<void> = () => Promise.resolve()
  /** The answers under way and those that wait, by their connections. */
  readonly #queues = new WeakMap<Socket, { last: Promise<void>; length: number }>()

  private constructor(context: Context, load: () => Promise<Parts>, log: Logger) {
    this.#context = context
    this.#load = load
    this.#log = log
    this.#server = createServer(
      {
        maxHeaderSize: MOST_HEADER_BYTES,
        headersTimeout: HEADERS_MS,
        requestTimeout: PATIENCE_MS,
        keepAliveTimeout: HEADERS_MS,
        connectionsCheckingInterval: 1000,
      },
      (request, response) => this.#queue(request, response),
    )
    this.#server.maxConnections = MOST_CONNECTIONS
    this.#server.setTimeout(PATIENCE_MS)
    this.#server.on('connection', (socket) => {
      this.counts.connections += 1
      socket.on('close', () => (this.counts.connections -= 1))
    })
    this.#server.on('drop', () => this.#turnAway())
    this.#server.on('clientError', refuse)
    this.#server.unref()
  }

  /**
   * Listens at a path.
   *
   * @param load - gives the parts for the first request
   * @throws ExitError that says what is in the way
   */
  static async listen(
    place: Place,
    context: Context,
    load: () => Promise<Parts>,
    log: Logger,
  ): Promise<ControlServer> {
    const control = new ControlServer(context, load, log)
    control.#removeRest = await takePath(control.#server, place)
    // At a limit of descriptors accept(2) fails. The client tries again, and the relays report the limit.
    control.#server.on('error', () => {})
    return control
  }

  /** Takes no more requests, cuts off those that are under way, and removes the socket. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
    await this.#removeRest()
  }

  #turnAway(): void {
    this.counts.refused += 1
    if (this.counts.refused > 1) return
    this.#log.warn(
      `more than ${MOST_CONNECTIONS} connections to the control socket at once; further ones are closed`,
    )
  }

  /** Answers the requests of a connection one after the other, so that one that does not read takes little memory. */
  #queue(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const queue = this.#queues.get(socket) ?? { last: Promise.resolve(), length: 0 }
    this.#queues.set(socket, queue)
    if (queue.length >= MOST_WAITING) return void socket.destroy()
    queue.length += 1
    const closed = new Promise<void>((resolve) => response.on('close', resolve))
    const before = queue.last
    queue.last = (async () => {
      await before
      if (!response.destroyed) await this.#answer(request, response)
      await closed
      queue.length -= 1
    })()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    // An aborted request is an error of its stream too, and has no client to answer.
    request.on('error', () => {})
    response.on('error', () => {})
    let change: string | undefined
    let body = ''
    try {
      const parts = await this.#load()
      const [path = '', query = ''] = targetOf(request)
      const { route, at } = parts.find(parts.routes, request.method ?? '', path)
      if (route.method !== 'GET') change = `${route.method} ${request.url}`
      const asked = parts.readQuery(route.query ?? {}, new URLSearchParams(query))
      if (route.body !== undefined) body = await bodyOf(request, parts.MOST_BODY_BYTES)
      const value = route.body === undefined ? undefined : parts.readBody(route.body, body)
      request.resume()
      // The work may take longer than a client may: a reload, or the end of an interface.
      request.socket.setTimeout(0)
      const exact = { at, query: asked as never, body: value as never, signal: gone.signal }
      const answer = await route.work(this.#context, exact)
      if (change !== undefined) this.#tell(change, body)
      await send(response, route, answer)
    } catch (error) {
      if (gone.signal.aborted) return
      const problem = problemOf(error)
      if (problem.status === 500) this.#log.error(`control: ${detailOf(error)}`)
      if (change !== undefined) this.#tell(change, body, problem)
      refuseRequest(request, response, problem)
    }
  }

  /** Logs a request that changes something, because Node cannot tell the process at the other end. */
  #tell(change: string, body: string, problem?: ProblemError): void {
    const text = printable(`${change} ${body}`)
    const shown = text.length > MOST_LOGGED ? `${text.slice(0, MOST_LOGGED)}…` : text
    const result = problem === undefined ? '' : `: refused: ${printable(problem.message)}`
    this.#log.info({ request: shown }, `control: ${shown}${result}`)
  }
}

/** Gives a text that a client chose as a part of one line. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trimEnd()
}

/** Gives the path and the query of a request. A client that talks to a proxy names the server too. */
function targetOf({ url = '' }: IncomingMessage): string[] {
  const target = url.replace(/^https?:\/\/[^/?]*/i, '')
  const mark = target.indexOf('?')
  return mark < 0 ? [target] : [target.slice(0, mark), target.slice(mark + 1)]
}

/** Reads the body of a request. */
async function bodyOf(request: IncomingMessage, most: number): Promise<string> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > most) throw new ProblemError(413, `the body has more than ${most} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

async function send(response: ServerResponse, route: Route, answer: unknown): Promise<void> {
  const { status = 200, type = 'application/json' } = route
  if (answer instanceof Chunks) return await stream(response, status, type, answer.texts)
  giveTime(response)
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (answer === undefined) return void response.writeHead(status).end()
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer)
  response.setHeader('Content-Type', type)
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.writeHead(status).end(text)
}

/** Sends an answer in pieces. An error of the first piece is thrown, and one of a later piece cuts the answer off. */
async function stream(
  response: ServerResponse,
  status: number,
  type: string,
  texts: AsyncIterator<string>,
): Promise<void> {
  const first = await texts.next()
  try {
    response.writeHead(status, { 'Content-Type': type, 'X-Content-Type-Options': 'nosniff' })
    response.flushHeaders()
    for (let piece = first; piece.done !== true; piece = await texts.next()) {
      if (response.destroyed) return
      if (piece.value !== '' && !response.write(piece.value)) await drained(response)
    }
    giveTime(response)
    response.end()
  } catch {
    response.destroy()
  } finally {
    await texts.return?.()
  }
}

/** Waits until the reader has taken what was written, for as long as it may take. */
async function drained(response: ServerResponse): Promise<void> {
  giveTime(response)
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
  response.socket?.setTimeout(0)
}

function giveTime(response: ServerResponse): void {
  response.socket?.setTimeout(PATIENCE_MS)
}

function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  problem: ProblemError,
): void {
  if (response.headersSent) return void response.destroy()
  giveTime(response)
  // The rest of a request that is refused is not read, so the connection cannot have another one.
  if (!request.complete) response.setHeader('Connection', 'close')
  for (const [name, value] of Object.entries(problem.headers)) response.setHeader(name, value)
  const text = JSON.stringify(problem.body)
  response.setHeader('Content-Length', Buffer.byteLength(text))
  response.writeHead(problem.status, { 'Content-Type': 'application/problem+json' }).end(text)
}

/** Answers what is no request of HTTP. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const problem = malformed(error.code)
  const text = JSON.stringify(problem.body)
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.body.title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
  // A client that neither reads nor closes is cut off.
  socket.setTimeout(1000, () => socket.destroy())
}

function malformed(code: string | undefined): ProblemError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new ProblemError(431, `the head of a request has ${MOST_HEADER_BYTES} bytes at most`)
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new ProblemError(413, 'the chunk extensions of the body are too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ProblemError(408, `a request has ${PATIENCE_MS / 1000} seconds to arrive`)
    default:
      return new ProblemError(400, 'this is no request of HTTP/1.1')
  }
}

function detailOf(error: unknown): string {
  if (error instanceof FaithError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
