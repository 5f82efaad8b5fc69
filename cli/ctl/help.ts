/** Makes the texts of `faithctl --help` and of the help of each command. */
import { type Command, type Option, synopsis } from './command.js'
import { GLOBAL_OPTIONS } from './command-options.js'
import { COMMANDS, EXIT_CODES } from './command-table.js'
import { familyOf } from './parse.js'
import { wrap } from './table.js'

const WIDTH = 80

/** Makes the general help. */
export function generalHelp(): string {
  const groups = new Map<string, Command[]>()
  for (const command of COMMANDS as readonly Command[]) {
    groups.set(command.group, [...(groups.get(command.group) ?? []), command])
  }
  const lists = [...groups].map(([title, commands]) => section(title, commandLines(commands)))
  const codes = EXIT_CODES.map(([code, meaning]) => [String(code).padStart(2), meaning] as const)
  return `faithctl: ask and steer a running faithd

Usage: faithctl [options] command [arguments]

faithctl talks to faithd over its control socket, which root may use, and the
group that faithd's --control-group names. faithctl COMMAND --help explains a
command, with examples.

${lists.join('\n')}
${section('Options', optionLines(GLOBAL_OPTIONS))}
${section('Examples', [
  '  faithctl status',
  '      show the state of the daemon, and what is wrong with it',
  '  faithctl top',
  '      watch the busiest sessions and clients',
  "  faithctl acl test 2001:db8:1::7 '[64:ff9b::198.51.100.7]:443'",
  '      find the rule that decides on a connection',
  '  curl --unix-socket /run/faithd/faithd.sock http://faithd/v1/status',
  '      ask without faithctl',
])}
${section('Exit codes', columns(codes))}`
}

/** Makes the help of a command. */
export function commandHelp(command: Command): string {
  const { about, options, examples } = command
  const words = command.arguments.map(({ name, help }) => [name, help] as const)
  const parts = [
    `${wrap(`faithctl ${command.name}: ${command.help}`, WIDTH).join('\n')}\n`,
    `Usage: faithctl ${synopsis(command)}${options.length > 0 ? ' [options]' : ''}\n`,
    ...about.map((paragraph) => `${wrap(paragraph, WIDTH).join('\n')}\n`),
    ...(words.length > 0 ? [section('Arguments', columns(words))] : []),
    ...(options.length > 0 ? [section('Options', optionLines(options))] : []),
    section('Options of every command', optionLines(GLOBAL_OPTIONS)),
    section(
      'Examples',
      examples.flatMap(([line, effect]) => [`  faithctl ${line}`, `      ${effect}`]),
    ),
  ]
  return parts.join('\n')
}

/** Makes the help of the commands that begin with a word. */
export function familyHelp(first: string): string {
  return `Usage: faithctl ${first} command\n\n${section('Commands', commandLines(familyOf(first)))}`
}

function section(title: string, lines: readonly string[]): string {
  return `${title}:\n${lines.join('\n')}\n`
}

function commandLines(commands: readonly Command[]): string[] {
  return columns(commands.map((command) => [synopsis(command), command.help]))
}

function optionLines(options: readonly Option[]): string[] {
  return columns(
    options.map((option) => [
      optionText(option),
      `${option.help}${option.fallback === undefined ? '' : ` [${option.fallback}]`}`,
    ]),
  )
}

/** Gives an option as one types it: `-w, --watch [SECONDS]`. */
export function optionText({ short, long, value, optional }: Option): string {
  const name = `${short === undefined ? '    ' : `-${short}, `}--${long}`
  if (value === undefined) return name
  return optional ? `${name} [${value}]` : `${name} ${value}`
}

/** Lays out terms and their explanations, which are wrapped. */
function columns(rows: readonly (readonly [term: string, explanation: string])[]): string[] {
  const widest = Math.min(30, Math.max(...rows.map(([{ length }]) => length)))
  return rows.flatMap(([term, explanation]) => {
    const [first = '', ...rest] = wrap(explanation, WIDTH - widest - 4)
    const indent = ' '.repeat(widest + 4)
    const head = `  ${term}`
    const begin =
      term.length > widest ? [head, `${indent}${first}`] : [`${head.padEnd(widest + 4)}${first}`]
    return [...begin, ...rest.map((line) => indent + line)]
  })
}
