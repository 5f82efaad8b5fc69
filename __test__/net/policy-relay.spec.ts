/** Tests examples/policy-relay.mjs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import type { FaithRefusal, FaithSession } from '../../index.js'
import { type Example, exampleFile, startExample } from '../fixtures/examples.js'
import { Sockets } from '../fixtures/sockets.js'

/** Public Internet addresses, which the lab's server has. */
const [here, there] = ['93.184.215.14', '93.184.216.34']

const lab = await createLab()
test.after.always(() => lab.close())

const client = Sockets.of(lab.client)
const servers = Sockets.of(lab.server)

test.before(async () => {
  for (const address of [here, there]) {
    await lab.server.run('ip', ['addr', 'add', `${address}/32`, 'dev', 'eth0'])
    await lab.router.run('ip', ['route', 'add', address, 'via', addresses.server])
  }
})

const file = join(lab.directory, 'blocked.txt')
const block = (...lines: string[]) => writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
/** Dials, and closes a connected client: the relay would wait for open sessions when it ends. */
async function dial(ipv4: string, port: number): Promise<string> {
  const near = client.dial(captured(ipv4), port)
  const outcome = await near.outcome()
  if (outcome === 'connected') near.resets()
  return outcome
}

interface Line extends Omit<FaithSession, 'reason'> {
  reason: (FaithSession | FaithRefusal)['reason']
  event: string
  blocked?: number
  because?: string
}

/** Starts the relay with a list of these lines. */
async function start(lines: readonly string[], args: readonly string[] = []): Promise<Example> {
  block(...lines)
  return await startExample(lab.router, 'policy-relay', [...args, file])
}

/** Makes the relay read its list again, and returns its log record about that. */
async function reload(relay: Example): Promise<Line> {
  const said = () => relay.log.filter(({ event }) => event === 'reloaded' || event === 'kept')
  const before = said().length
  relay.process.kill('SIGHUP')
  return (await waitFor('an answer to SIGHUP', () => said()[before])) as unknown as Line
}

let ports = 7700

/** A session through the relay, with both ends at hand. */
async function session(ipv4: string) {
  ports += 1
  const listening = await servers.listen(ports)
  const near = await client.connect(captured(ipv4), ports)
  return { port: ports, near, far: await listening.accept() }
}

test.serial('blocked networks and ports are prohibited, and nothing else', async (t) => {
  const lines = ['# a country', '', '93.184.216.0/24   # a provider', '203.0.114.0/24']
  await using relay = await start(lines, ['--block-port', '25', '--block-port', '7000-7002'])
  t.like(await relay.logs<Line>(({ event }) => event === 'ready'), { blocked: 2 })
  await Promise.all([25, 7001, 7003].map((port) => servers.listen(port)))

  t.is(await dial(here, 7003), 'connected')
  t.is(await dial(there, 7003), 'EACCES')
  t.is(await dial(here, 25), 'EACCES')
  t.is(await dial(here, 7001), 'EACCES')
  t.like(await relay.process.stop('SIGTERM'), { code: 0 })
})

test.serial('each session and each refusal is one line', async (t) => {
  await using relay = await start([there])
  const { port, near, far } = await session(here)
  near.says('hello')
  await far.hears('hello')
  near.ends()
  far.ends()
  t.is(await dial(there, port), 'EACCES')
  t.like(await relay.logs<Line>(({ reason }) => reason === 'closed'), {
    event: 'session',
    client: { address: addresses.client, port: await near.port() },
    destination: { address: '64:ff9b::5db8:d70e', port },
    server: { address: here, port },
    bytesUp: 5,
    bytesDown: 0,
  })
  const denied = await relay.logs<Line>(({ reason }) => reason === 'denied')
  t.like(denied, { event: 'refused', server: { address: there, port } })
  t.is(relay.log.filter(({ event }) => event === 'session').length, 1)
  t.like(await relay.process.stop('SIGINT'), { code: 0 })
})

test.serial('a list that is read again applies to new sessions, and ends none', async (t) => {
  await using relay = await start([there])
  const { port, near, far } = await session(here)
  block(here, '192.0.3.0/24')
  t.like(await reload(relay), { event: 'reloaded', blocked: 2 })

  t.is(await dial(here, port), 'EACCES')
  t.is(await dial(there, port), 'connected')
  near.says('still here')
  await far.hears('still here')
  far.says('so am I')
  await near.hears('so am I')
  near.ends()
  far.ends()
})

test.serial('blocked ports stay blocked when the list is read again', async (t) => {
  await servers.listen(2525)
  await using relay = await start([], ['--block-port', '2525'])
  t.like(await reload(relay), { event: 'reloaded', blocked: 0 })
  t.is(await dial(here, 2525), 'EACCES')
})

test.serial('an ending relay lets sessions finish', async (t) => {
  await using relay = await start([])
  const { port, near, far } = await session(here)
  await near.reaches(far)
  relay.process.kill('SIGTERM')
  await waitFor(
    'connections to be refused',
    async () => (await dial(here, port)) === 'ECONNREFUSED',
  )
  near.says('goodbye')
  await far.hears('.goodbye')
  near.ends()
  far.ends()
  t.like(await relay.process.exited, { code: 0 })
  // Selects the record by its bytes: a client that probed the relay may have left a refused attempt.
  const ended = await relay.logs<Line>(({ bytesUp }) => bytesUp === '.goodbye'.length)
  t.like(ended, { event: 'session', reason: 'closed' })
})

test.serial('a bad list is not put in force, and the error names its lines', async (t) => {
  await using relay = await start([there])
  const { port, near, far } = await session(here)
  block('# ours', here, '93.184.216.300', '', '93.184.216.0/33')
  const { because } = await reload(relay)
  t.regex(because ?? '', new RegExp(`^${file}:3: .*\n${file}:5: `))
  t.is(await dial(here, port), 'connected')
  t.is(await dial(there, port), 'EACCES')
  near.says('still here')
  await far.hears('still here')
  near.ends()
  far.ends()
})

for (const [what, line] of [
  ['no network', 'Atlantis'],
  ['a network of IPv6', '2001:db8::/32'],
  ['a network with host bits', '93.184.216.34/24'],
  ['more than a network', '93.184.216.0/24 port 80'],
] as const) {
  test.serial(
    `a line that is ${what} keeps it from starting, and the error names the line`,
    async (t) => {
      block('# ours', here, line)
      const { code, stdout, stderr } = await lab.router.run(process.execPath, [
        exampleFile('policy-relay'),
        file,
      ])
      t.is(code, 78)
      t.is(stdout, '')
      t.regex(stderr, new RegExp(`^${file}:3: .+\n$`))
    },
  )
}

test.serial('a missing file keeps it from starting', async (t) => {
  const args = [exampleFile('policy-relay'), '/missing.txt']
  const { code, stderr } = await lab.router.run(process.execPath, args)
  t.is(code, 78)
  t.regex(stderr, /^ENOENT: .*missing\.txt'\n$/)
})
