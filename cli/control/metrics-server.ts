/**
 * Serves the metrics over HTTP on an address of its own, for Prometheus. It is public to everything that reaches the
 * address, so it answers `GET` alone, takes few connections, and gives each little time.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Exit, ExitError } from '../exit.js'
import type { Address } from '../kinds.js'
import { METRICS_TYPE } from './metrics.js'

const MOST_CONNECTIONS = 32
const MOST_HEADER_BYTES = 8192
const PATIENCE_MS = 5000

const PAGE = '<!doctype html><title>faithd</title><p><a href="/metrics">Metrics</a></p>\n'

/** A server of metrics. */
export class MetricsServer implements AsyncDisposable {
  readonly #server: Server
  #text: (() => string | Promise<string>) | undefined

  private constructor(patienceMs: number) {
    this.#server = createServer(
      {
        maxHeaderSize: MOST_HEADER_BYTES,
        headersTimeout: patienceMs,
        requestTimeout: patienceMs,
        keepAliveTimeout: patienceMs,
        connectionsCheckingInterval: patienceMs / 5,
      },
      (request, response) => void this.#answer(request, response),
    )
    // At a limit of descriptors accept(2) fails. The client tries again, and the relays report the limit.
    this.#server.on('error', () => {})
    this.#server.maxConnections = MOST_CONNECTIONS
    this.#server.setTimeout(patienceMs)
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /**
   * Listens on an address; port 0 is one that the kernel chooses. Requests before `answerBy` get 503.
   *
   * @param patienceMs - a client has this long to send its request, to take the answer, and to send another request
   * @throws ExitError if the host lacks the address, or another program has the port
   */
  static async listen({ host, port }: Address, patienceMs = PATIENCE_MS): Promise<MetricsServer> {
    const metrics = new MetricsServer(patienceMs)
    await new Promise<void>((resolve, reject) => {
      const refuse = ({ message }: Error): void =>
        reject(new ExitError(Exit.config, `cannot serve the metrics: ${message}`))
      metrics.#server.once('error', refuse)
      metrics.#server.listen(port, host, () => {
        metrics.#server.off('error', refuse)
        resolve()
      })
    })
    return metrics
  }

  /** Sets the text of the metrics, which is made for each request. */
  answerBy(text: () => string | Promise<string>): void {
    this.#text = text
  }

  /** Takes no more requests, and cuts off those that are under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('X-Content-Type-Options', 'nosniff')
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      response.setHeader('Connection', 'close')
      return plain(response, 405, 'This server answers GET alone.\n')
    }
    const [path] = (url ?? '').split('?')
    if (path === '/') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      return void response.end(PAGE)
    }
    if (path !== '/metrics') return plain(response, 404, 'The metrics are at /metrics.\n')
    if (this.#text === undefined) return plain(response, 503, 'faithd is starting.\n')
    try {
      const text = await this.#text()
      response.setHeader('Content-Type', METRICS_TYPE)
      response.end(text)
    } catch {
      plain(response, 503, 'faithd is ending.\n')
    }
  }
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text)
}
