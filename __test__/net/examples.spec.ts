/** Every program of examples/ reports when it cannot create its interface, and releases what its clients held. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { addresses, captured, createLab, type Host } from '../../lab/index.js'
import { leakOf } from '../fixtures/crowd.js'
import { exampleFile, startExample } from '../fixtures/examples.js'
import { Sockets } from '../fixtures/sockets.js'

const lab = await createLab()
test.after.always(() => lab.close())

const blocked = join(lab.directory, 'blocked.txt')
writeFileSync(blocked, '192.0.2.0/24\n')
const hosts = join(lab.directory, 'hosts.txt')
writeFileSync(hosts, '192.0.2.7 db.internal\n')

/** An address of the public internet, which every relay permits; the lab's server has it. */
const publicly = '93.184.215.14'

/** The port is 0 for a program that takes datagrams alone. */
const programs: [name: string, port: number, args: string[]][] = [
  ['dns-server', 0, []],
  ['egress-gateway', 80, [`${publicly}:80`]],
  ['honeypot', 23, []],
  ['http-prefix', 80, []],
  ['own-names', 80, [hosts]],
  ['policy-relay', 80, [blocked]],
  ['recording-relay', 80, [join(lab.directory, 'records'), publicly]],
  ['sni-router', 443, ['blue.example=198.51.100.2']],
]

test('the list has every program of examples/', (t) => {
  const files = readdirSync(dirname(exampleFile('any')))
  t.deepEqual(
    files.toSorted(),
    programs.map(([name]) => `${name}.mjs`),
  )
})

const servers = Sockets.of(lab.server)

test.before(async () => {
  await ipOf(lab.server, ['addr', 'add', `${publicly}/32`, 'dev', 'eth0'])
  await ip('route', 'add', publicly, 'via', addresses.server)
  await servers.listen(80, { greet: 'the server is here\n', leave: 'end' })
})

async function ip(...args: string[]): Promise<void> {
  await ipOf(lab.router, args)
}

async function ipOf(host: Host, args: string[]): Promise<void> {
  const { code, stderr } = await host.run('ip', args)
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

for (const [name, port, args] of programs) {
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

  if (port === 0) continue
  test.serial(`${name} releases the descriptors of clients that leave early`, async (t) => {
    await using example = await startExample(lab.router, name, args)
    const program = {
      pid: example.process.pid,
      source: readFileSync(exampleFile(name), 'utf8'),
    }
    const target = { address: captured(publicly), port }
    t.is(await leakOf(lab.client, program, target, () => servers.hasServed(80)), 0)
  })
}
