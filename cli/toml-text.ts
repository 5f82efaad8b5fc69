/** A configuration as the text of a faithd.toml that has the same effect. */
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Configuration } from './configuration.js'
import { DNS64 } from './settings/dns64.js'
import { INTERFACE } from './settings/interface.js'
import { LOCAL } from './settings/local.js'
import { LOG } from './settings/log.js'
import { PREF64 } from './settings/pref64.js'
import { PROCESS } from './settings/process.js'
import { RELAY } from './settings/relay.js'
import type { Settings } from './settings/setting.js'

/** The form of values that are the default: written like all others, or as comments with their help. */
export type Defaults = 'written' | 'commented'

/** The text of a file that asks for a configuration. Paths in it are absolute. */
export function tomlText(configuration: Configuration, defaults: Defaults): string {
  const { log, pref64, dns64, control, local, interface: interfaces } = configuration
  const process = control ? { ...configuration, control: resolve(control) } : configuration
  const sections = [
    sectionOf('', process, PROCESS, defaults),
    sectionOf('[log]', log, LOG, defaults),
    sectionOf('[pref64]', pref64, PREF64, defaults),
    sectionOf('[dns64]', dns64, DNS64, defaults),
    ...local.map((one) => sectionOf('[[local]]', one, LOCAL, defaults)),
  ]
  for (const faith of interfaces) {
    sections.push(sectionOf('[[interface]]', faith, INTERFACE, defaults))
    for (const relay of faith.relay) {
      const acl = relay.acl.map((file) => resolve(file))
      sections.push(sectionOf('[[interface.relay]]', { ...relay, acl }, RELAY, defaults))
    }
  }
  return `${sections.join('\n\n')}\n`
}

/** A value as TOML has it. */
export function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`
  // The escapes of JSON are escapes of TOML too, but U+007F has none and must have one.
  if (typeof value === 'string') return JSON.stringify(value).replaceAll('\u007F', '\\u007f')
  return String(value)
}

function sectionOf(
  header: string,
  values: Readonly<Record<string, unknown>>,
  settings: Settings,
  defaults: Defaults,
): string {
  const lines = Object.entries(settings).flatMap(([key, { fallback, help }]) => {
    const value = values[key]
    if (defaults === 'commented' && isDeepStrictEqual(value, fallback)) {
      return [`# ${help}`, `# ${key} = ${value === undefined ? '…' : tomlValue(value)}`]
    }
    return value === undefined ? [] : [`${key} = ${tomlValue(value)}`]
  })
  return [...(header === '' ? [] : [header]), ...lines].join('\n')
}
