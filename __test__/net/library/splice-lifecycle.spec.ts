/** Splices end with their interface or thread, keep their process running until then, and leave nothing behind. */
import { readdirSync } from 'node:fs'
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes, connection, silence, spliced } from '../../fixtures/splices.js'
import { Program } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const servers = Sockets.of(lab.server)
const echo = { host: addresses.server, port: 7 }
test.before(() => lab.server.echo(echo))

const descriptors = (): number => readdirSync(`/proc/${router.process.pid}/fd`).length

test.serial('closing the interface ends its splices, and resets both sides', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, server, ended } = await spliced(faith, client, servers)
  await waitFor('the splice to begin', async () => (await faith.stats()).splices.active === 1)
  const reading = caller.receive()
  await faith.close()
  t.like(await ended, { reason: 'aborted' })
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
  await server.sees('ECONNRESET')
  await closes(accepted)
})

test.serial('a splice fails as closed if its interface closes during the connect', async (t) => {
  await using faith = await router.create()
  const { accepted, host, port } = await connection(faith, client)
  const called = await silence(lab.server, port)
  const connecting = accepted.spliceTo({ host, port })
  connecting.catch(() => undefined)
  await called()
  await faith.close()
  await t.throwsAsync(connecting, { code: 'ERR_FAITH_CLOSED' })
  await t.throwsAsync(accepted.spliceTo(echo), { code: 'ERR_FAITH_CLOSED' })
})

test.serial('a process with only a splice left runs until that has ended', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  const faith = await program.create()
  const { listener, caller, server } = await spliced(faith, client, servers)
  await listener.close()
  program.process.stdin.end()
  await caller.write('there?\n')
  await server.hears('there?\n')
  server.says('here\n')
  t.is(await caller.line(), 'here')
  t.true(program.process.running)
  await caller.end()
  server.ends()
  t.deepEqual(await program.ended(), { code: 0, signal: null })
})

test.serial('an exiting process resets the server, without a crash', async (t) => {
  await using program = await Program.start(lab.router)
  await program.keepfaith(true)
  const { server } = await spliced(await program.create(), client, servers)
  await program.ask('die', 'exit')
  t.deepEqual(await program.ended(), { code: 3, signal: null })
  await t.notThrowsAsync(server.sees('ECONNRESET'))
})

test.serial('the end of a worker thread ends only its own splices', async (t) => {
  await using program = await Program.startInThread(lab.router)
  const faith = await program.create()
  const { caller, server } = await spliced(faith, client, servers)
  await waitFor('the splice to begin', async () => (await faith.stats()).splices.active === 1)
  const reading = caller.receive()
  program.process.stdin.write('terminate\n')
  await program.process.line(/^terminated$/)
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
  await server.sees('ECONNRESET')
  t.true(program.process.running)
})

test.serial('five hundred splices at once leak neither descriptors nor memory', async (t) => {
  const round = async () => {
    await using faith = await router.create()
    const listener = await faith.listen({ port: 80 })
    const counting = listener.spliceEach(echo, 500)
    t.is(await client.ask('echoes', captured(), 80, 500), 500)
    t.deepEqual(await counting, { closed: 500 })
    // Waits: the ends are reported before the last splice is gone.
    const splices = await waitFor('the last splice to be gone', async () => {
      const { splices: counted } = await faith.stats()
      return counted.active === 0 ? counted : undefined
    })
    t.like(splices, { ended: { closed: 500 } })
    t.is(splices.bytesUp, splices.bytesDown)
  }
  await round()
  const before = { descriptors: descriptors(), memory: await router.ask('memory') }
  await round()
  await round()
  await waitFor('the descriptors to be closed', () => descriptors() <= before.descriptors)
  const grown = (await router.ask('memory')) - before.memory
  t.true(grown < 2 ** 21, `JavaScript holds ${grown} bytes more`)
})
