/** A process that exits while traffic flows leaves nothing behind, and no client waiting. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { captured, waitFor } from '../../lab/index.js'
import { descriptorsOf } from '../fixtures/descriptors.js'
import { configuration, gone, privateNamespaces, settled } from '../fixtures/remains.js'
import { Sockets } from '../fixtures/sockets.js'
import { traffic } from '../fixtures/traffic.js'
import { Program } from '../programs/program.js'
import { stage } from '../programs/stage.js'

const { lab } = await stage()
const clients = Sockets.of(lab.client)
test.before(() => Promise.all([settled(lab.router), lab.server.echo()]))

for (const [how, what, exit, stderr] of [
  ['exit', 'calls process.exit', { code: 3, signal: null }, /^$/],
  [
    'throw',
    'dies of an uncaught error',
    { code: 1, signal: null },
    /^\S+\/driver\.ts:\d+\n[^]+\n\nError: as told\n(?: {4}at .+\n)+\nNode\.js v[\d.]+\n$/,
  ],
] as const) {
  test.serial(`a process that ${what} ends all its connections and leaves nothing`, async (t) => {
    const before = await configuration(lab.router)
    const program = await Program.start(lab.router)
    await program.keepfaith(true)
    const { busy, quiet, held, waiting } = await traffic(program, clients)
    const networks = privateNamespaces(program.process.pid)
    t.is(networks.length, 2)
    await program.ask('die', how)
    t.deepEqual(await program.ended(), exit)
    t.regex(program.process.stderr, stderr)
    await t.notThrowsAsync(gone(lab.router, before, networks))
    for (const end of quiet) await end.sees('ECONNRESET')
    // Node reports a reset behind a short read as an end (libuv, uv__stream_io).
    for (const end of [...busy, ...waiting]) await end.sees('(?:end|ECONNRESET|EPIPE)')
    // Retransmitted SYNs find no listener, or no route.
    for (const end of held) t.regex(await end.outcome(), /^(?:ECONNREFUSED|ENETUNREACH)$/)
  })
}

test.serial('a process that exits ends connections that no handler has taken', async (t) => {
  const program = await Program.start(lab.router)
  await program.keepfaith(true)
  const faith = await program.create({ shortcut: false })
  await faith.listen({ port: 80 })
  const verdicts = { 81: { socket: true } } as const
  const relay = await faith.route({ port: 81 }, { verdicts, waits: [81] })
  await relay.take()

  const { pid } = program.process
  const before = descriptorsOf(pid)
  const told = await clients.connect(captured(), 80)
  await waitFor('the connection to arrive', () => descriptorsOf(pid) > before)
  const routed = clients.dial(captured(), 81)
  await waitFor('the route to be asked', async () => (await program.ask('undecided', 81)) > 0)

  // JavaScript knows the first connection, and will hear of no other.
  const [begun, over] = [join(lab.directory, 'begun'), join(lab.directory, 'over')]
  for (const asked of [program.ask('decide', 81), program.ask('exitFromBlock', begun, over)])
    asked.catch(() => undefined)
  await waitFor('JavaScript to block', () => existsSync(begun))
  const late = await clients.connect(captured(), 80)
  await routed.sees('connected')
  await waitFor('all connections to arrive', () => descriptorsOf(pid) >= before + 3)

  writeFileSync(over, '')
  t.deepEqual(await program.ended(), { code: 3, signal: null })
  for (const end of [told, routed, late]) await t.notThrowsAsync(end.sees('(?:end|ECONNRESET)'))
})
