/**
 * Names that the program answers by itself.
 *
 * Theory of operation: the addon asks, many queries to a call, each by its number. Each query gets exactly one answer: the
 * one of `resolve`, or `null` if there is none, which gives the client SERVFAIL. The addon has the same time limit, so
 * a busy event loop leaves no client waiting. The limit here is there to report a slow `resolve` to the program.
 */
import { isIP } from 'node:net'
import { FaithError } from './errors.js'
import { unwrap } from './failure.js'
import type { NativeAnswer, NativeDns64, NativeQuery } from './native.js'
import { isArray, type OptionNames, OptionReader, show } from './option-reader.js'
import { Asked, withinLimit } from './within.js'

/**
 * A DNS query that a {@link FaithResolve} answers.
 *
 * @group DNS64
 */
export interface FaithDnsQuery {
  /** The name in lower case, without the dot at its end: `db.example.internal`. */
  name: string
  /** The type of the records: `A`, `AAAA`, `HTTPS` or another name of IANA's registry; `TYPE65280` for a type without one. */
  type: string
  /** The client's IPv6 or IPv4 address. */
  client: string
  /**
   * A signal that is aborted when the answer is no longer needed: `resolveTimeoutMs` is over, or the server closes. Its
   * `reason` is an error that says which. It is not aborted after the answer.
   */
  readonly signal: AbortSignal
}

/**
 * The addresses of a name, with the time for which clients may keep them.
 *
 * @group DNS64
 */
export interface FaithDnsAddresses {
  /** At most 256 IPv4 and IPv6 addresses, without zones. */
  addresses: readonly string[]
  /** Seconds for which clients may keep the answer, 0 to 2147483647. Default 60. */
  ttl?: number
}

/**
 * An answer of a {@link FaithResolve}.
 *
 * | answer | the client gets |
 * |---|---|
 * | `undefined` | the answer of the upstreams, as without `resolve` |
 * | addresses | the addresses of the type that it asks for. IPv6 addresses pass as they are. A name that has IPv4 addresses alone gets AAAA records inside the prefixes, by the rules for other names. Without one, and for other types, the client learns that the name has no such record |
 * | `null` or `'NXDOMAIN'` | the answer that the name does not exist, which it may keep for 60 seconds |
 * | `'REFUSED'` | a refusal; most clients then ask their next resolver |
 *
 * @group DNS64
 */
export type FaithDnsAnswer = readonly string[] | FaithDnsAddresses | 'NXDOMAIN' | 'REFUSED' | null

/**
 * Answers DNS queries. Gives all addresses of a name, whatever type the client asks for: the server chooses those that
 * fit.
 *
 * The server asks many questions side by side, without waiting for earlier ones, and keeps no answer. If the function
 * throws, rejects, gives no answer within `resolveTimeoutMs` or gives an invalid one, the client gets SERVFAIL, and the
 * server reports the failure; see the `error` event of {@link FaithDns64Events}.
 *
 * @group DNS64
 */
export type FaithResolve = (
  query: FaithDnsQuery,
) => FaithDnsAnswer | undefined | Promise<FaithDnsAnswer | undefined>

const ADDRESSES: OptionNames<FaithDnsAddresses> = { addresses: true, ttl: true }
const MOST_ADDRESSES = 256
const TTL = { min: 0, max: 2_147_483_647 }
const USUAL_TTL = 60

/** @internal The function and its limits. */
export interface Resolving {
  resolve: FaithResolve
  timeoutMs: number
}

/** @internal Puts the queries of one server to its function, and passes the answers on. */
export class NameAnswers {
  readonly #resolving: Resolving
  readonly #report: (error: FaithError) => void
  readonly #open = new Map<number, Query>()
  readonly #server: Pick<NativeDns64, 'answer'>
  #closed = false

  constructor(
    resolving: Resolving,
    server: Pick<NativeDns64, 'answer'>,
    report: (error: FaithError) => void,
  ) {
    this.#resolving = resolving
    this.#server = server
    this.#report = report
  }

  /** Puts each query to the function. Returns at once and never throws. */
  ask(queries: readonly NativeQuery[]): void {
    if (this.#closed) return
    for (const query of queries) void this.#settle(query.id, new Query(query))
  }

  /** Drops all queries, present and future. */
  close(): void {
    this.#closed = true
    for (const query of this.#open.values()) {
      Asked.abort(query, new Error('the DNS server is closed'))
    }
    this.#open.clear()
  }

  async #settle(id: number, query: Query): Promise<void> {
    this.#open.set(id, query)
    try {
      const answer = await withinLimit(this.#resolving.timeoutMs, query, () => this.#decide(query))
      if (this.#open.has(id)) unwrap(this.#server.answer(id, answer))
    } catch (cause) {
      if (!this.#open.has(id)) return
      this.#server.answer(id, null)
      this.#report(resolveError(query, cause))
    } finally {
      this.#open.delete(id)
    }
  }

  async #decide(query: Query): Promise<NativeAnswer> {
    // Calls it without a receiver, so that the settings are not its `this`.
    const { resolve } = this.#resolving
    return readAnswer(await resolve(query))
  }
}

/** A query that waits for its answer. */
class Query extends Asked implements FaithDnsQuery {
  readonly name: string
  readonly type: string
  readonly client: string

  constructor({ name, type, client }: NativeQuery) {
    super()
    this.name = name
    this.type = type
    this.client = client
  }
}

/** @internal Checks an answer, and gives it the addon's shape. */
export function readAnswer(answer: unknown): NativeAnswer {
  if (answer === undefined) return { ttl: USUAL_TTL }
  if (answer === null || answer === 'NXDOMAIN') return { absent: true, ttl: USUAL_TTL }
  if (answer === 'REFUSED') return { refused: true, ttl: USUAL_TTL }
  if (typeof answer !== 'object') {
    const message = `the answer must be addresses, 'NXDOMAIN', 'REFUSED', null or undefined, got ${show(answer)}`
    throw new FaithError('ERR_FAITH_ARGUMENT', message)
  }
  const given = isArray(answer) ? { addresses: answer } : answer
  const read = new OptionReader('the answer', ADDRESSES, given)
  if (read.unchecked('addresses') === undefined) {
    throw read.refuse('addresses', 'an array', undefined)
  }
  const addresses = read.strings('addresses', [])
  const wrong = addresses.find((address) => isIP(address) === 0 || address.includes('%'))
  if (wrong !== undefined) throw read.refuse('addresses', 'IP addresses without zones', wrong)
  if (addresses.length > MOST_ADDRESSES) {
    throw read.refuse('addresses', `at most ${MOST_ADDRESSES} addresses`, addresses.length)
  }
  return { addresses, ttl: read.integer('ttl', TTL, USUAL_TTL) }
}

function resolveError({ name, type, client }: Query, cause: unknown): FaithError {
  const why = cause instanceof Error ? cause.message : `${show(cause)} was thrown`
  return new FaithError(
    'ERR_FAITH_RESOLVE',
    `resolve: no answer to ${client} about ${name} ${type}: ${why}`,
    {
      hint: cause instanceof FaithError ? cause.hint : undefined,
      cause,
    },
  )
}
