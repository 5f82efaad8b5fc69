/** The command line of faithctl, and its help. */
import test from 'ava'
import type { Command } from '../cli/ctl/command.js'
import { GLOBAL_OPTIONS } from '../cli/ctl/command-options.js'
import { COMMANDS } from '../cli/ctl/command-table.js'
import { commandHelp, familyHelp, generalHelp, optionText } from '../cli/ctl/help.js'
import { CommandLineError, OPTIONS, parseLine } from '../cli/ctl/parse.js'
import { socketPath } from '../cli/ctl/socket-path.js'

const commands: readonly Command[] = COMMANDS

/** Splits an example as a shell does, up to a pipe or a redirection. */
function wordsOf(example: string): string[] {
  const words = [...example.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  )
  const end = words.findIndex((word) => word === '|' || word === '>')
  return end === -1 ? words : words.slice(0, end)
}

test('options stand before and behind the command', (t) => {
  for (const args of [
    ['--control', '/x', 'sessions', '--json', '-n', '5'],
    ['sessions', '-n5', '--control=/x', '--json'],
  ]) {
    const { command, given } = parseLine(args)
    t.is(command?.name, 'sessions')
    t.deepEqual([given.text('control'), given.text('limit'), given.has('json')], ['/x', '5', true])
  }
})

test('a command has one word or two', (t) => {
  const { command, words } = parseLine(['prefix', 'add', '2001:db8::/96'])
  t.is(command?.name, 'prefix add')
  t.deepEqual(words, ['2001:db8::/96'])
})

test('the seconds of --watch may be left out', (t) => {
  t.is(parseLine(['status', '--watch']).given.text('watch'), '2')
  t.is(parseLine(['status', '-w', '0.5']).given.text('watch'), '0.5')
  t.is(parseLine(['status', '--watch=7']).given.text('watch'), '7')
  const { given, words } = parseLine(['session', '--watch', '1-42'])
  t.is(given.text('watch'), '2')
  t.deepEqual(words, ['1-42'])
})

const wrong: [args: string[], complaint: RegExp][] = [
  [[], /^command missing; see faithctl --help$/],
  [['sesions'], /unknown command 'sesions'; did you mean 'sessions'\?/],
  [['frobnicate'], /^unknown command 'frobnicate'; see/],
  [
    ['interface'],
    /^interface: command missing: list, create, destroy; see faithctl interface --help/,
  ],
  [['interface', 'crate'], /'interface crate'; did you mean 'interface create'\?/],
  [['sessions', '--clinet', '::1'], /unknown option '--clinet'; did you mean '--client'\?/],
  [['status', '-q'], /^unknown option '-q'; see faithctl status --help$/],
  [['--frob'], /^unknown option '--frob'/],
  [['clients', '--client', '::1'], /'--client' does not go with clients; .* sessions, abort/],
  [['sessions', '--client'], /^--client: argument missing: ADDRESS/],
  [['sessions', '--client', '--json'], /^--client: argument missing: ADDRESS/],
  [['status', '--json=x'], /^--json: does not take an argument/],
  [['sessions', '-n', '1', '-n', '2'], /^-n: given twice/],
  [['session'], /^session: argument missing: ID; for example: faithctl session 1-42/],
  [['session', '1-1', '1-2'], /'1-2' is one argument too many/],
]
for (const [args, complaint] of wrong) {
  test(`faithctl ${args.join(' ')} is a usage error`, (t) => {
    const { message, exitCode } = t.throws(() => parseLine(args), { instanceOf: CommandLineError })
    t.regex(message, complaint)
    t.is(exitCode, 64)
  })
}

const path = (...args: string[]) => socketPath(parseLine(['status', ...args]).given)

test('the socket is that of --control, of --instance, or the usual one', (t) => {
  t.is(path(), '/run/faithd/faithd.sock')
  t.is(path('--instance', 'lab'), '/run/faithd/lab.sock')
  t.is(path('--control', '/tmp/x.sock'), '/tmp/x.sock')
  t.throws(() => path('--instance', 'lab', '--control', '/x'), { message: /one of them/ })
  t.throws(() => path('--instance', '../x'), { message: /not the name of an instance/ })
})

test('every example of the help is a legal command line', (t) => {
  for (const { name, examples } of commands) {
    t.true(examples.length > 0, name)
    for (const [line] of examples) t.is(String(parseLine(wordsOf(line)).command?.name), name, line)
  }
})

test('the help of a command explains its arguments and options, within 80 columns', (t) => {
  for (const command of commands) {
    const text = commandHelp(command)
    for (const { name } of command.arguments) t.true(text.includes(`\n  ${name} `), name)
    for (const option of [...command.options, ...GLOBAL_OPTIONS]) {
      t.true(text.includes(`\n  ${optionText(option)}`), `${command.name} --${option.long}`)
    }
    for (const line of text.split('\n')) t.true(line.length <= 80, line)
  }
})

test('the general help has every command, within 80 columns', (t) => {
  const text = generalHelp()
  for (const { name } of commands) t.regex(text, new RegExp(`^  ${name}\\b`, 'm'))
  for (const line of text.split('\n')) t.true(line.length <= 80, line)
  t.regex(familyHelp('prefix'), /prefix list .*prefix add .*prefix delete /s)
})

test('an option that several commands have is spelt the same in each', (t) => {
  for (const { name, options } of commands) {
    for (const { long, short, value, optional } of options) {
      const known = OPTIONS.get(long)
      t.deepEqual([known?.short, known?.value, known?.optional], [short, value, optional], name)
      const others = [...OPTIONS.values()].filter(
        (one) => one.short !== undefined && one.short === short,
      )
      t.true(others.length <= 1, `-${short}`)
    }
  }
})
