/** The options of a DNS server, read once, at the public edge, into the addon's form. */
import { isIP, isIPv6 } from 'node:net'
import type { NativeCertificate, NativeDns64Options, NativeSynthesis } from './native.js'
import { readSecureUpstream } from './dns64-upstream.js'
import { isArray, MOST, type OptionNames, OptionReader } from './option-reader.js'
import type { FaithResolve, Resolving } from './resolve.js'

/**
 * An address of a DNS server.
 *
 * @group DNS64
 */
export interface FaithDns64Address {
  /** An IPv6 or IPv4 address. */
  address: string
  /** Its port, for UDP and TCP. Default 53. */
  port?: number
}

/**
 * A network, and the prefix of the addresses that its clients get.
 *
 * @group DNS64
 */
export interface FaithDns64ClientPrefix {
  /** The network, as in {@link FaithDns64Settings.clients}. */
  clients: string
  /** One of the interface's prefixes. Clients get no addresses while the interface does not have it. */
  prefix: string
}

/**
 * The certificate with which a {@link FaithDns64} answers over TLS, and its key.
 *
 * @group DNS64
 */
export interface FaithDns64Certificate {
  /** The certificate and those that lead to its root, in PEM. */
  certificate: string
  /** The private key, in PEM. */
  key: string
}

/**
 * The way in which a {@link FaithDns64} answers over TLS.
 *
 * @group DNS64
 */
export interface FaithDns64Tls extends FaithDns64Certificate {
  /** The port, from 0 to 65535; 0 lets the kernel choose one for each address. Default 853. */
  port?: number
}

/**
 * Settings of a {@link FaithDns64} that may change while it is open.
 *
 * @group DNS64
 */
export interface FaithDns64Settings {
  /**
   * The IPv6 networks whose clients get answers; all others are refused. A client with an IPv4 address counts as its
   * IPv4-mapped one (`::ffff:192.0.2.0/120`). `::/0` permits every client. Default: the networks that this host has an
   * address in, as they are at the moment of a query.
   */
  clients?: readonly string[]
  /**
   * Networks whose clients get addresses in one prefix alone. The first network that has a client counts. Default: every
   * client gets an address in each of the interface's prefixes.
   */
  clientPrefixes?: readonly FaithDns64ClientPrefix[]
  /**
   * IPv6 prefixes whose addresses no client gets: a name that has no others counts as one without AAAA records. Default
   * none; ::ffff:0:0/96 always counts as excluded.
   */
  exclude?: readonly string[]
  /**
   * The reading of an upstream's error about AAAA records, other than that the name does not exist: the A records decide
   * (`synthesise`), or the client gets the error (`pass`). Default `synthesise`. A failed validation (DNSSEC) always passes.
   */
  failures?: 'synthesise' | 'pass'
  /**
   * Most queries of a client per second over UDP, on average over two seconds; 0 is no limit. A client is an IPv6 network
   * of 64 bits, or an IPv4 address. Beyond it, every second query is answered, and told to come over TCP. Default 1000.
   */
  maxRatePerClient?: number
}

/**
 * Options of {@link FaithInterface.dns64}.
 *
 * @group DNS64
 */
export interface FaithDns64Options extends FaithDns64Settings {
  /**
   * The addresses to answer at, over UDP and TCP. `::` means every IPv6 address of this host. A port of 0 lets the kernel
   * choose one. Default `[{ address: '::' }]`.
   */
  listen?: readonly FaithDns64Address[]
  /**
   * Answers over TLS, too (RFC 7858), at the same IP addresses. Default: no TLS.
   */
  tls?: FaithDns64Tls
  /**
   * The servers to ask. The one that answered last is asked first. Default: those of /etc/resolv.conf, which is read again when it
   * changes.
   *
   * A text is a server to ask over TLS (RFC 7858), `tls://ADDRESS[:PORT][#NAME]`, or over HTTPS (RFC 8484),
   * `https://ADDRESS[:PORT]/PATH[#NAME]`. Its certificate must be for the name, or for the address without one, and lead
   * to a root certificate of this host. A name may stand in the place of the address; the other servers look it up.
   */
  upstreams?: readonly (FaithDns64Address | string)[]
  /**
   * Asks all upstreams at once, and takes the first answer. By default the server asks the one that answered last, and
   * the next one as well when that takes longer than usual. Default false.
   */
  allServers?: boolean
  /**
   * Memory for responses that are kept, in bytes, about; 0 keeps none. A name with one address takes about 350 bytes, and
   * one whose address is made about 1150. Default 16 MiB (16777216).
   */
  cacheBytes?: number
  /**
   * A function that answers queries by itself: for names of one's own, or names that are blocked. It is not asked about
   * ipv4only.arpa, nor for clients that get no answers. Default: none, so no JavaScript runs for a query.
   */
  resolve?: FaithResolve
  /**
   * Names that `resolve` is asked about, with all names below them: `['internal', '2.0.192.in-addr.arpa']`. Upstreams
   * answer about other names without JavaScript. Default: `resolve` is asked about every name.
   */
  resolveNames?: readonly string[]
  /** Longest time that `resolve` may take for an answer, in milliseconds, from 1 to 60000. Default 2000. */
  resolveTimeoutMs?: number
  /** A signal that closes the server when aborted, like `close()`. Default: none. */
  signal?: AbortSignal
}

const SETTINGS: OptionNames<FaithDns64Settings> = {
  clients: true,
  clientPrefixes: true,
  exclude: true,
  failures: true,
  maxRatePerClient: true,
}
const OPTIONS: OptionNames<FaithDns64Options> = {
  ...SETTINGS,
  listen: true,
  tls: true,
  upstreams: true,
  allServers: true,
  cacheBytes: true,
  resolve: true,
  resolveNames: true,
  resolveTimeoutMs: true,
  signal: true,
}
const CLIENT_PREFIX: OptionNames<FaithDns64ClientPrefix> = { clients: true, prefix: true }
const CERTIFICATE: OptionNames<FaithDns64Certificate> = { certificate: true, key: true }
const TLS: OptionNames<FaithDns64Tls> = { ...CERTIFICATE, port: true }
const ADDRESS: OptionNames<FaithDns64Address> = { address: true, port: true }

/** @internal The settings of synthesis without the prefixes, checked. */
export type Synthesis = Omit<NativeSynthesis, 'prefixes'>

/** @internal The checked options of `faith.dns64`, with defaults. */
export interface Dns64Options {
  start: NativeDns64Options
  synthesis: Synthesis
  resolving: Resolving | undefined
  signal: AbortSignal | undefined
}

/** @internal */
export function readDns64Options(options: unknown): Dns64Options {
  const call = 'faith.dns64'
  const read = new OptionReader(call, OPTIONS, options)
  const listen = read
    .list<unknown>('listen', [{ address: '::' }], (item) => item)
    .map((item) => readAddress(`${call}: \`listen\``, item, 0))
  if (listen.length === 0) throw read.refuse('listen', 'one address at least', [])
  const resolveNames = read.strings('resolveNames', [])
  const resolveTimeoutMs = read.integer('resolveTimeoutMs', { min: 1, max: 60_000 }, 2000)
  return {
    start: {
      listen,
      upstreams: readUpstreams(call, read),
      allServers: read.boolean('allServers', false),
      cacheBytes: read.integer('cacheBytes', { min: 0, max: MOST }, 16_777_216),
      resolveNames,
      resolveTimeoutMs,
      ...readTls(call, read),
    },
    synthesis: readSynthesis(read),
    resolving: readResolving(read, resolveTimeoutMs),
    signal: read.signal('signal'),
  }
}

function readResolving(
  read: OptionReader<keyof FaithDns64Options>,
  timeoutMs: number,
): Resolving | undefined {
  const resolve = read.unchecked('resolve')
  if (resolve === undefined) {
    const other = (['resolveNames', 'resolveTimeoutMs'] as const).find(
      (name) => read.unchecked(name) !== undefined,
    )
    if (other !== undefined) throw read.refuse('resolve', `given with \`${other}\``, resolve)
    return undefined
  }
  if (typeof resolve !== 'function') throw read.refuse('resolve', 'a function', resolve)
  return { resolve: resolve as FaithResolve, timeoutMs }
}

/** @internal Reads changed settings. Those that are left out stay as they were. */
export function readDns64Settings(before: Synthesis, settings: unknown): Synthesis {
  return readSynthesis(new OptionReader('dns64.update', SETTINGS, settings), before)
}

const USUAL: Synthesis = {
  clients: [],
  clientPrefixes: [],
  exclude: [],
  failures: 'synthesise',
  maxRatePerClient: 1000,
}

function readSynthesis(
  read: OptionReader<keyof FaithDns64Settings>,
  before: Synthesis = USUAL,
): Synthesis {
  return {
    clients: read.strings('clients', before.clients),
    clientPrefixes: read.list('clientPrefixes', before.clientPrefixes, readClientPrefix),
    exclude: read.strings('exclude', before.exclude),
    failures: read.oneOf(
      'failures',
      ['synthesise', 'pass'],
      before.failures as 'synthesise' | 'pass',
    ),
    maxRatePerClient: read.integer(
      'maxRatePerClient',
      { min: 0, max: MOST },
      before.maxRatePerClient,
    ),
  }
}

function readClientPrefix(item: unknown): FaithDns64ClientPrefix {
  const call = 'faith.dns64: `clientPrefixes`'
  const read = new OptionReader(call, CLIENT_PREFIX, item, 'a network')
  return { clients: read.string('clients'), prefix: read.string('prefix') }
}

function readTls(
  call: string,
  read: OptionReader<keyof FaithDns64Options>,
): Pick<NativeDns64Options, 'certificate' | 'tlsPort'> {
  const given = read.unchecked('tls')
  if (given === undefined) return { tlsPort: 853 }
  const tls = new OptionReader(`${call}: \`tls\``, TLS, given, 'a certificate')
  const tlsPort = tls.integer('port', { min: 0, max: 65_535 }, 853)
  return { certificate: { chain: tls.string('certificate'), key: tls.string('key') }, tlsPort }
}

/** @internal Reads another certificate. */
export function readDns64Certificate(given: unknown): NativeCertificate {
  const read = new OptionReader('dns64.renew', CERTIFICATE, given, 'the certificate')
  return { chain: read.string('certificate'), key: read.string('key') }
}

function readUpstreams(call: string, read: OptionReader<keyof FaithDns64Options>): string[] {
  return read.list('upstreams', [], (item) => {
    if (typeof item !== 'string') return readAddress(`${call}: \`upstreams\``, item, 1)
    const upstream = readSecureUpstream(item)
    if (upstream !== undefined) return upstream.url
    const expected =
      "objects such as { address: '192.0.2.53' }, or texts such as tls://192.0.2.53#dns.example"
    throw read.refuse('upstreams', expected, item)
  })
}

/** Reads an address, and writes it as the addon reads it: `[::]:53`. */
function readAddress(call: string, item: unknown, leastPort: 0 | 1): string {
  const read = new OptionReader(call, ADDRESS, isArray(item) ? null : item, 'an address')
  const address = read.string('address')
  if (isIP(address) === 0 || address.includes('%')) {
    throw read.refuse('address', 'an IP address without a zone', address)
  }
  const port = read.integer('port', { min: leastPort, max: 65_535 }, 53)
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
