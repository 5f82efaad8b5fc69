import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { GROUPS, OPTIONS, shownName } from '../cli/option-table.js'

const command = fileURLToPath(new URL('../cli/faithd.ts', import.meta.url))

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faithd-command-'))
})
test.after.always(() => rm(folder, { recursive: true }))

interface Outcome {
  code: unknown
  stdout: string
  stderr: string
}

/** Runs faithd until it ends. */
function faithd(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import=@oxc-node/core/register', command, ...args],
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    )
  })
}

test.serial('--help explains every option, with its default', async (t) => {
  const { code, stdout, stderr } = await faithd('--help')
  t.is(code, 0)
  t.is(stderr, '')
  t.regex(stdout, /^faithd: .*IPv6.*IPv4/)
  for (const each of OPTIONS) {
    const { short, fallback } = each
    const long = shownName(each)
    const option = short === undefined ? `      --${long} ` : `  -${short}, --${long} `
    const line = stdout.split('\n').find((candidate) => candidate.startsWith(option))
    t.truthy(line, option)
    if (fallback !== undefined) t.true(line?.endsWith(`[${fallback}]`), long)
  }
})

test.serial('--help fits a terminal of 100 columns, and groups the options', async (t) => {
  const { stdout } = await faithd('--help')
  for (const line of stdout.split('\n')) t.true(line.length <= 100, line)
  for (const title of GROUPS.keys()) t.true(stdout.includes(`\n${title}:\n`), title)
})

test.serial('-h is --help, and wins over all other arguments', async (t) => {
  const { code, stdout } = await faithd('-h', 'all')
  t.is(code, 0)
  t.regex(stdout, /Usage: faithd \[options\] \[service \[serverpath/)
})

test.serial('-V prints the version', async (t) => {
  const { code, stdout } = await faithd('-V')
  t.is(code, 0)
  t.regex(stdout, /^faithd \d+\.\d+\.\d+\n$/)
})

const misused: [args: string[], complaint: string][] = [
  [['--frobnicate'], "unknown option '--frobnicate'"],
  [['--mapping', 'rfc9999'], "--mapping: 'rfc9999' is not one of rfc6052, low32"],
  [['70000'], "port '70000' is out of range"],
]

for (const [args, complaint] of misused) {
  test.serial(`faithd ${args.join(' ')} is a usage error`, async (t) => {
    const { code, stdout, stderr } = await faithd('-k', ...args)
    t.is(code, 64)
    t.is(stdout, '')
    t.true(stderr.startsWith('faithd: '), stderr)
    t.true(stderr.includes(complaint), stderr)
    t.true(stderr.endsWith('; see faithd --help\n'), stderr)
    t.is(stderr.split('\n').length, 2, 'one line')
  })
}

test.serial('without -k faithd does not start, and names the reason and the remedy', async (t) => {
  const { code, stderr } = await faithd()
  t.is(code, 78)
  t.regex(stderr, /FATAL: keepfaith is 0, .*; set it to 1 with -k\n$/)
  t.is(stderr.split('\n').length, 2, 'one line')
})

test.serial('an invalid rule on the command line is a usage error', async (t) => {
  const { code, stderr } = await faithd('-k', '--permit', '10.0.0.0/8', '--deny', '10.0.0.1/8')
  t.is(code, 64)
  t.regex(
    stderr,
    /FATAL: command line:2: destination: .*write 10\.0\.0\.0\/8.*; see faithd --help\n$/,
  )
})

test.serial('a bad line of the access list ends faithd with 78, with file and line', async (t) => {
  const path = join(folder, 'faithd.conf')
  await writeFile(path, '# ours\n::/0 permit 198.51.100.0/24 prot 80\n')
  const { code, stderr } = await faithd('-k', '--permit', '10.0.0.0/8', '-f', path)
  t.is(code, 78)
  t.true(stderr.includes(` FATAL: ${path}:2: `), stderr)
  t.is(stderr.split('\n').length, 2, 'one line')
})

test.serial('without its access list faithd does not start', async (t) => {
  const path = join(folder, 'missing.conf')
  const { code, stderr } = await faithd('-k', '--acl', path)
  t.is(code, 78)
  t.regex(
    stderr,
    /FATAL: cannot read the access list .*missing\.conf: no such file or directory\n$/,
  )
})

test.serial('--log-format json makes each line an object', async (t) => {
  const { code, stderr } = await faithd('--log-format', 'json')
  t.is(code, 78)
  const line = JSON.parse(stderr) as { level: string; msg: string }
  t.is(line.level, 'fatal')
  t.regex(line.msg, /keepfaith/)
})

test.serial('--log-level silent prints nothing, and the exit code is the same', async (t) => {
  t.deepEqual(await faithd('--log-level', 'silent'), { code: 78, stdout: '', stderr: '' })
})

test.serial('-d shows the options in effect', async (t) => {
  const { stderr } = await faithd('-d', '--drain', '2.5')
  t.regex(stderr, /DEBUG: options: .*"drain":2\.5/)
})
