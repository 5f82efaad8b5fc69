/**
 * Writes the parts of documents that are made from tables: docs/faithd.schema.json, for editors, and the reference of
 * the keys in docs/configuration.md from the table of settings; the reference in docs/metrics.md from the table of
 * metrics; docs/openapi.json from the routes of the control interface; and docs/log.schema.json. With `--check` it only
 * compares.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { openapi } from '../cli/control/routes.js'
import type { Setting, Settings } from '../cli/settings/setting.js'
import { TABLES } from '../cli/settings/tables.js'
import { jsonSchema } from '../cli/schema.js'
import { tomlValue } from '../cli/toml-text.js'
import { logSchema } from './log-schema.js'
import { metricsTable } from './metrics-table.js'
import { root } from './steps.mjs'

const HEADERS = {
  process: 'The top of the file',
  log: '`[log]`',
  pref64: '`[pref64]`',
  dns64: '`[dns64]`',
  local: '`[[local]]`',
  interface: '`[[interface]]`',
  relay: '`[[interface.relay]]`',
} as const

function reference(): string {
  const tables = Object.entries(HEADERS).map(([place, header]) =>
    [
      `### ${header}`,
      '',
      '| key | default | meaning | value | a change is in force |',
      '| --- | --- | --- | --- | --- |',
      ...Object.entries(TABLES[place as keyof typeof HEADERS] as Settings).map(row),
    ].join('\n'),
  )
  return tables.join('\n\n')
}

function row([key, { kind, fallback, help, change, options }]: [string, Setting]): string {
  // Some defaults are known only at the start, and stand in the help alone.
  const value = fallback ?? options.find((option) => option.fallback !== undefined)?.fallback
  const shown = value === undefined ? 'none' : `\`${tomlValue(value)}\``
  return `| \`${key}\` | ${shown} | ${help} | ${kind.is} | ${change} |`
}

/** Puts a text between the marks of a document, which name it. */
function between(document: string, name: string, text: string): string {
  const begin = `<!-- ${name}: written by npm run configuration -->`
  const end = `<!-- end of ${name} -->`
  const [before, rest] = document.split(begin)
  const [, after] = rest?.split(end) ?? []
  if (before === undefined || after === undefined) throw new Error('the document has no marks')
  return `${before}${begin}\n\n${text}\n\n${end}${after}`
}

const documents: [path: string, write: (before: string) => string][] = [
  ['docs/faithd.schema.json', () => JSON.stringify(jsonSchema())],
  ['docs/log.schema.json', () => JSON.stringify(logSchema())],
  ['docs/openapi.json', () => JSON.stringify(openapi())],
  ['docs/configuration.md', (before) => between(before, 'keys', reference())],
  ['docs/metrics.md', (before) => between(before, 'metrics', metricsTable())],
]

const isCheck = process.argv.includes('--check')
for (const [path, write] of documents) {
  const file = join(root, path)
  const before = readFileSync(file, { encoding: 'utf8', flag: 'a+' })
  const after = await format(write(before), { ...(await resolveConfig(file)), filepath: file })
  if (after === before) continue
  if (!isCheck) writeFileSync(file, after)
  else {
    console.error(`${path} is not what its table says: run npm run configuration, and commit it`)
    process.exitCode = 1
  }
}
