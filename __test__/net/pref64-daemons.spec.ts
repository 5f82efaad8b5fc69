/**
 * The daemons of Debian read what `faithd pref64` prints for them. One that is too old for the option stumbles over that
 * option and over nothing before it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { pref64 } from '../../cli/pref64/command.js'
import type { Advertiser } from '../../cli/pref64/recipes.js'
import { run } from '../fixtures/run.js'

const folder = mkdtempSync(join(tmpdir(), 'faithd-pref64-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** A daemon that checks files: where the text goes, and where a version without the option stumbles. */
interface Checked {
  program: string
  version: string
  /** The first version that has the option. */
  since: readonly [major: number, minor: number]
  check(file: string): string[]
  around: readonly [before: string, after: string]
  /** The line of the text that an older version complains of. */
  stumbles: RegExp
}

const daemons: Partial<Record<Advertiser, Checked>> = {
  radvd: {
    program: '/usr/sbin/radvd',
    version: '--version',
    since: [2, 20],
    check: (file) => ['-c', '-C', file],
    around: ['interface lo\n{\nAdvSendAdvert on;\n', '};\n'],
    stumbles: /^nat64prefix /,
  },
  bird: {
    program: '/usr/sbin/bird',
    version: '--version',
    since: [2, 14],
    check: (file) => ['-p', '-c', file],
    around: [
      'router id 192.0.2.1;\nprotocol device {}\nprotocol radv {\ninterface "lo" {\n',
      '};\n}\n',
    ],
    stumbles: /^custom option /,
  },
}

for (const [name, daemon] of Object.entries(daemons)) {
  const texts = (...args: string[]) => pref64(['--for', name, ...args])

  test(`${name} reads what is printed for it`, async (t) => {
    await reads(t, daemon, await texts('-P', '64:ff9b::/96'))
    await reads(t, daemon, await texts('-P', '64:ff9b::/96', '-P', '2001:db8:64::/48'))
    await reads(t, daemon, await texts('-P', '2001:db8::/32', '--lifetime', '65528'))
  })
}

async function reads(t: ExecutionContext, daemon: Checked, text: string): Promise<void> {
  const { program, check } = daemon
  const [before, after] = daemon.around
  const empty = await checked(daemon, before + after)
  t.is(empty.code, 0, empty.stderr)

  const config = before + text + after
  const { code, stderr } = await checked(daemon, config)
  if (await hasOption(daemon)) {
    t.is(code, 0, `${program} ${check('FILE').join(' ')}: ${stderr}`)
    return
  }
  t.is(code, 1, stderr)
  const [, line] = /\.conf:(\d+)\b.*syntax error/.exec(stderr) ?? []
  t.regex(config.split('\n')[Number(line) - 1] ?? '', daemon.stumbles, stderr)
  // The first one: the lines before it have been read.
  const first = config.split('\n').findIndex((each) => daemon.stumbles.test(each))
  t.is(Number(line), first + 1)
}

async function hasOption({ program, version, since }: Checked): Promise<boolean> {
  const { stdout, stderr } = await run(program, [version])
  const [, major, minor] = /(\d+)\.(\d+)/.exec(stdout + stderr) ?? []
  const [first, second] = since
  return Number(major) > first || (Number(major) === first && Number(minor) >= second)
}

let files = 0
async function checked({ program, check }: Checked, text: string) {
  files += 1
  const file = join(folder, `${files}.conf`)
  writeFileSync(file, text)
  return await run(program, check(file))
}
