/** The completions of bash, zsh and fish, with the words that a daemon has now. */
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { COMMANDS } from '../cli/ctl/command-table.js'
import { completeFaithctl } from '../cli/ctl/complete.js'
import { completeFaithd } from '../cli/ctl/complete-faithd.js'
import { ControlSocket } from './fixtures/fake-daemon.js'
import { faithctlCommand } from './fixtures/faithctl.js'
import { Tmux } from './fixtures/tmux.js'

const execute = promisify(execFile)
const socket = await ControlSocket.open()
const folder = mkdtempSync(join(tmpdir(), 'faithctl-completion-'))
test.after.always(() => {
  socket.close()
  rmSync(folder, { recursive: true })
})
// The shells find faithctl on the path.
const program = join(folder, 'faithctl')
writeFileSync(program, `#!/bin/sh\nexec ${faithctlCommand.join(' ')} "$@"\n`)
chmodSync(program, 0o755)
const env = {
  ...process.env,
  PATH: `${folder}:${process.env['PATH']}`,
  LC_ALL: 'C.UTF-8',
  HOME: folder,
}

const live = (kind: string, path: string) =>
  Promise.resolve([{ word: `${kind}@${path}`, help: '' }])

/** The words that may come next, with a daemon that has one of each. */
async function words(line: string): Promise<string[] | 'files'> {
  const candidates = await completeFaithctl(line.split(' ').slice(1), live)
  return candidates === 'files' ? candidates : candidates.map(({ word }) => word)
}

test('commands are completed, and their second words', async (t) => {
  const first = new Set(COMMANDS.map(({ name }) => name.split(' ')[0] ?? ''))
  t.deepEqual(new Set(await words('faithctl ')), first)
  t.deepEqual(await words('faithctl --control /x se'), ['sessions', 'session'])
  t.deepEqual(await words('faithctl interface '), ['list', 'create', 'destroy'])
  t.deepEqual(await words('faithctl help prefix d'), ['delete'])
})

test('options are those of the command, without the ones that were given', async (t) => {
  const given = await words('faithctl sessions --json --')
  t.true(given.includes('--client') && given.includes('--control'))
  t.false(given.includes('--json') || given.includes('--yes'))
  t.deepEqual(await words('faithctl --'), ['--control', '--instance', '--help', '--version'])
  t.deepEqual(await words('faithctl interface create x -P 2001:db8::/96 --pr'), ['--prefix'])
})

test('values are completed behind a blank and behind an equals sign', async (t) => {
  t.deepEqual(await words('faithctl sessions --sort cl'), ['client'])
  t.deepEqual(await words('faithctl clients --sort r'), ['rate'])
  t.deepEqual(await words('faithctl sessions --state=cl'), ['--state=client-closed'])
  t.deepEqual(await words('faithctl log-level d'), ['debug'])
  t.deepEqual(await words('faithctl completion '), ['bash', 'zsh', 'fish'])
  t.is(await words('faithctl --control '), 'files')
  t.deepEqual(await words('faithctl sessions --tag '), [])
})

test('sessions, interfaces, prefixes and clients come from the daemon that the line names', async (t) => {
  const usual = '/run/faithd/faithd.sock'
  t.deepEqual(await words('faithctl session '), [`session@${usual}`])
  t.deepEqual(await words('faithctl abort 1-1 '), [`session@${usual}`])
  t.deepEqual(await words('faithctl --instance lab interface destroy '), [
    'interface@/run/faithd/lab.sock',
  ])
  t.deepEqual(await words('faithctl --control=/x prefix delete '), ['prefix@/x'])
  t.deepEqual(await words('faithctl --control /x sessions -c '), ['client@/x'])
  t.deepEqual(await words('faithctl status '), [])
})

function faithd(line: string): string[] | 'files' {
  const candidates = completeFaithd(line.split(' ').slice(1))
  return candidates === 'files' ? candidates : candidates.map(({ word }) => word)
}

test('faithd is completed from its own options', (t) => {
  t.deepEqual(faithd('faithd --log-f'), ['--log-facility', '--log-format'])
  t.deepEqual(faithd('faithd --log-level d'), ['debug'])
  t.deepEqual(faithd('faithd --mapping=l'), ['--mapping=low32'])
  t.is(faithd('faithd -c '), 'files')
  t.is(faithd('faithd --acl /etc'), 'files')
  t.deepEqual(faithd('faithd -k a'), ['all'])
  t.deepEqual(faithd('faithd --no-rou'), ['--no-routes'])
})

test('install-service is completed as the first word, and its options behind it', (t) => {
  t.deepEqual(faithd('faithd '), ['all', 'install-service', 'pref64'])
  t.deepEqual(faithd('faithd inst'), ['install-service'])
  t.deepEqual(faithd('faithd -k inst'), [])
  t.deepEqual(faithd('faithd install-service '), ['--instance', '--root', '--print', '--force'])
  t.deepEqual(faithd('faithd install-service --print --i'), ['--instance'])
  t.deepEqual(faithd('faithd install-service --instance '), [])
  t.is(faithd('faithd install-service --root '), 'files')
})

test('pref64 is completed as the first word, and its options and daemons behind it', (t) => {
  t.deepEqual(faithd('faithd pre'), ['pref64'])
  t.deepEqual(faithd('faithd -k pre'), [])
  t.deepEqual(faithd('faithd pref64 --for '), ['radvd', 'networkd', 'bird', 'odhcpd', 'vyos'])
  t.deepEqual(faithd('faithd pref64 --for n'), ['networkd'])
  t.deepEqual(faithd('faithd pref64 --for radvd --li'), ['--lifetime', '--link'])
  t.deepEqual(faithd('faithd pref64 -P 64:ff9b::/96 --pre'), ['--prefix'])
  t.deepEqual(faithd('faithd pref64 -P '), [])
  t.is(faithd('faithd pref64 -c '), 'files')
  t.is(faithd('faithd pref64 --control '), 'files')
})

/** Has a shell complete a line at its prompt, and waits for what it shows then. */
async function typed(
  shell: readonly string[],
  prepare: readonly string[],
  cases: readonly (readonly [line: string, shows: RegExp])[],
): Promise<string[]> {
  const variables = { PATH: env.PATH, HOME: folder, PS1: 'prompt$ ' }
  // The shells would break a long line.
  await using tmux = await Tmux.start(shell, { columns: 200, env: variables })
  for (const [index, line] of prepare.entries()) {
    await tmux.type(`${line}; echo ready-${index}-$((1 + 1))`)
    await tmux.press('Enter')
    await tmux.shows(new RegExp(`^ready-${index}-2$`, 'm'))
  }
  const screens: string[] = []
  for (const [line, shows] of cases) {
    await tmux.press('C-u', 'C-l')
    await tmux.type(line)
    await tmux.press('Tab', 'Tab')
    screens.push(await tmux.shows(shows))
  }
  return screens
}

const cases = [
  ['faithctl interface cr', /faithctl interface create/],
  [`faithctl --control ${socket.path} session 1`, /session 1-42/],
  [`faithctl --control ${socket.path} sessions --client 20`, /--client 2001:db8:1::\/64/],
  ['faithctl sessions --sort=cl', /--sort=client/],
  ['faithd --log-format j', /--log-format json/],
] as const

test.serial('bash completes at its prompt', async (t) => {
  const scripts = [
    'source <(faithctl completion bash)',
    'source <(faithctl completion bash faithd)',
  ]
  const shell = ['bash', '--norc', '--noprofile', '-i']
  t.is((await typed(shell, scripts, cases)).length, cases.length)
})

test.serial('zsh completes at its prompt', async (t) => {
  const scripts = [
    'autoload -U compinit && compinit -u',
    'source <(faithctl completion zsh)',
    'source <(faithctl completion zsh faithd)',
  ]
  t.is((await typed(['zsh', '-f', '-i'], scripts, cases)).length, cases.length)
})

test.serial('zsh finds the script as a file of its function path', async (t) => {
  const { stdout } = await execute(program, ['completion', 'zsh'])
  writeFileSync(join(folder, '_faithctl'), stdout)
  const scripts = [`fpath=(${folder} $fpath); autoload -U compinit && compinit -u`]
  const [first = ''] = await typed(['zsh', '-f', '-i'], scripts, cases.slice(0, 1))
  t.regex(first, /interface create/)
})

async function fish(line: string): Promise<string> {
  const sources = 'faithctl completion fish | source; faithctl completion fish faithd | source'
  const args = ['--no-config', '-c', `${sources}; complete -C '${line}'`]
  return (await execute('fish', args, { env })).stdout
}

test.serial('fish completes, with explanations', async (t) => {
  t.regex(await fish('faithctl interface cr'), /^create\tmake a faith interface/m)
  t.regex(
    await fish(`faithctl --control ${socket.path} session `),
    /^1-42\t2001:db8:1::7 to 198\.51\.100\.7:443, 3m12s$/m,
  )
  t.regex(await fish('faithctl sessions --st'), /^--state\topen, client-closed/m)
  t.regex(await fish('faithd --log-format '), /^json$/m)
  t.regex(await fish(`faithctl --control ${folder}/fai`), /faithctl/)
})
