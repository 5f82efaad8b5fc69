/** Every program of examples/ has a spec over the lab, and answers a wrong call with its usage. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('..', import.meta.url))
const programs = readdirSync(`${root}examples`)

/** Wrong calls of each program. Each program finds the fault before it makes anything. */
const misused: Record<string, string[][]> = {
  'dns-server.mjs': [
    ['--port', '0'],
    ['--port', 'dns'],
    ['--prefix', '::/0'],
    ['2001:db8:64::/95'],
  ],
  'egress-gateway.mjs': [
    [],
    ['198.51.100.2'],
    ['198.51.100.2:0'],
    ['198.51.100.2:443', '198.51.100.0/33:443'],
    ['faith.test:443-80'],
    ['0.0.0.0/0#:443'],
    ['[2001:db8::1]:443'],
    ['--quota', '0', 'faith.test:443'],
    ['--quota', 'much', 'faith.test:443'],
  ],
  'honeypot.mjs': [
    ['--bytes', '0'],
    ['--seconds', '1e9'],
    ['--guests', 'many'],
    ['--port', '22'],
    ['2001:db8:64::/95'],
  ],
  'http-prefix.mjs': [['--port', '0'], ['--port', 'http'], ['--ports', '80'], ['198.51.100.0/24']],
  'own-names.mjs': [[], ['one.txt', 'two.txt'], ['--name', 'internal', 'one.txt']],
  'policy-relay.mjs': [
    [],
    ['one.txt', 'two.txt'],
    ['--block-port', 'smtp', 'list.txt'],
    ['--allow-port', '25', 'list.txt'],
  ],
  'recording-relay.mjs': [
    [],
    ['records'],
    ['records', '198.51.100.0/33'],
    ['records', 'faith.test'],
    ['records', '2001:db8::1'],
    ['--all', 'records', '198.51.100.2'],
  ],
  'sni-router.mjs': [[], ['blue.example'], ['=192.0.2.1'], ['blue.example=192.0.2.1:https']],
}

/** Runs a program to its end. */
function run(program: string, args: readonly string[]) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    const command = [`${root}examples/${program}`, ...args]
    execFile(process.execPath, command, { timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    )
  })
}

test('each program has a spec of its name over the lab', (t) => {
  t.true(programs.length >= 7, 'the programs are found')
  const specs = readdirSync(`${root}__test__/net`, { recursive: true, encoding: 'utf8' })
  for (const program of programs) {
    const name = program.replace(/\.mjs$/, '')
    const file = specs.find((path) => basename(path) === `${name}.spec.ts`)
    const spec = readFileSync(`${root}__test__/net/${file}`, 'utf8')
    t.regex(spec, new RegExp(`'${name}'`), 'which starts it')
  }
})

test('each program is listed in the README', (t) => {
  const readme = readFileSync(`${root}README.md`, 'utf8')
  for (const program of programs) t.true(readme.includes(`](examples/${program})`), program)
})

for (const program of programs) {
  test.serial(`${program} answers a wrong call with its usage`, async (t) => {
    const calls = misused[program] ?? []
    t.true(calls.length > 0, 'it has wrong calls')
    for (const args of calls) {
      const { code, stdout, stderr } = await run(program, args)
      t.is(code, 64, args.join(' '))
      t.is(stdout, '', args.join(' '))
      t.regex(stderr, new RegExp(`^.+\nusage: node examples/${program} .+\n$`), args.join(' '))
    }
  })
}
