/**
 * Writes the parts of the manual pages that are tables of the command: options, keys, commands, exit codes. With `--check`
 * it only compares.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Argument, Command, Option as ClientOption } from '../cli/ctl/command.js'
import { GLOBAL_OPTIONS } from '../cli/ctl/command-options.js'
import { COMMANDS, EXIT_CODES as CLIENT_EXIT_CODES } from '../cli/ctl/command-table.js'
import { EXIT_CODES } from '../cli/exit.js'
import { GROUPS, type Option, shownName } from '../cli/option-table.js'
import type { Setting, Settings } from '../cli/settings/setting.js'
import { TABLES } from '../cli/settings/tables.js'
import { tomlValue } from '../cli/toml-text.js'
import { root } from './steps.mjs'

/** The parts of the pages, by their names in the marks `.\" begin NAME` and `.\" end NAME`. */
const PARTS: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  'faithd.8': {
    options: () =>
      [...GROUPS].map(([title, options]) => group(title, options.map(daemonOption))).join('\n'),
    'exit codes': () => exitCodes(EXIT_CODES),
  },
  'faithd.toml.5': {
    'keys of the process': () => keys(TABLES.process),
    'keys of the log': () => keys(TABLES.log),
    'keys of advertisements': () => keys(TABLES.pref64),
    'keys of the DNS server': () => keys(TABLES.dns64),
    'keys of a local service': () => keys(TABLES.local),
    'keys of an interface': () => keys(TABLES.interface),
    'keys of a relay': () => keys(TABLES.relay),
  },
  'faithctl.8': {
    options: () => list(GLOBAL_OPTIONS.map(clientOption)),
    commands,
    'exit codes': () => exitCodes(CLIENT_EXIT_CODES),
  },
}

function group(title: string, items: readonly string[]): string {
  return `.Ss ${title}\n${list(items)}`
}

function list(items: readonly string[], form = '-tag -width Ds'): string {
  return [`.Bl ${form}`, ...items, '.El'].join('\n')
}

function daemonOption(option: Option): string {
  const { short, value, help, fallback, alone } = option
  const isOptional = alone !== undefined
  return item({ long: shownName(option), short, value, isOptional, help, fallback })
}

function clientOption({ value, optional, ...option }: ClientOption): string {
  return item({ ...option, value, isOptional: optional === true })
}

interface Shown {
  long: string
  short?: string | undefined
  value?: string | undefined
  isOptional?: boolean
  help: string
  fallback?: string | undefined
}

function item({ long, short, value, isOptional = false, help, fallback }: Shown): string {
  const words = value === undefined ? '' : valueWords(value)
  const shown = isOptional ? ` Op ${words.trim()}` : words
  const names = [...(short === undefined ? [] : [`Fl ${short}`]), `Fl -${long}`]
  const lines = [`.It ${names.join(' , ')}${shown}`, sentences(help)]
  if (fallback !== undefined) lines.push(sentences(`the default is ${fallback}`))
  return lines.join('\n')
}

/** A value of the help: words that stand for themselves are in lower case, others stand for something. */
function valueWords(value: string): string {
  if (!value.includes('|')) return ` Ar ${argumentName(value)}`
  return ` ${value
    .split('|')
    .map((word) => `Cm ${word}`)
    .join(' Ns | Ns ')}`
}

function argumentName(name: string): string {
  return name.toLowerCase()
}

function keys(settings: Settings): string {
  return list(Object.entries(settings).map(key))
}

function key([name, { kind, fallback: given, help, change, options }]: [string, Setting]): string {
  // Some defaults are known only at the start, and stand in the help alone.
  const fallback = given ?? options.find((option) => option.fallback !== undefined)?.fallback
  const isSet = fallback !== undefined && !(Array.isArray(fallback) && fallback.length === 0)
  return [
    `.It Cm ${name}`,
    sentences(help),
    sentences(`the value is ${kind.is}`),
    isSet ? sentences(`the default is ${tomlValue(fallback)}`) : sentences('the default is none'),
    sentences(`a change is in force ${change}`),
  ].join('\n')
}

function commands(): string {
  const all: readonly Command[] = COMMANDS
  const groups = new Set(all.map((command) => command.group))
  return [...groups]
    .map((title) => group(title, all.filter((command) => command.group === title).map(commandItem)))
    .join('\n')
}

function commandItem({ name, arguments: taken, about, options, examples }: Command): string {
  const explained = [
    ...taken.map((one) => `.It Ar ${argumentName(one.name)}\n${sentences(one.help)}`),
    ...options.map(clientOption),
  ]
  const lines = examples.flatMap(([line, effect]) => [
    sentences(`${effect}:`),
    `.Dl faithctl ${escaped(line).replaceAll('"', '\\(dq')}`,
  ])
  return [
    `.It Ic ${name}${taken.map(argumentWords).join('')}`,
    about.map(sentences).join('\n.Pp\n'),
    ...(explained.length > 0 ? [list(explained)] : []),
    '.Pp',
    ...lines,
  ].join('\n')
}

function argumentWords({ name, optional, repeats }: Argument): string {
  const word = `Ar ${argumentName(name)}${repeats ? ' ...' : ''}`
  return optional ? ` Op ${word}` : ` ${word}`
}

function exitCodes(codes: readonly (readonly [code: number, meaning: string])[]): string {
  const items = codes.map(([code, meaning]) => `.It ${code}\n${sentences(meaning)}`)
  return list(items, '-tag -width Ds -compact')
}

/** Writes a phrase of the tables as sentences, each on a line of its own. */
function sentences(phrase: string): string {
  const text = /^[\w-]+(?:, [\w-]+)+$/.test(phrase) ? `one of ${phrase}` : phrase.trim()
  const isCommand = COMMANDS.some(({ name }) => text.startsWith(`${name}:`))
  const begun = isCommand ? text : text.charAt(0).toUpperCase() + text.slice(1)
  const ended = /[.:]$/.test(begun) ? begun : `${begun}.`
  return escaped(ended)
    .split(/(?<=[.?!]) (?=[A-Z"-])/)
    .flatMap(wrapped)
    .map((line) => line.replace(/^(?=[.'])/, '\\&'))
    .join('\n')
}

/** Breaks a sentence into lines of 78 characters, as mandoc's lint wants them. */
function wrapped(sentence: string): string[] {
  return sentence.match(/\S.{0,77}(?=\s|$)|\S+/g) ?? []
}

/** Writes a text so that troff shows it as it is. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('…', '...')
    .replaceAll(/`([^`]*)`/g, '\\(oq$1\\(cq')
    .replaceAll(/(?<=^|[\s(])'|(?<!s)'(?=[\s,;).]|$)/g, '\\(aq')
    .replaceAll(/(?<=^|[\s,('"])--?(?=[a-z])/g, (dashes) => dashes.replaceAll('-', '\\-'))
}

/** Puts a text between the marks of its name. */
function between(page: string, name: string, text: string): string {
  const [begin, end] = [`.\\" begin ${name}\n`, `.\\" end ${name}\n`]
  const [before, rest] = page.split(begin)
  const [, after] = rest?.split(end) ?? []
  if (before === undefined || after === undefined) throw new Error(`the page has no part ${name}`)
  return `${before}${begin}${text}\n${end}${after}`
}

const isCheck = process.argv.includes('--check')
for (const [name, parts] of Object.entries(PARTS)) {
  const file = join(root, 'man', name)
  const before = readFileSync(file, 'utf8')
  const after = Object.entries(parts).reduce(
    (page, [part, write]) => between(page, part, write()),
    before,
  )
  if (after === before) continue
  if (!isCheck) writeFileSync(file, after)
  else {
    console.error(`man/${name} is not what the tables are: run npm run manual, and commit it`)
    process.exitCode = 1
  }
}
