import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { loadAccessList, reloadAccessList } from '../cli/access-list.js'
import { check } from '../cli/check.js'
import { ConfigurationError } from '../cli/complaints.js'
import { defaults } from '../cli/configuration.js'
import { createLog as createLogger } from '../cli/log.js'
import { originOf } from '../cli/origin.js'
import { parseOptions } from '../cli/options.js'
import { FaithError, type FaithRelay } from '../index.js'
import { configured, relayOf } from './fixtures/configured.js'

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faithd-access-command-'))
})
test.after.always(() => rm(folder, { recursive: true }))

let files = 0
async function file(content: string): Promise<string> {
  files += 1
  const path = join(folder, `${files}.conf`)
  await writeFile(path, content)
  return path
}

interface Line {
  level: string
  msg: string
}

/** A log that records its lines. */
function createLog() {
  const lines: Line[] = []
  const log = createLogger({ ...defaults().log, format: 'json' }, (line) =>
    lines.push(JSON.parse(line) as Line),
  )
  return { log, lines }
}

/** A relay that only records the lists it is given. */
function createRelay() {
  const set: unknown[][] = []
  const setAccessList = (...args: unknown[]): Promise<void> => {
    set.push(args)
    return Promise.resolve()
  }
  return { relay: { setAccessList } as unknown as FaithRelay, set }
}

test('the rules of the command line come before those of the file', async (t) => {
  const path = await file('# ours\n::/0 permit 198.51.100.0/24\n')
  const options = relayOf('--deny', '198.51.100.2', '-f', path, '--permit', '10.0.0.0/8')
  const { text, rules } = await loadAccessList(options)
  t.deepEqual(text.trimEnd().split('\n'), [
    '::/0 deny 198.51.100.2/32',
    '::/0 permit 10.0.0.0/8',
    `#line 1 "${path}"`,
    '# ours',
    '::/0 permit 198.51.100.0/24',
  ])
  t.is(rules, 3)
})

test('an error names the line of the file as an editor counts it', async (t) => {
  const path = await file('::/0 permit 198.51.100.0/24\n::/0 permit everything\n')
  const options = relayOf('--permit', '10.0.0.0/8', '--permit', '10.1.0.0/16', '-f', path)
  const error = await t.throwsAsync(loadAccessList(options), { instanceOf: FaithError })
  t.true(error?.message.startsWith(`${path}:2: `), error?.message)
})

test('a bad rule of the command line is a usage error', async (t) => {
  const args = ['--permit', '10.0.0.0/8', '--deny', '10.0.0.1/8']
  const origin = originOf(undefined, parseOptions(args).overrides)
  const error = await t.throwsAsync(check(configured(...args), origin), {
    instanceOf: ConfigurationError,
  })
  t.is(error?.exitCode, 64)
  t.regex(error?.message ?? '', /^command line:2: destination: .*write 10\.0\.0\.0\/8/)
})

test('SIGHUP puts the current file in force, and logs one line', async (t) => {
  const path = await file('::/0 permit 198.51.100.0/24\n')
  const options = relayOf('-f', path)
  await writeFile(path, '::/0 permit 198.51.100.0/24\n::/0 permit 203.0.113.0/24\n')
  const { log, lines } = createLog()
  const { relay, set } = createRelay()
  await reloadAccessList(relay, options, log)
  t.deepEqual(set, [
    [
      `#line 1 "${path}"\n::/0 permit 198.51.100.0/24\n::/0 permit 203.0.113.0/24\n`,
      { endDenied: false },
    ],
  ])
  t.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [['info', `SIGHUP: ${path} read again: 2 rules in force`]],
  )
})

test('with --end-denied SIGHUP ends the sessions that the new list denies', async (t) => {
  const { relay, set } = createRelay()
  const options = relayOf('--end-denied', '-f', await file('::/0 permit 10.0.0.0/8\n'))
  await reloadAccessList(relay, options, createLog().log)
  t.like(set[0]?.[1], { endDenied: true })
})

test('SIGHUP with a bad file keeps the list in force, and logs one line with the reason', async (t) => {
  const path = await file('one\n::/0 permit 10.0.0.0/8\nthree\n')
  const { log, lines } = createLog()
  const { relay, set } = createRelay()
  await reloadAccessList(relay, relayOf('-f', path), log)
  t.deepEqual(set, [])
  t.is(lines.length, 1)
  const [line] = lines
  t.is(line?.level, 'error')
  t.true(line?.msg.startsWith(`SIGHUP: the access list in force is kept: ${path}:1: `), line?.msg)
  t.true(line?.msg.includes(`; ${path}:3: `), line?.msg)
  t.false(line?.msg.includes('\n'))
})

test('SIGHUP with a missing file keeps the list in force', async (t) => {
  const path = join(folder, 'gone.conf')
  const { log, lines } = createLog()
  const { relay, set } = createRelay()
  await reloadAccessList(relay, relayOf('-f', path), log)
  t.deepEqual(set, [])
  t.regex(lines[0]?.msg ?? '', /is kept: cannot read .*gone\.conf: no such file or directory$/)
})

test('an empty file is legal, and logs a warning', async (t) => {
  const { log, lines } = createLog()
  const { relay, set } = createRelay()
  await reloadAccessList(relay, relayOf('-f', await file('# nothing\n')), log)
  t.is(set.length, 1)
  t.is(lines[0]?.level, 'warn')
  t.regex(lines[0]?.msg ?? '', /no rule, so every public destination is permitted$/)
})

test('SIGHUP without a file changes nothing, and logs how to name one', async (t) => {
  const { log, lines } = createLog()
  const { relay, set } = createRelay()
  await reloadAccessList(relay, relayOf('--permit', '10.0.0.0/8'), log)
  t.deepEqual(set, [])
  t.is(lines.length, 1)
  t.regex(lines[0]?.msg ?? '', /name one with -f$/)
})

test('SIGHUP warns of loopback rules in the file that have no effect', async (t) => {
  const { log, lines } = createLog()
  const path = await file('::/0 permit 127.0.0.1/32\n')
  await reloadAccessList(createRelay().relay, relayOf('-f', path), log)
  t.deepEqual(
    lines.map(({ level }) => level),
    ['info', 'warn'],
  )
  t.regex(lines[1]?.msg ?? '', /permits 127\.0\.0\.1\/32, .*--allow-loopback$/)
})
