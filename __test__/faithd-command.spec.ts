import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { TABLE } from '../cli/options.js'

const command = fileURLToPath(new URL('../cli/faithd.ts', import.meta.url))

interface Outcome {
  code: unknown
  stdout: string
  stderr: string
}

/** Runs faithd to its end. */
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
  for (const { long, short, fallback } of TABLE) {
    const option = short === undefined ? `      --${long} ` : `  -${short}, --${long} `
    const line = stdout.split('\n').find((candidate) => candidate.startsWith(option))
    t.truthy(line, option)
    if (fallback !== undefined) t.true(line?.endsWith(`[${fallback}]`), long)
  }
})

test.serial('-h is --help, and goes before everything else', async (t) => {
  const { code, stdout } = await faithd('-h', 'all')
  t.is(code, 0)
  t.regex(stdout, /Usage: faithd \[options\] \[service\]/)
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

test.serial('without -k faithd does not start, and says why and what to do', async (t) => {
  const { code, stderr } = await faithd()
  t.is(code, 78)
  t.regex(stderr, /FATAL: keepfaith is 0, .*; set it to 1 with -k\n$/)
  t.is(stderr.split('\n').length, 2, 'one line')
})

test.serial('--log-format json makes each line an object', async (t) => {
  const { code, stderr } = await faithd('--log-format', 'json')
  t.is(code, 78)
  const line = JSON.parse(stderr) as { level: number; msg: string }
  t.is(line.level, 60)
  t.regex(line.msg, /keepfaith/)
})

test.serial('--log-level silent says nothing, and the exit code still tells', async (t) => {
  t.deepEqual(await faithd('--log-level', 'silent'), { code: 78, stdout: '', stderr: '' })
})

test.serial('-d shows the options in effect', async (t) => {
  const { stderr } = await faithd('-d', '--drain', '2.5')
  t.regex(stderr, /DEBUG: options: .*"drain":2500/)
})
