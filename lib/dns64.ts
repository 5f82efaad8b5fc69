/** A DNS server that gives clients addresses in the prefixes, for names that have IPv4 addresses only (RFC 6147). */
import { EventEmitter } from 'node:events'
import { openUntil } from './abort.js'
import { ClientErrors } from './client-errors.js'
import {
  type FaithDns64Certificate,
  type FaithDns64Options,
  type FaithDns64Settings,
  readDns64Certificate,
  readDns64Options,
  readDns64Settings,
  type Synthesis,
} from './dns64-options.js'
import { Early } from './early.js'
import type { FaithEndpoint } from './endpoint.js'
import { closedError, type FaithError, INSIDE, requireInside } from './errors.js'
import { unwrap } from './failure.js'
import {
  type NativeDns64,
  type NativeDns64Fault,
  type NativeQuery,
  type NativeRelay,
  native,
} from './native.js'
import { NameAnswers } from './resolve.js'

/**
 * Statistics of a {@link FaithDns64} since it was opened. Each is a count.
 *
 * @group DNS64
 */
export interface FaithDns64Stats {
  /** Queries over UDP. */
  udpQueries: number
  /** Queries over TCP. */
  tcpQueries: number
  /** Queries over TLS. */
  tlsQueries: number
  /** Messages that were dropped because they are no queries. */
  dropped: number
  /** Queries that were answered with FORMERR, NOTIMP or BADVERS, or with REFUSED for their type or class. */
  rejected: number
  /** Queries of clients outside the networks that get answers. */
  refused: number
  /** Queries over the rate of a client: not answered, or told to come over TCP. */
  rateLimited: number
  /** Queries that were refused because too many waited for an upstream, and connections beyond their limit. */
  overloaded: number
  /** Responses whose records were synthesised. */
  synthesised: number
  /** AAAA records that were not made, because the access list of no relay would let the client connect. */
  denied: number
  /**
   * AAAA records that were not made, because a prefix has no address for the server: a special-use IPv4 address in 64:ff9b::/96,
   * or one whose address in the prefix means another server by `mappings`.
   */
  unusable: number
  /** Responses made without an upstream: those about ipv4only.arpa. */
  local: number
  /** Responses that `resolve` gave. */
  own: number
  /** Queries that `resolve` failed to answer; their clients got SERVFAIL. */
  ownFailures: number
  /** Responses out of the cache. */
  cached: number
  /** Responses that left the cache before their time, because it was full. Many of them ask for a larger `cacheBytes`. */
  cacheEvictions: number
  /** Responses that did not fit into a datagram: their clients come again over TCP. */
  truncated: number
  /** Queries to upstreams. */
  upstreamQueries: number
  /** Queries that no upstream answered. */
  upstreamFailures: number
  /** Queries that an upstream put back to this server. Their clients got SERVFAIL, unless another upstream answered. */
  loops: number
}

/**
 * The condition of an upstream.
 *
 * | condition | meaning |
 * |---|---|
 * | `good` | nothing is known to be wrong |
 * | `failing` | it cannot be asked, or does not answer |
 * | `loop` | it asked the server what the server asked it, and has given no other answer since |
 * | `own` | it is the server itself, so it is not asked |
 *
 * @group DNS64
 */
export type FaithDns64Condition = 'good' | 'failing' | 'loop' | 'own'

/**
 * An upstream of a {@link FaithDns64} at one moment. The counts begin when the upstream is named.
 *
 * @group DNS64
 */
export interface FaithDns64Upstream {
  /** Its address, as `192.0.2.53:53`, or its URL, with the port. */
  upstream: string
  /** Queries to it. Those that count neither below are under way, or another upstream answered sooner. */
  queries: number
  /** Queries that it answered, also with an error. */
  answered: number
  /** Queries to which it gave no response in time. */
  unanswered: number
  /** Queries that it put back to the server. */
  loops: number
  /** Its condition. */
  condition: FaithDns64Condition
  /** The reason, as "gives no response", while it is `failing`; `undefined` otherwise. */
  trouble: string | undefined
}

/**
 * A change in the state of an upstream.
 *
 * @group DNS64
 */
export interface FaithDns64UpstreamChange {
  /** Its address, as `192.0.2.53:53`, or its URL, with the port. */
  upstream: string
  /** The reason why it cannot be asked, as "gives no response"; `undefined` if it answers again. */
  trouble: string | undefined
}

/**
 * A fault of a {@link FaithDns64} that its operator can mend.
 *
 * | code | meaning | told |
 * |---|---|---|
 * | `client-refused` | a client outside `clients`, or without `clients` outside the host's networks, gets no answers | for one client, until `clients` changes |
 * | `upstream-own` | an upstream is the server itself, so it is not asked | once for each |
 * | `upstream-loop` | an upstream asks the server what the server asks it | once for each |
 *
 * @group DNS64
 */
export interface FaithDns64Warning {
  /** The stable code, for programs. */
  code: 'client-refused' | 'upstream-own' | 'upstream-loop'
  /** The address of the client, as `2001:db8::1`, or of the upstream, as `[::1]:53` or its URL. */
  address: string
  /** A sentence for people. */
  message: string
}

/**
 * The events of a {@link FaithDns64}.
 *
 * @group DNS64
 */
export interface FaithDns64Events {
  /**
   * `resolve` gave no answer to a query, and the client got SERVFAIL: `ERR_FAITH_RESOLVE`, with the reason as its `cause`.
   * The server goes on. Unlike other `error` events, this one is not an exception without a handler, because one
   * client must not end the process. The first one is then a process warning, and `stats().ownFailures` counts all.
   */
  error: [error: FaithError]
  /**
   * An upstream cannot be asked, for another reason than before, or it answers again. One that is silent is tried with
   * queries of the server's own, and is told after two tries without a response.
   */
  upstream: [change: FaithDns64UpstreamChange]
  /** A fault that the operator can mend. */
  warning: [warning: FaithDns64Warning]
  /** The server is closed. */
  close: []
}

/** @internal The prefixes and relays that the server gives addresses for. */
export interface Dns64View {
  prefixes(): readonly string[]
  /** True if no other prefix may be named. */
  readonly refusesOthers: boolean
  relays(): readonly NativeRelay[]
}

/**
 * An open DNS server. It asks its upstreams, and answers a question for AAAA records of a name that has A records only
 * with their addresses inside the prefixes of the interface. No JavaScript runs for a query without `resolve`.
 *
 * It gives a client only addresses that the access list of a relay lets that client connect to, by some port. It does not
 * ask a `route`. While
 * keepfaith is off, or no relay takes connections, it gives none, and answers as its upstreams do. It answers about
 * ipv4only.arpa itself, by which clients find the prefixes (RFC 7050, RFC 8880).
 *
 * Without `clients` it answers the clients of networks that this host has an address in, and refuses all others. It does
 * not keep the process running.
 *
 * Source: RFC 6147.
 *
 * @example
 * ```ts
 * const dns64 = await faith.dns64({ listen: [{ address: '::1', port: 0 }] })
 * for (const { address, port } of dns64.addresses) console.log(`answers at ${address}, port ${port}`)
 * ```
 *
 * @group DNS64
 */
export class FaithDns64 extends EventEmitter<FaithDns64Events> implements AsyncDisposable {
  /** The addresses that the server answers at, with their ports. */
  readonly addresses: readonly FaithEndpoint[]
  /** The addresses that the server answers at over TLS; none without a certificate. */
  readonly tlsAddresses: readonly FaithEndpoint[]
  readonly #native: NativeDns64
  readonly #view: Dns64View
  readonly #released: (dns64: FaithDns64) => void
  readonly #clientErrors = new ClientErrors(this, 'DNS server')
  #answers: NameAnswers | undefined
  #synthesis: Synthesis
  #closing: Promise<void> | undefined

  private constructor(
    key: typeof INSIDE,
    opened: NativeDns64,
    view: Dns64View,
    synthesis: Synthesis,
    released: (dns64: FaithDns64) => void,
  ) {
    requireInside(key, 'FaithDns64', 'faith.dns64()')
    super()
    this.#native = opened
    this.#view = view
    this.#synthesis = synthesis
    this.#released = released
    this.addresses = opened.addresses().map(toEndpoint)
    this.tlsAddresses = opened.tlsAddresses().map(toEndpoint)
  }

  /** @internal */
  static async open(
    view: Dns64View,
    options: FaithDns64Options,
    released: (dns64: FaithDns64) => void,
  ): Promise<FaithDns64> {
    const { start, synthesis, resolving, signal } = readDns64Options(options)
    return await openUntil(signal, async () => {
      // Faults and queries may come before the object exists.
      const faults = new Early<NativeDns64Fault>()
      const queries = new Early<NativeQuery>()
      const opened = unwrap(await native.startDns64(start, faults.push, resolving && queries.push))
      const dns64 = new FaithDns64(INSIDE, opened, view, synthesis, released)
      try {
        dns64.#use(synthesis, view.refusesOthers)
      } catch (error) {
        await opened.close()
        throw error
      }
      setImmediate(() => faults.open((batch) => dns64.#warn(batch)))
      if (resolving) {
        const report = (error: FaithError) => dns64.#clientErrors.report(error)
        const answers = new NameAnswers(resolving, opened, report)
        dns64.#answers = answers
        setImmediate(() => queries.open((batch) => answers.ask(batch)))
      }
      return dns64
    })
  }

  /** @internal Gives addresses for the prefixes and relays as they are now. */
  follow(): void {
    if (this.#closing === undefined) this.#use(this.#synthesis, false)
  }

  #use(synthesis: Synthesis, known: boolean): void {
    const settings = { ...synthesis, prefixes: [...this.#view.prefixes()] }
    const refused = this.#native.follow(settings, [...this.#view.relays()], known)
    if (refused !== null) unwrap(refused)
    this.#synthesis = synthesis
  }

  /**
   * Gives the statistics since the server was opened. After the close they stay as they were.
   *
   * @example
   * ```ts
   * const dns64 = await faith.dns64()
   * const { synthesised, upstreamFailures } = dns64.stats()
   * console.log(`${synthesised} answers synthesised, ${upstreamFailures} queries without an answer`)
   * ```
   */
  stats(): FaithDns64Stats {
    return this.#native.stats()
  }

  /**
   * Gives the upstreams that are asked now, in their order. Those of /etc/resolv.conf are its servers as they were at the
   * last query. After the close they stay as they were.
   *
   * @example
   * ```ts
   * const dns64 = await faith.dns64()
   * for (const { upstream, condition, trouble } of dns64.upstreams()) {
   *   if (condition !== 'good') console.warn(`${upstream}: ${trouble ?? condition}`)
   * }
   * ```
   */
  upstreams(): FaithDns64Upstream[] {
    return this.#native.upstreams().map((one) => ({
      upstream: one.upstream,
      queries: one.queries,
      answered: one.answered,
      unanswered: one.unanswered,
      loops: one.loops,
      condition: one.condition as FaithDns64Condition,
      trouble: one.trouble,
    }))
  }

  /**
   * Changes settings. Queries that are under way keep theirs. If a setting is refused, none changes.
   *
   * The server makes addresses by the `mapping` and `mappings` of the relay that was opened first. After a
   * {@link FaithRelay.update} of these, call this, without settings too.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `ERR_FAITH_CLOSED` if the server is closed
   *
   * @example
   * ```ts
   * const dns64 = await faith.dns64({ clients: ['2001:db8:1::/64'] })
   * dns64.update({ exclude: ['2001:db8:bad::/48'] })
   * ```
   */
  update(settings: FaithDns64Settings = {}): void {
    if (this.#closing !== undefined) throw closedError('the DNS server', 'open another one')
    this.#use(readDns64Settings(this.#synthesis, settings), this.#view.refusesOthers)
  }

  /**
   * Answers with another certificate from now on, over TLS. Connections that are open keep theirs. A server that was opened
   * without a certificate goes on without.
   *
   * @throws {@link FaithError} `ERR_FAITH_ARGUMENT`; `ERR_FAITH_CLOSED` if the server is closed
   *
   * @example
   * ```ts
   * import { readFileSync, watchFile } from 'node:fs'
   *
   * await faith.relay({ ports: 'all' })
   * const dns64 = await faith.dns64() // and `tls` with the certificate of now
   * watchFile('/etc/faithd/dns.pem', ({ mtimeMs }) => {
   *   if (mtimeMs === 0) return // the file is gone
   *   const certificate = readFileSync('/etc/faithd/dns.pem', 'utf8')
   *   dns64.renew({ certificate, key: readFileSync('/etc/faithd/dns.key', 'utf8') })
   * })
   * ```
   */
  renew(certificate: FaithDns64Certificate): void {
    if (this.#closing !== undefined) throw closedError('the DNS server', 'open another one')
    const refused = this.#native.renew(readDns64Certificate(certificate))
    if (refused !== null) unwrap(refused)
  }

  /**
   * Reads the root certificates of this host again, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. New connections
   * to upstreams over TLS and HTTPS are trusted by them from now on, and open ones stay. Resolves to `true` if they have
   * changed.
   *
   * @throws {@link FaithError} `ERR_FAITH_SYSTEM` if no root can be read, and the roots stay as they were;
   * `ERR_FAITH_CLOSED` if the server is closed
   *
   * @example
   * ```ts
   * const dns64 = await faith.dns64()
   * if (await dns64.renewRoots()) console.log('upstreams are trusted by other root certificates')
   * ```
   */
  async renewRoots(): Promise<boolean> {
    if (this.#closing !== undefined) throw closedError('the DNS server', 'open another one')
    return unwrap(await this.#native.renewRoots())
  }

  /**
   * Closes the sockets, and emits `close`. Queries that are under way get no answer. A second call waits for the same
   * close.
   *
   * @example
   * ```ts
   * const dns64 = await faith.dns64()
   * process.once('SIGTERM', async () => {
   *   await dns64.close()
   *   await faith.close()
   * })
   * ```
   */
  async close(): Promise<void> {
    this.#closing ??= this.#shut()
    await this.#closing
  }

  /**
   * Closes the server, like {@link FaithDns64.close}.
   *
   * @example
   * ```ts
   * {
   *   await using dns64 = await faith.dns64({ listen: [{ address: '::1', port: 0 }] })
   *   console.log(dns64.stats())
   * } // closed here
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #warn(faults: readonly NativeDns64Fault[]): void {
    if (this.#closing !== undefined) return
    const outside = this.#synthesis.clients.length > 0 ? '`clients`' : "this host's networks"
    for (const { code, address, trouble } of faults) {
      if (code === 'upstream') {
        this.emit('upstream', { upstream: address, trouble })
        continue
      }
      const warned = code as FaithDns64Warning['code']
      const messages = {
        'client-refused': `the DNS server refuses the queries of ${address}, which is outside ${outside}`,
        'upstream-own': `the DNS server does not ask ${address}, which is its own address`,
        'upstream-loop': `the DNS server asks ${address}, which asks it the same: a loop`,
      }
      this.emit('warning', { code: warned, address, message: messages[warned] })
    }
  }

  async #shut(): Promise<void> {
    this.#answers?.close()
    await this.#native.close()
    this.#released(this)
    process.nextTick(() => this.emit('close'))
  }
}

/** Reads an address as the addon writes it: `[::]:53` or `192.0.2.1:53`. */
function toEndpoint(text: string): FaithEndpoint {
  const [, ipv6, ipv4 = '', port] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d+)$/.exec(text) ?? []
  return { address: ipv6 ?? ipv4, port: Number(port) }
}
