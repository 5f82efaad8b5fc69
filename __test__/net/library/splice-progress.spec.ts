/** The promise of a splice reports its connect and its bytes, and can abort it. */
import test from 'ava'
import { addresses, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes, connection, silence } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const servers = Sockets.of(lab.server)
const echo = { host: addresses.server, port: 7 }
const abortError = { code: 'ABORT_ERR', message: 'The operation was aborted' }
test.before(() => lab.server.echo(echo))

test.serial('a splice reports its connect, its bytes so far and its final bytes', async (t) => {
  await using faith = await router.create()
  const { caller, accepted } = await connection(faith, client)
  await caller.write('read before\n')
  t.is(await accepted.peek(), 'read before\n')
  const splice = await router.ask('beginSplice', accepted.id, echo)
  await router.ask('spliceConnected', splice)
  t.true((await accepted.look()).destroyed)
  t.is(await caller.line(), 'read before')
  const bytes = () => router.ask('spliceBytes', splice)
  await waitFor('both directions to be counted', async () => {
    const { bytesUp, bytesDown } = await bytes()
    return bytesUp === 12 && bytesDown === 12
  })
  await caller.write('and more\n')
  t.is(await caller.line(), 'and more')
  await caller.end()
  t.like(await router.ask('spliceEnd', splice), { reason: 'closed', bytesUp: 21, bytesDown: 21 })
  t.deepEqual(await bytes(), { bytesUp: 21, bytesDown: 21 })
})

test.serial('abort() ends a running splice, and resets both sides', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const listening = await servers.listen(port)
  const splice = await router.ask('beginSplice', accepted.id, { host, port })
  const server = await listening.accept()
  await router.ask('spliceConnected', splice)
  await caller.write('hello\n')
  await server.hears('hello\n')
  const reading = caller.receive()
  await router.ask('abortSplice', splice)
  t.like(await router.ask('spliceEnd', splice), { reason: 'aborted', bytesUp: 6, bytesDown: 0 })
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
  await server.sees('ECONNRESET')
  await closes(accepted)
  await router.ask('abortSplice', splice)
  t.deepEqual(await router.ask('spliceBytes', splice), { bytesUp: 6, bytesDown: 0 })
})

test.serial('abort() during the connect keeps a splice from starting', async (t) => {
  await using faith = await router.create()
  const { caller, accepted, host, port } = await connection(faith, client)
  const called = await silence(lab.server, port)
  const splice = await router.ask('beginSplice', accepted.id, { host, port })
  await called()
  await router.ask('abortSplice', splice)
  await t.throwsAsync(router.ask('spliceEnd', splice), abortError)
  await t.throwsAsync(router.ask('spliceConnected', splice), abortError)
  t.deepEqual(await router.ask('spliceBytes', splice), { bytesUp: 0, bytesDown: 0 })
  await caller.write('still here\n')
  t.is(await accepted.line(), 'still here')
})

test.serial(
  'a failed splice rejects both promises with one reason, without a warning',
  async (t) => {
    await using faith = await router.create()
    const { caller, accepted } = await connection(faith, client)
    const splice = await router.ask('beginSplice', accepted.id, { host: addresses.server, port: 9 })
    await t.throwsAsync(router.ask('spliceEnd', splice), { code: 'ECONNREFUSED' })
    await t.throwsAsync(router.ask('spliceConnected', splice), { code: 'ECONNREFUSED' })
    await caller.write('still here\n')
    t.is(await accepted.line(), 'still here')
    t.notRegex(router.process.stderr, /Unhandled|Warning/)
  },
)
