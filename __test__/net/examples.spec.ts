/** Every program of examples/ reports when it cannot create its interface, and when it loses it. */
import { readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { createLab } from '../../lab/index.js'
import { exampleFile, startExample } from '../fixtures/examples.js'

const lab = await createLab()
test.after.always(() => lab.close())

const blocked = join(lab.directory, 'blocked.txt')
writeFileSync(blocked, '192.0.2.0/24\n')

const programs: [name: string, args: string[]][] = [
  ['egress-gateway', ['198.51.100.2:443']],
  ['honeypot', []],
  ['http-prefix', []],
  ['policy-relay', [blocked]],
  ['recording-relay', [join(lab.directory, 'records'), '198.51.100.0/24']],
  ['sni-router', ['blue.example=198.51.100.2']],
]

test('the list has every program of examples/', (t) => {
  const files = readdirSync(dirname(exampleFile('any')))
  t.deepEqual(
    files.toSorted(),
    programs.map(([name]) => `${name}.mjs`),
  )
})

async function ip(...args: string[]): Promise<void> {
  const { code, stderr } = await lab.router.run('ip', args)
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

for (const [name, args] of programs) {
  test.serial(`${name} explains in one line why it cannot create its interface`, async (t) => {
    await ip('link', 'add', 'faith0', 'type', 'veth', 'peer', 'name', 'faith1')
    const outcome = await lab.router.run(process.execPath, [exampleFile(name), ...args])
    await ip('link', 'del', 'faith0')
    t.like(outcome, { code: 69, stdout: '' })
    t.regex(outcome.stderr, /^cannot create faith0: .*; .+\n$/)
  })

  test.serial(`${name} reports the loss of its interface in one line`, async (t) => {
    await using example = await startExample(lab.router, name, args)
    await ip('link', 'del', 'faith0')
    t.like(await example.process.exited, { code: 69 })
    t.regex(example.process.stderr, /^.*faith0.*\n$/)
  })
}
