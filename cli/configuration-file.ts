/** Reads faithd.toml. Every error of a file is found at once, with its place and what would be right. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { closest } from '../lib/spelling.js'
import { ConfigurationError } from './complaints.js'
import type { Configuration, Path, RelayConfiguration } from './configuration.js'
import { ALL_PROTOCOLS, protocolsOf } from './kinds.js'
import { OPTIONS } from './option-table.js'
import type { Setting, Settings } from './settings/setting.js'
import { TABLES } from './settings/tables.js'
import { reason } from './reason.js'
import { type Issue, schemaOfFile } from './schema.js'
import { TomlDocument, TomlError } from './toml.js'
import { tomlValue } from './toml-text.js'

/** A file that was read. */
export interface ConfigurationFile {
  path: string
  configuration: Configuration
  /** Names the place of a setting: file, line, column and key. */
  placeOf(path: Path): string
}

/**
 * Reads a file. Paths in it are relative to its folder.
 *
 * @throws ConfigurationError with every complaint about it
 */
export async function readConfigurationFile(path: string): Promise<ConfigurationFile> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ConfigurationError([
      { message: `cannot read the configuration ${path}: ${reason(error)}` },
    ])
  })
  return parseConfiguration(text, path)
}

/** The same, of a text; `path` is what errors call it. */
export function parseConfiguration(text: string, path: string): ConfigurationFile {
  const document = parse(text, path)
  const placeOf = (at: Path): string => placeIn(path, document.placeOfValue(at), at)
  const { data, error } = schemaOfFile().safeParse(document.value, { reportInput: true })
  if (error !== undefined) {
    const complaints = error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => {
            const at = [...(issue.path as Path), key]
            return { where: placeIn(path, document.placeOfKey(at), at), message: unknownKey(at) }
          })
        : [{ where: placeOf(issue.path as Path), message: explained(issue as Issue) }],
    )
    throw new ConfigurationError(complaints)
  }
  const configuration = data as unknown as Configuration
  for (const { acl } of configuration.interface.flatMap(({ relay }) => relay)) {
    acl.splice(0, acl.length, ...acl.map((file) => resolve(dirname(path), file)))
  }
  for (const faith of configuration.interface) faith.relay = withPings(faith.relay)
  if (configuration.control) configuration.control = resolve(dirname(path), configuration.control)
  return { path, configuration, placeOf }
}

/**
 * Pings have no ports, so one relay of an interface has them. By default that is the first, unless another one names icmp
 * among fewer protocols.
 */
export function withPings(relays: readonly RelayConfiguration[]): RelayConfiguration[] {
  const named = relays.find(
    (one) => !hasDefault(one) && protocolsOf(one.protocols).includes('icmp'),
  )
  const owner = named ?? relays.find(hasDefault)
  return relays.map((one) =>
    one === owner || !hasDefault(one) ? one : { ...one, protocols: 'tcp,udp' },
  )
}

function hasDefault({ protocols }: RelayConfiguration): boolean {
  return protocols === ALL_PROTOCOLS
}

function parse(text: string, path: string): TomlDocument {
  try {
    return new TomlDocument(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const { line, column } = error.position
    throw new ConfigurationError([{ where: `${path}:${line}:${column}`, message: error.message }])
  }
}

function placeIn(
  file: string,
  { line, column }: { line: number; column: number },
  at: Path,
): string {
  const key = names(at).join('.')
  return `${file}:${line}:${column}${key === '' ? '' : `: ${key}`}`
}

/** The names of a path, without the numbers of array elements. */
function names(path: Path): string[] {
  return path.filter((step) => typeof step === 'string')
}

/** The complaint that a value draws, with an example of a legal one. */
function explained({ message, path, input }: Issue): string {
  const [key = ''] = names(path).slice(-1)
  const setting = tableAt(path.slice(0, -1))?.settings[key]
  if (setting === undefined) return message
  const { form } = setting.kind
  if (form.type === 'choice' || form.type === 'text') return message
  return `${message}; for example ${key} = ${tomlValue(meant(setting, input))}`
}

/** The legal value that was probably meant: the one inside a text, or else the default. */
function meant({ kind, fallback }: Setting, input: unknown): unknown {
  const { form } = kind
  if (form.type === 'flag' && input === 'false') return false
  try {
    if (typeof input === 'string' && form.type !== 'list')
      return kind.read(input.replace(/\s*s$/, ''))
  } catch {
    // The text has no legal value in it.
  }
  return form.type === 'list' ? [exampleOf(form.item)] : fallback
}

function exampleOf({ form }: { form: Setting['kind']['form'] }): string {
  return form.type === 'text' ? form.example : ''
}

/** The tables of the file, with the names of the tables inside them. */
const NESTED: readonly {
  header: string
  path: string
  settings: Settings
  tables: readonly string[]
}[] = [
  {
    header: 'the top of the file',
    path: '',
    settings: TABLES.process,
    tables: ['log', 'pref64', 'dns64', 'local', 'interface'],
  },
  { header: '[log]', path: 'log', settings: TABLES.log, tables: [] },
  { header: '[pref64]', path: 'pref64', settings: TABLES.pref64, tables: [] },
  { header: '[dns64]', path: 'dns64', settings: TABLES.dns64, tables: [] },
  { header: '[[local]]', path: 'local', settings: TABLES.local, tables: [] },
  { header: '[[interface]]', path: 'interface', settings: TABLES.interface, tables: ['relay'] },
  { header: '[[interface.relay]]', path: 'interface.relay', settings: TABLES.relay, tables: [] },
]

function tableAt(path: Path) {
  return NESTED.find((table) => table.path === names(path).join('.'))
}

function unknownKey(path: Path): string {
  const key = String(path.at(-1))
  const here = tableAt(path.slice(0, -1))
  const there = NESTED.find(
    ({ settings, tables }) => Object.hasOwn(settings, key) || tables.includes(key),
  )
  if (there !== undefined) return `it is a key of ${there.header}, not of ${here?.header}`
  const option = OPTIONS.find(({ long }) => long === key || `no-${long}` === key)?.sets
  if (option !== undefined) {
    const isOff = key.startsWith('no-')
    return `the file calls it \`${option.key}\`${isOff ? `: write ${option.key} = false` : ''}`
  }
  const all = [...Object.keys(here?.settings ?? {}), ...(here?.tables ?? [])]
  const elsewhere = NESTED.flatMap(({ settings }) => Object.keys(settings))
  const near = closest(key, all) ?? closest(key, elsewhere)
  const guess =
    near === undefined ? `; ${here?.header} has ${all.join(', ')}` : `; did you mean \`${near}\`?`
  return `there is no such key${guess}`
}
