/**
 * The configuration of faithd: the settings of the process, its log, its interfaces and their relays, as faithd.toml has
 * them. The keys are those of the file, and times are in seconds.
 */
import { UsageError } from './exit.js'
import { DNS64 } from './settings/dns64.js'
import { INTERFACE } from './settings/interface.js'
import { LOCAL } from './settings/local.js'
import { LOG } from './settings/log.js'
import { PREF64 } from './settings/pref64.js'
import { PROCESS } from './settings/process.js'
import { RELAY } from './settings/relay.js'
import type { Settings, ValuesOf } from './settings/setting.js'
import type { Place } from './settings/tables.js'

export type LogConfiguration = ValuesOf<typeof LOG>
export type Pref64Configuration = ValuesOf<typeof PREF64>
export type Dns64Configuration = ValuesOf<typeof DNS64>
export type LocalConfiguration = ValuesOf<typeof LOCAL>
export type RelayConfiguration = ValuesOf<typeof RELAY>
export type InterfaceConfiguration = ValuesOf<typeof INTERFACE> & { relay: RelayConfiguration[] }
export type Configuration = ValuesOf<typeof PROCESS> & {
  log: LogConfiguration
  pref64: Pref64Configuration
  dns64: Dns64Configuration
  local: LocalConfiguration[]
  interface: InterfaceConfiguration[]
}

/** The place of a value in a configuration: `['interface', 0, 'relay', 0, 'ports']`. */
export type Path = readonly (string | number)[]

/** The configuration without a file and without options: one relay for every port of one interface. */
export function defaults(): Configuration {
  return {
    ...defaultsOf(PROCESS),
    log: defaultsOf(LOG),
    pref64: defaultsOf(PREF64),
    dns64: defaultsOf(DNS64),
    local: [],
    interface: [{ ...defaultsOf(INTERFACE), relay: [defaultsOf(RELAY)] }],
  }
}

/** A value of the command line, and the option that gave it. */
export interface Override {
  value: unknown
  by: string
}

/** Values of the command line, by their place and key. They go before those of the file. */
export type Overrides = Map<Place, Map<string, Override>>

/**
 * The configuration with values of the command line instead of its own.
 *
 * @throws UsageError when it has several interfaces or relays that an option could be about
 */
export function override(configuration: Configuration, overrides: Overrides): Configuration {
  const { interface: interfaces, ...process } = configuration
  return {
    ...process,
    ...valuesOf(overrides, 'process'),
    log: { ...process.log, ...valuesOf(overrides, 'log') },
    pref64: { ...process.pref64, ...valuesOf(overrides, 'pref64') },
    dns64: { ...process.dns64, ...valuesOf(overrides, 'dns64') },
    // The service of the command line goes before those of the file.
    local: [
      ...(overrides.has('local')
        ? [Object.assign(defaultsOf(LOCAL), valuesOf(overrides, 'local'))]
        : []),
      ...process.local,
    ],
    interface: interfaces.map((faith) => {
      const { length } = faith.relay
      requireOne(overrides, 'interface', interfaces.length, 'interfaces')
      requireOne(overrides, 'relay', interfaces.length, 'interfaces')
      requireOne(overrides, 'relay', length, `relays of ${faith.name}`)
      const relay = faith.relay.map((one) => Object.assign({}, one, valuesOf(overrides, 'relay')))
      return Object.assign({}, faith, valuesOf(overrides, 'interface'), { relay })
    }),
  }
}

/** The path of a setting of a configuration that has one interface with one relay. */
export function pathOf(place: Place, key: string): Path {
  switch (place) {
    case 'process':
      return [key]
    case 'log':
    case 'pref64':
    case 'dns64':
      return [place, key]
    case 'local':
      return ['local', 0, key]
    case 'interface':
      return ['interface', 0, key]
    case 'relay':
      return ['interface', 0, 'relay', 0, key]
  }
}

function valuesOf(overrides: Overrides, place: Place): Record<string, unknown> {
  const values = [...(overrides.get(place) ?? [])]
  return Object.fromEntries(values.map(([key, { value }]) => [key, value]))
}

function requireOne(overrides: Overrides, place: Place, count: number, what: string): void {
  const [first] = overrides.get(place) ?? []
  if (count === 1 || first === undefined) return
  const [key, { by }] = first
  throw new UsageError(
    `${by}: the file has ${count} ${what}, so write \`${key}\` in the file, where it says which one`,
  )
}

/** A setting that has no default is left out. */
function defaultsOf<S extends Settings>(settings: S): ValuesOf<S> {
  const values = Object.entries(settings)
    .filter(([, { fallback }]) => fallback !== undefined)
    .map(([key, { fallback }]) => [key, structuredClone(fallback)])
  return Object.fromEntries(values) as ValuesOf<S>
}
