/** Answers DNS queries with addresses in the prefixes, as the table `[dns64]` asks for it. */
import { readFileSync } from 'node:fs'
import type {
  FaithDns64Stats,
  FaithDns64Upstream,
  FaithDns64UpstreamChange,
  FaithDns64Warning,
  FaithEndpoint,
} from '../index.js'
import { type Dns64View, FaithDns64 } from '../lib/dns64.js'
import type {
  FaithDns64Address,
  FaithDns64Certificate,
  FaithDns64Settings,
} from '../lib/dns64-options.js'
import type { Dns64Configuration } from './configuration.js'
import { Exit, ExitError } from './exit.js'
import { type Address, addressText, parseAddress, splitClientPrefix } from './kinds.js'
import type { Logger } from './log.js'
import { reason } from './reason.js'

const RESOLV_CONF = '/etc/resolv.conf'

/** The counts of the DNS server. faithd has no names of its own. */
export type Dns64Counts = Omit<FaithDns64Stats, 'own' | 'ownFailures'>

/** The DNS server as it is now. */
export interface Dns64State {
  addresses: string[]
  /** The servers of the configuration; empty if faithd asks those of /etc/resolv.conf. */
  upstreams: string[]
  /** The servers that faithd asks now, those of /etc/resolv.conf too. */
  servers: FaithDns64Upstream[]
  stats: Dns64Counts
}

/** The DNS server. It exists from the start, if the configuration names an address for it. */
export class Dns64 {
  readonly #log: Logger
  #server: FaithDns64 | undefined
  #clients: readonly string[] = []
  #upstreams: string[] = []

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Opens the server, if the configuration asks for it. Until {@link Dns64.follow}, it answers as its upstreams do.
   *
   * @throws FaithError if it cannot answer at one of the addresses
   */
  async open(configuration: Dns64Configuration, view: Dns64View): Promise<void> {
    const { listen, upstreams, clients } = configuration
    if (listen.length === 0) return
    this.#clients = clients
    const tls = certificateOf(configuration)
    const options = {
      listen: listen.map(toAddress),
      ...(tls && { tls }),
      ...(upstreams.length > 0 && { upstreams: upstreams.map(toUpstream) }),
      allServers: configuration['all-servers'],
      cacheBytes: configuration['cache-bytes'],
      ...settingsOf(configuration),
    }
    this.#server = await FaithDns64.open(view, options, () => {})
    this.#server.on('upstream', (change) => this.#hear(change))
    this.#server.on('warning', ({ code, address }) => {
      const fault = { code, address }
      this.#log.warn({ dns64Warning: fault }, this.#sentence(fault))
    })
    this.#upstreams = [...upstreams]
    const addresses = [...this.#server.addresses, ...this.#server.tlsAddresses].map(toText)
    const asked = upstreams.length > 0 ? upstreams.join(', ') : `the servers of ${RESOLV_CONF}`
    const sentence = `answers DNS queries at ${addresses.join(', ')} by DNS64, and asks ${asked}`
    this.#log.info({ dns64: { addresses, upstreams: this.#upstreams } }, sentence)
  }

  /** Answers by other settings from now on. Addresses and upstreams stay as they are. */
  configure(configuration: Dns64Configuration): void {
    this.#clients = configuration.clients
    this.#server?.update(settingsOf(configuration))
  }

  /**
   * Reads the certificate again, and the root certificates that servers over TLS are trusted by. Files that are unreadable
   * or wrong change nothing, and give a warning.
   */
  async renew(
    configuration: Dns64Configuration,
  ): Promise<{ changes: string[]; warnings: string[] }> {
    const changes: string[] = []
    const warnings: string[] = []
    try {
      const tls = certificateOf(configuration)
      if (tls !== undefined) this.#server?.renew(tls)
    } catch (error) {
      warnings.push(`dns64: the certificate stays as it was: ${reason(error)}`)
    }
    try {
      if (await this.#server?.renewRoots()) changes.push('dns64: root certificates')
    } catch (error) {
      warnings.push(`dns64: the root certificates stay as they were: ${reason(error)}`)
    }
    return { changes, warnings }
  }

  /** Gives addresses for the prefixes and the relays as they are now. */
  follow(): void {
    this.#server?.follow()
  }

  /** The state; `undefined` without a server. */
  get state(): Dns64State | undefined {
    const server = this.#server
    if (server === undefined) return undefined
    const addresses = [...server.addresses, ...server.tlsAddresses].map(toText)
    const { own: _own, ownFailures: _failures, ...stats } = server.stats()
    return { addresses, upstreams: this.#upstreams, servers: server.upstreams(), stats }
  }

  /** Finds the servers that cannot be asked, and those that ask faithd. */
  get problems(): string[] {
    return (this.#server?.upstreams() ?? []).flatMap(({ upstream, condition, trouble }) => {
      switch (condition) {
        case 'good':
          return []
        case 'failing':
          return [sentenceOf(upstream, trouble)]
        default:
          return [this.#sentence({ code: `upstream-${condition}`, address: upstream })]
      }
    })
  }

  #hear({ upstream, trouble }: FaithDns64UpstreamChange): void {
    if (trouble === undefined) {
      this.#log.info({ upstream: { server: upstream } }, `${upstream} answers again`)
    } else {
      this.#log.warn({ upstream: { server: upstream, trouble } }, sentenceOf(upstream, trouble))
    }
  }

  /** The line of the log about a fault, with its remedy. */
  #sentence({ code, address }: Omit<FaithDns64Warning, 'message'>): string {
    if (code === 'upstream-own') {
      const named = this.#upstreams.length > 0 ? '--dns64-upstream' : RESOLV_CONF
      return `${named} names ${address}, which is faithd itself, so it is not asked; name another DNS server with --dns64-upstream`
    }
    if (code === 'upstream-loop') {
      return `the DNS server ${address} asks faithd what faithd asks it, a loop; name another one with --dns64-upstream, or let that one ask others`
    }
    const refused = `refuses DNS queries of ${address}, which is in no network`
    return this.#clients.length > 0
      ? `${refused} of --dns64-client`
      : `${refused} of this host; to permit others, name every network of clients with --dns64-client`
  }

  /** Answers no more queries. */
  async close(): Promise<void> {
    await this.#server?.close()
  }
}

/** Finds a DNS server that the whole Internet may ask. */
export function openToAll({ listen, clients }: Dns64Configuration): string[] {
  if (listen.length === 0 || !clients.some((network) => network.endsWith('/0'))) return []
  return [
    '--dns64-client ::/0 gives every host that reaches this one answers to its DNS queries; keep port 53 closed to the ' +
      'Internet, or name the networks of your clients',
  ]
}

/** Finds a DNS server that has no other server to ask. */
export function unaskable({ listen, upstreams }: Dns64Configuration): string[] {
  if (listen.length === 0 || upstreams.length > 0 || namesServer(RESOLV_CONF)) return []
  return [
    `${RESOLV_CONF} names no DNS server that faithd could ask; name one with --dns64-upstream`,
  ]
}

/** Reads the files of the certificate, if there is one. */
function certificateOf({
  certificate,
  key,
}: Dns64Configuration): FaithDns64Certificate | undefined {
  if (certificate === undefined || key === undefined) return undefined
  return { certificate: readText(certificate), key: readText(key) }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ExitError(Exit.config, `cannot read ${file}: ${reason(error)}`)
  }
}

function sentenceOf(upstream: string, trouble = 'gives no response'): string {
  return `cannot ask the DNS server ${upstream}: ${trouble}`
}

function namesServer(file: string): boolean {
  try {
    return /^\s*nameserver\s+\S/m.test(readFileSync(file, 'utf8'))
  } catch {
    return false
  }
}

function settingsOf(configuration: Dns64Configuration): FaithDns64Settings {
  const { clients, exclude, failures, 'max-rate-per-client': maxRatePerClient } = configuration
  const clientPrefixes = configuration['client-prefixes'].map(splitClientPrefix)
  return { clients, clientPrefixes, exclude, failures, maxRatePerClient }
}

function toAddress(text: string): FaithDns64Address {
  const { host, port } = parseAddress(text) as Address
  return { address: host, port }
}

function toUpstream(text: string): FaithDns64Address | string {
  return text.includes('://') ? text : toAddress(text)
}

function toText({ address, port }: FaithEndpoint): string {
  return addressText({ host: address, port })
}
