/** A captured connection is a socket like Node's own, and knows the address that its client dialled. */
import { readdirSync } from 'node:fs'
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import type { Faith } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { router, client } = await stage()

const server = captured()

/** Both ends of a captured connection. */
async function connection(faith: Faith, options: object = {}) {
  const listener = await faith.listen({ port: 80, ...options })
  const dialled = await client.dial(server, 80)
  return { listener, dialled, accepted: await listener.accept() }
}

const descriptors = () => readdirSync(`/proc/${router.process.pid}/fd`).length

test.serial(
  'a captured socket is a net.Socket with both its ends and its destination',
  async (t) => {
    await using faith = await router.create()
    const { dialled, accepted } = await connection(faith)
    const { local } = await dialled.look()
    t.deepEqual(accepted.facts, {
      isNodeSocket: true,
      local: '[64:ff9b::c633:6402]:80',
      remote: `[${addresses.client}]:${local.port}`,
      destination: {
        address: '64:ff9b::c633:6402',
        port: 80,
        ipv4: addresses.server,
        ipv4Port: 80,
        prefix: '64:ff9b::/96',
        interface: 'faith0',
      },
    })
  },
)

test.serial('a captured socket keeps its addresses after its close', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  const { local, remote } = await accepted.look()
  t.like(local, { address: '64:ff9b::c633:6402', port: 80 })
  await dialled.end()
  await accepted.end()
  await accepted.receive()
  await waitFor('close', async () => (await accepted.happened()).includes('close'))
  t.like(await accepted.look(), { destroyed: true, local, remote })
})

test.serial('bytes arrive unchanged, both ways at once', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  const bytes = 16 * 2 ** 20
  const [up, upArrived, down, downArrived] = await Promise.all([
    dialled.send('up', bytes),
    accepted.receive(bytes),
    accepted.send('down', bytes),
    dialled.receive(bytes),
  ])
  t.deepEqual(upArrived, { bytes, sha256: up })
  t.deepEqual(downArrived, { bytes, sha256: down })
  t.not(up, down)
})

test.serial('web streams carry the same bytes, and closing one ends that direction', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  const bytes = 16 * 2 ** 20
  const streams = router.ask('viaWebStreams', accepted.id, 'down', bytes)
  const [up, downArrived] = await Promise.all([dialled.send('up', bytes), dialled.receive()])
  t.like(await accepted.look(), { destroyed: false }, 'the other direction is still open')
  await dialled.end()
  const { received, sent } = await streams
  t.deepEqual(downArrived, { bytes, sha256: sent })
  t.deepEqual(received, { bytes, sha256: up })
})

test.serial('setTimeout reports a silent client, and keeps the connection', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  await router.ask('timesOut', accepted.id, 50)
  t.deepEqual(await accepted.happened(), [])
  await dialled.write('still here\n')
  t.is(await accepted.line(), 'still here')
  await accepted.write('here too\n')
  t.is(await dialled.line(), 'here too')
})

test.serial('a captured socket stays writable after its client has ended', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  await dialled.end()
  t.like(await accepted.receive(), { bytes: 0 })
  await accepted.write('there is more\n')
  t.is(await dialled.line(), 'there is more')
  await accepted.end()
  t.like(await dialled.receive(), { bytes: 0 })
  await waitFor('close', async () => (await accepted.happened()).includes('close'))
})

test.serial('without allowHalfOpen it ends when its client does', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith, { allowHalfOpen: false })
  await dialled.end()
  t.like(await accepted.receive(), { bytes: 0 })
  t.like(await dialled.receive(), { bytes: 0 })
  await waitFor('close', async () => (await accepted.happened()).includes('close'))
  t.deepEqual(await accepted.happened(), ['close'])
})

test.serial('with pauseOnConnect nothing is read until the program reads', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith, { pauseOnConnect: true })
  await dialled.write('wait\n')
  const taken = (await faith.stats()).captured.packets
  await dialled.write('for it\n')
  await waitFor('the bytes to be captured', async () => {
    return (await faith.stats()).captured.packets > taken
  })
  t.like(await accepted.look(), { bytesRead: 0 })
  t.is(await accepted.line(), 'wait')
  t.is(await accepted.line(), 'for it')
})

test.serial('a reset by the client is an ECONNRESET', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  const reading = accepted.receive()
  await dialled.reset()
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
  t.deepEqual(await accepted.happened(), ['error ECONNRESET', 'close'])
})

test.serial('destroy ends the connection with a FIN, without an error', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  await router.ask('destroy', accepted.id)
  t.like(await dialled.receive(), { bytes: 0 })
  await router.ask('closed', accepted.id)
  t.deepEqual(await accepted.happened(), ['close'])
})

test.serial('resetAndDestroy resets the client', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  const reading = dialled.receive()
  await accepted.reset()
  await t.throwsAsync(reading, { code: 'ECONNRESET' })
})

test.serial('a thousand sockets leave no descriptor', async (t) => {
  await using faith = await router.create()
  const listener = await faith.listen({ ports: 'all' }, 'here')
  const ports = Array.from({ length: 500 }, (_, index) => 1000 + index)
  await client.greetings(server, ports)
  await listener.close()
  await faith.close()
  const before = descriptors()

  await using again = await router.create()
  const second = await again.listen({ ports: 'all' }, 'here')
  await client.greetings(server, ports)
  await client.greetings(server, ports)
  await second.close()
  await again.close()
  await waitFor('the descriptors to be closed', () => descriptors() <= before)
  t.true(descriptors() <= before)
})
