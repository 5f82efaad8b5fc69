/** A program's events when the host has no more descriptors for its relay or listener. */
import test from 'ava'
import { captured, waitFor } from '../../../lab/index.js'
import { leaveDescriptors } from '../../fixtures/descriptors.js'
import { Sockets } from '../../fixtures/sockets.js'
import { Program } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab } = await stage()

const client = Sockets.of(lab.client)
const server = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'

test.serial('a relay reports once that descriptors ran out, and so does a channel', async (t) => {
  await using program = await Program.start(lab.router)
  await program.ask('subscribe', 'faithd:exhausted')
  await program.keepfaith(true)
  await using faith = await program.create()
  const relay = await faith.relay({ ports: 'all', accessList })
  await server.listen(7401, { greet: 'welcome' })
  // Opens a first session: a later one needs only its own descriptors.
  const first = await client.connect(captured(), 7401)
  await first.hears('welcome')
  t.deepEqual(await program.ask('published'), [])

  await leaveDescriptors(lab.router, program.process.pid, 12)
  const others = Array.from({ length: 100 }, () => client.dial(captured(), 7401))
  const outcomes = await Promise.all(others.map((end) => end.outcome()))
  t.true(outcomes.includes('ECONNREFUSED'), `${outcomes.join(' ')}`)
  const [shortage] = await waitFor('the shortage to be reported', async () => {
    const { exhausted } = await relay.told()
    return exhausted.length > 0 ? exhausted : undefined
  })
  t.is(shortage?.resource, 'descriptors')
  t.regex(
    shortage?.message ?? '',
    /^out of descriptors of the process \(ulimit -n\): Too many open files/,
  )

  for (const end of [first, ...others]) end.resets()
  const served = async () => (await client.dial(captured(), 7401).outcome()) === 'connected'
  await waitFor('clients to be served again', served)
  t.deepEqual((await relay.told()).exhausted, [shortage])
  t.deepEqual(await program.ask('published'), [
    ['faithd:exhausted', { interface: 'faith0', ...shortage }],
  ])
})

test.serial('a listener reports once that descriptors ran out, and goes on', async (t) => {
  await using program = await Program.start(lab.router)
  await program.ask('subscribe', 'faithd:exhausted')
  await program.keepfaith(true)
  await using faith = await program.create()
  const listener = await faith.listen({ port: 7402 })
  await listener.watch('exhausted')

  await leaveDescriptors(lab.router, program.process.pid, 8)
  const clients = Array.from({ length: 40 }, () => client.dial(captured(), 7402))
  const told = async () => (await listener.told()).exhausted
  await waitFor('the shortage to be reported', async () => (await told()).length > 0)
  const shortage = {
    resource: 'descriptors',
    message: 'out of descriptors of the process (ulimit -n): Too many open files (os error 24)',
  }
  await leaveDescriptors(lab.router, program.process.pid, 100)
  const accepted = await listener.iterate(clients.length)
  t.is(accepted.length, clients.length, 'waiting clients are accepted afterwards')
  t.deepEqual(await told(), [shortage])
  t.deepEqual(await program.ask('published'), [
    ['faithd:exhausted', { interface: 'faith0', ...shortage }],
  ])
})
