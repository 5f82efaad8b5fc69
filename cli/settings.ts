/** The settings of the command line, and their defaults. */
import type { AccessRule, FaithRelaySettings } from '../index.js'
import type { PortRange } from '../lib/ports.js'
import { parseService } from './services.js'

/** The settings of one run. Times are in milliseconds. */
export interface FaithdOptions {
  ports: PortRange[]
  interface: string
  prefixes: string[]
  keepfaith: boolean
  unsupported: 'unreachable' | 'drop'
  routes: boolean
  mtu: number
  shortcut: boolean
  /** The rules of `--permit` and `--deny`, which go before those of the file. */
  rules: AccessRule[]
  accessListFile: string | undefined
  /** `true` ends the sessions that a file read again denies. */
  endDenied: boolean
  relay: RelaySettings
  drainMs: number
  logFormat: LogFormat
  logLevel: LogLevel
  help: boolean
  version: boolean
}

/** The settings that go to `faith.relay()` unchanged. */
export interface RelaySettings extends Required<
  Pick<
    FaithRelaySettings,
    | 'mapping'
    | 'allowLoopback'
    | 'connectFirst'
    | 'maxHeld'
    | 'maxHeldPerClient'
    | 'connectTimeoutMs'
    | 'idleTimeoutMs'
    | 'keepAliveTimeoutMs'
    | 'maxSessions'
    | 'maxSessionsPerClient'
    | 'maxRatePerClient'
    | 'clientPrefixLength'
    | 'privilegedLocalPort'
    | 'copyDscp'
  >
> {
  mappings: string[]
  localAddresses: string[]
  proxyProtocol?: 1 | 2
}

/** The format of log lines. */
export type LogFormat = (typeof LOG_FORMATS)[number]
/** The least important level that the log writes. */
export type LogLevel = (typeof LOG_LEVELS)[number]

export const LOG_FORMATS = ['text', 'json'] as const
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
export const WELL_KNOWN_PREFIX = '64:ff9b::/96'

/** Gives the defaults. */
export function defaults(): FaithdOptions {
  return {
    ports: parseService('all'),
    interface: 'faith0',
    prefixes: [],
    keepfaith: false,
    unsupported: 'unreachable',
    routes: true,
    mtu: 65_535,
    shortcut: true,
    rules: [],
    accessListFile: undefined,
    endDenied: false,
    relay: {
      mapping: 'rfc6052',
      mappings: [],
      allowLoopback: false,
      connectFirst: true,
      maxHeld: 4096,
      maxHeldPerClient: 256,
      connectTimeoutMs: 10_000,
      idleTimeoutMs: 1_800_000,
      keepAliveTimeoutMs: 120_000,
      maxSessions: 0,
      maxSessionsPerClient: 0,
      maxRatePerClient: 0,
      clientPrefixLength: 64,
      localAddresses: [],
      privilegedLocalPort: false,
      copyDscp: false,
    },
    drainMs: 5_000,
    logFormat: 'text',
    logLevel: 'info',
    help: false,
    version: false,
  }
}
