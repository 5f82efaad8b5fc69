/**
 * Writes what the documents say about faithd.toml from the table of its settings: docs/faithd.schema.json, for editors,
 * and the reference of the keys in docs/configuration.md. Also writes docs/log.schema.json. With `--check` it only
 * compares.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { type Setting, type Settings, TABLES } from '../cli/option-table.js'
import { jsonSchema } from '../cli/schema.js'
import { tomlValue } from '../cli/toml-text.js'
import { logSchema } from './log-schema.js'
import { root } from './steps.mjs'

const HEADERS = {
  process: 'The top of the file',
  log: '`[log]`',
  interface: '`[[interface]]`',
  relay: '`[[interface.relay]]`',
} as const

const [BEGIN, END] = ['<!-- keys: written by npm run configuration -->', '<!-- end of keys -->']

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

function row([key, { kind, fallback, help, change }]: [string, Setting]): string {
  const shown = fallback === undefined ? 'none' : `\`${tomlValue(fallback)}\``
  return `| \`${key}\` | ${shown} | ${help} | ${kind.is} | ${change} |`
}

/** Puts a text between the marks of a document. */
function between(document: string, text: string): string {
  const [before, rest] = document.split(BEGIN)
  const [, after] = rest?.split(END) ?? []
  if (before === undefined || after === undefined) throw new Error('the document has no marks')
  return `${before}${BEGIN}\n\n${text}\n\n${END}${after}`
}

const documents: [path: string, write: (before: string) => string][] = [
  ['docs/faithd.schema.json', () => JSON.stringify(jsonSchema())],
  ['docs/log.schema.json', () => JSON.stringify(logSchema())],
  ['docs/configuration.md', (before) => between(before, reference())],
]

const isCheck = process.argv.includes('--check')
for (const [path, write] of documents) {
  const file = join(root, path)
  const before = readFileSync(file, { encoding: 'utf8', flag: 'a+' })
  const after = await format(write(before), { ...(await resolveConfig(file)), filepath: file })
  if (after === before) continue
  if (!isCheck) writeFileSync(file, after)
  else {
    console.error(`${path} is not what the settings are: run npm run configuration, and commit it`)
    process.exitCode = 1
  }
}
