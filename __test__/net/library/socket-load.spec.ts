/** Many captured sockets at once, large streams, and readers that do not read. */
import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { Program, type Faith } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const server = captured()
const MiB = 2 ** 20

const descriptors = (): number => readdirSync(`/proc/${router.process.pid}/fd`).length

/** Resident memory of the process in bytes. */
function resident(): number {
  const status = readFileSync(`/proc/${router.process.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

async function connection(faith: Faith, options: object = {}) {
  const listener = await faith.listen({ port: 80, ...options })
  const dialled = await client.dial(server, 80)
  return { dialled, accepted: await listener.accept() }
}

test.serial('five thousand sockets at once all end with their interface', async (t) => {
  const count = 5000
  await using faith = await router.create()
  const before = descriptors()
  const listener = await faith.listen({ port: 80 })
  await router.ask('echoEach', listener.id)
  t.is(await client.ask('crowd', server, 80, count), count)
  t.true(descriptors() >= before + count, 'all sockets are open')
  await faith.close()
  await waitFor('all of them to end', async () => {
    const endings = await client.ask('endings')
    return Object.values(endings).reduce((sum, ended) => sum + ended, 0) === count
  })
  t.deepEqual(await client.ask('endings'), { ECONNRESET: count })
  await waitFor('the descriptors to be closed', () => descriptors() <= before)
})

test.serial('an unread socket blocks its client, and uses no memory', async (t) => {
  for (const options of [{}, { pauseOnConnect: true }]) {
    await using faith = await router.create()
    const listener = await faith.listen({ port: 80, ...options })
    await router.ask('ignore', listener.id)
    await using _ = { [Symbol.asyncDispose]: () => listener.close() }
    const near = Sockets.of(lab.client)
    const flooding = await near.connect(server, 80)
    const before = resident()
    flooding.floods()
    await flooding.isBlocked()
    const { sent } = await flooding.status()
    const grown = resident() - before
    t.true(grown < 16 * MiB, `${grown} bytes more, of ${sent} sent`)
    await near.stop()
  }
})

for (const [how, bytes, collects] of [
  ['', 1024 * MiB, false],
  [', while garbage is collected all the time', 256 * MiB, true],
] as const) {
  test.serial(`${bytes / MiB} MiB arrive unchanged through a pipeline${how}`, async (t) => {
    await using faith = await router.create()
    const { dialled, accepted } = await connection(faith)
    if (collects) await router.ask('collect', true)
    const arriving = router.ask('pipeline', accepted.id)
    const sha256 = await dialled.send('upload', bytes)
    await dialled.end()
    t.deepEqual(await arriving, { bytes, sha256 })
    await router.ask('collect', false)
  })
}

test.serial('garbage collection leaves working objects alone', async (t) => {
  await using faith = await router.create()
  await router.ask('collect', true)
  const listener = await faith.listen({ port: 80 })
  await router.ask('echoEach', listener.id)
  const verdicts = { 82: { socket: true } } as const
  const relay = await faith.route({ ports: '82-89' }, { verdicts })
  await relay.take()
  const spliced = await faith.listen({ port: 81 })
  await lab.server.echo({ port: 7 })
  const ended = spliced.spliceEach({ host: '198.51.100.2', port: 7 }, 100)
  const [echoed, echoedBySplice] = await Promise.all([
    client.ask('echoes', server, 80, 200),
    client.ask('echoes', server, 81, 100),
  ])
  t.deepEqual([echoed, echoedBySplice, await ended], [200, 100, { closed: 100 }])
  for (let round = 0; round < 20; round += 1) {
    const dialled = await client.dial(server, 82)
    const accepted = await relay.accept()
    await dialled.write(`${round}\n`)
    t.is(await accepted.line(), `${round}`)
  }
  await router.ask('collect', false)
})

for (const [how, exit] of [
  ['exit', { code: 3, signal: null }],
  ['throw', { code: 1, signal: null }],
] as const) {
  test.serial(`a process ends by ${how} while traffic flows, without a crash`, async (t) => {
    await using program = await Program.start(lab.router)
    await program.keepfaith(true)
    const name = `busy${how.length}`
    const faith = await program.create({ name, prefixes: [`64:ff9b:1:${how.length}::/96`] })
    const listener = await faith.listen({ ports: 'all' })
    await program.ask('echoEach', listener.id)
    const near = Sockets.of(lab.client)
    const ends = await Promise.all(
      [80, 81, 82, 83].map((port) => near.connect(`64:ff9b:1:${how.length}::1`, port)),
    )
    for (const end of ends) end.floods()
    await waitFor('traffic both ways', async () => {
      const status = await Promise.all(ends.map((end) => end.status()))
      return status.every(({ received }) => received > MiB)
    })
    await program.ask('die', how)
    t.deepEqual(await program.ended(), exit)
    await near.stop()
  })
}
