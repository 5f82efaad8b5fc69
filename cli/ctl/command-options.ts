/** Options that several commands of faithctl have, and the words that they take. */
import type { Option } from './command.js'

/** Options that go with every command. */
export const GLOBAL_OPTIONS: readonly Option[] = [
  {
    long: 'control',
    value: 'PATH',
    help: 'control socket of the daemon',
    fallback: '/run/faithd/faithd.sock',
    completes: 'file',
  },
  {
    long: 'instance',
    value: 'NAME',
    help: 'daemon of that name: its socket is /run/faithd/NAME.sock',
  },
  { long: 'help', short: 'h', help: 'print the help of faithctl, or of a command' },
  { long: 'version', short: 'V', help: 'print the version' },
]

export const json: Option = { long: 'json', help: "print the daemon's answer as JSON" }
export const watch: Option = {
  long: 'watch',
  short: 'w',
  value: 'SECONDS',
  optional: true,
  help: 'show the answer again and again, until Ctrl-C',
  fallback: '2',
}
export const yes: Option = { long: 'yes', short: 'y', help: 'do not ask' }
export const limit = (fallback: string): Option => ({
  long: 'limit',
  short: 'n',
  value: 'N',
  help: 'show no more than so many',
  fallback,
})
export const reverse: Option = { long: 'reverse', short: 'r', help: 'turn the order round' }
export const onInterface: Option = {
  long: 'interface',
  short: 'i',
  value: 'NAME',
  help: 'interface; needed if the daemon has several',
  completes: 'interface',
}

/** The protocols of sessions. */
export const PROTOCOLS = ['tcp', 'udp', 'icmp'] as const

export const STATES = ['open', 'client-closed', 'server-closed', 'ending'] as const
export const SESSION_ORDERS = [
  'age',
  'idle',
  'bytes',
  'up',
  'down',
  'client',
  'destination',
] as const
export const CLIENT_ORDERS = ['rate', 'sessions', 'bytes', 'age', 'idle'] as const
export const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
export const SHELLS = ['bash', 'zsh', 'fish'] as const

/** Options that choose sessions. */
export const filters: readonly Option[] = [
  {
    long: 'interface',
    short: 'i',
    value: 'NAME',
    help: 'of this interface',
    completes: 'interface',
  },
  {
    long: 'client',
    short: 'c',
    value: 'ADDRESS',
    help: 'of this client, or of the clients of a prefix: 2001:db8:1::/64',
    completes: 'client',
  },
  {
    long: 'destination',
    short: 'd',
    value: 'ADDRESS',
    help: 'to this address or prefix: the IPv6 one that was dialled, or the IPv4 one of the server',
  },
  { long: 'port', short: 'p', value: 'PORT', help: 'to this port, as the client dialled it' },
  { long: 'protocol', value: 'PROTOCOL', help: PROTOCOLS.join(', '), completes: PROTOCOLS },
  { long: 'state', value: 'STATE', help: STATES.join(', '), completes: STATES },
  { long: 'older', value: 'DURATION', help: 'older than this: 90, 90s, 10m, 2h, 1d' },
  { long: 'younger', value: 'DURATION', help: 'younger than this' },
  { long: 'idle', value: 'DURATION', help: 'without a byte for this long' },
  { long: 'tag', value: 'TAG', help: 'with this tag' },
]

/** The names of the options that choose sessions. */
export const FILTERS: ReadonlySet<string> = new Set(filters.map(({ long }) => long))
