/** Talks to the daemon: HTTP and JSON over its control socket. */
import { Agent, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import type { Problem } from '../control/schemas.js'
import { Exit, ExitError } from '../exit.js'
import { unreachable } from './unreachable.js'

/** Time for an answer to begin. A daemon that is busy with 20,000 sessions needs less than one second. */
const PATIENCE_MS = 10_000

export type Query = Readonly<Record<string, string | number | undefined>>

/** An answer of the daemon, as it came and as it was read. */
export interface Answer<T> {
  text: string
  body: T
}

/** An error that the daemon answered. */
export class ProblemError extends ExitError {
  override readonly name = 'ProblemError'
  readonly status: number

  constructor(status: number, { detail, hint, code }: Partial<Problem>) {
    const message = detail ?? `the daemon answered with status ${status}`
    super(exitCodeOf(status, code), hint === undefined ? message : `${message}; ${hint}`)
    this.status = status
  }
}

/** The daemon behind a control socket. */
export class Daemon {
  readonly path: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 })
  readonly #patienceMs: number

  /** @param patienceMs - time for an answer to begin */
  constructor(path: string, patienceMs = PATIENCE_MS) {
    this.path = path
    this.#patienceMs = patienceMs
  }

  async get<T>(path: string, query: Query = {}): Promise<Answer<T>> {
    return await this.#ask('GET', path + queryText(query))
  }

  async put<T>(path: string, body: object): Promise<Answer<T>> {
    return await this.#ask('PUT', path, body)
  }

  async post<T>(path: string, body?: object): Promise<Answer<T>> {
    return await this.#ask('POST', path, body)
  }

  async delete<T>(path: string, query: Query = {}): Promise<Answer<T>> {
    return await this.#ask('DELETE', path + queryText(query))
  }

  /** Gives the lines of an answer as they come, until the daemon ends it. */
  async *lines(path: string): AsyncGenerator<string> {
    const response = await this.#begin('GET', path)
    await requireSuccess(response)
    try {
      for await (const line of createInterface({ input: response })) if (line !== '') yield line
    } catch (error) {
      throw unreachable(error, this.path)
    }
  }

  /** Closes the connections that wait for a further question. */
  close(): void {
    this.#agent.destroy()
  }

  async #ask<T>(method: string, path: string, body?: object): Promise<Answer<T>> {
    const response = await this.#begin(method, path, body)
    await requireSuccess(response)
    const text = await textOf(response).catch((error: unknown) => {
      throw unreachable(error, this.path)
    })
    try {
      return { text, body: (text === '' ? undefined : JSON.parse(text)) as T }
    } catch {
      throw new ExitError(Exit.software, `the daemon's answer to ${method} ${path} is not JSON`)
    }
  }

  #begin(method: string, path: string, body?: object): Promise<IncomingMessage> {
    const text = body === undefined ? '' : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const headers = {
        host: 'faithd',
        accept: 'application/json, application/x-ndjson, application/problem+json',
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      }
      const asked = request(
        {
          socketPath: this.path,
          agent: this.#agent,
          method,
          path,
          headers,
          timeout: this.#patienceMs,
        },
        (response) => {
          // A stream of events may be silent for hours.
          response.socket.setTimeout(0)
          resolve(response)
        },
      )
      asked.on('timeout', () =>
        asked.destroy(
          new ExitError(
            Exit.unavailable,
            `the daemon at ${this.path} accepted the connection, and did not answer within ` +
              `${this.#patienceMs / 1000} s`,
          ),
        ),
      )
      asked.on('error', (error) => reject(unreachable(error, this.path)))
      asked.end(text)
    })
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8')
  let text = ''
  for await (const part of response) text += part
  return text
}

async function requireSuccess(response: IncomingMessage): Promise<void> {
  const { statusCode = 0 } = response
  if (statusCode >= 200 && statusCode < 300) return
  const text = await textOf(response).catch(() => '')
  throw new ProblemError(statusCode, problemOf(text))
}

function problemOf(text: string): Partial<Problem> {
  try {
    return JSON.parse(text) as Problem
  } catch {
    return {}
  }
}

function exitCodeOf(status: number, code: string | undefined): number {
  if (code === 'EPERM' || code === 'EACCES' || status === 403) return Exit.permission
  if (status === 409) return Exit.config
  if (status === 404 || status === 503) return Exit.unavailable
  return status < 500 ? Exit.usage : Exit.software
}

function queryText(query: Query): string {
  const given = Object.entries(query).filter(
    (entry): entry is [string, string | number] => entry[1] !== undefined,
  )
  const text = new URLSearchParams(
    given.map(([name, value]): [string, string] => [name, String(value)]),
  ).toString()
  return text === '' ? '' : `?${text}`
}
