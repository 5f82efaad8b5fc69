/** A captured socket uses its own read buffer, and still reads like every other socket. */
import test from 'ava'
import { captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import type { Faith } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()
const KiB = 2 ** 10

/** Both ends of a captured connection. */
async function connection(faith: Faith) {
  await using listener = await faith.listen({ port: 80 })
  const dialled = await client.dial(server, 80)
  return { dialled, accepted: await listener.accept() }
}

test.serial('chunks stay unchanged while their socket and others read on', async (t) => {
  await using faith = await router.create()
  const bytes = 300 * KiB + 1
  const each: Awaited<ReturnType<typeof connection>>[] = []
  while (each.length < 8) each.push(await connection(faith))
  const streams = each.map(async ({ dialled, accepted }, index) => {
    const reading = router.ask('chunks', accepted.id, bytes)
    const sent = await dialled.send(`stream ${index}`, bytes)
    return { sent, received: (await reading).sha256 }
  })
  for (const { sent, received } of await Promise.all(streams)) t.is(received, sent)
})

test.serial('chunks stay unchanged when their listener throws', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  const bytes = 1024 * KiB + 1
  const reading = router.ask('throwing', accepted.id, bytes)
  const sent = await dialled.send('thrown at', bytes)
  const { sha256, thrown, told } = await reading
  t.is(sha256, sent)
  t.true(thrown > 0)
  t.is(told, thrown)
})

test.serial(
  'a socket that is paused at each chunk reads everything within its limit',
  async (t) => {
    await using faith = await router.create()
    const { dialled, accepted } = await connection(faith)
    for (const bytes of [100, 4096 * KiB, 1, 100]) {
      const reading = router.ask('pausing', accepted.id, bytes)
      const sent = await dialled.send(`paused ${bytes}`, bytes)
      const { sha256, most } = await reading
      t.is(sha256, sent)
      t.true(most <= 256 * KiB, `${most} bytes`)
    }
  },
)

test.serial(
  'a socket that gets an encoding after flowing decodes the following bytes',
  async (t) => {
    await using faith = await router.create()
    const { dialled, accepted } = await connection(faith)
    const before = router.ask('chunks', accepted.id, 5)
    await dialled.send('five bytes', 5)
    await before
    const reading = router.ask('text', accepted.id)
    for (const piece of ['a', 'bc', 'def', 'g']) await dialled.write(piece)
    await dialled.end()
    t.is(await reading, Buffer.from('abcdefg').toString('base64'))
  },
)

test.serial('chunks hold little more memory than their bytes', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  // Sends small messages before and after large ones, for which the socket reads differently.
  for (const bytes of [100, 4 * KiB, 1024 * KiB + 100, 100, 20 * KiB, 2048 * KiB, 1]) {
    const reading = router.ask('chunks', accepted.id, bytes)
    const sent = await dialled.send(`${bytes} bytes`, bytes)
    const { sha256, chunks } = await reading
    t.is(sha256, sent)
    const wasteful = chunks.filter((chunk) => chunk.memory > 2 * chunk.bytes)
    t.deepEqual(wasteful, [], `of ${bytes} bytes`)
  }
})

test.serial('a paused socket notices its reset', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  await router.ask('pauseSocket', accepted.id)
  await dialled.reset()
  await waitFor('the reset', async () => (await accepted.happened()).length === 2)
  t.deepEqual(await accepted.happened(), ['error ECONNRESET', 'close'])
})

test.serial('a socket that is read in small pieces buffers no more than its limit', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  const near = Sockets.of(lab.client)
  const flooding = await near.connect(server, 80)
  const { id } = await listener.accept()
  flooding.floods()
  await flooding.isBlocked()
  const most = await router.ask('nibble', id, 500)
  t.true(most >= 16 * KiB, `${most} bytes, enough to fill the buffer`)
  t.true(most <= 256 * KiB, `${most} bytes`)
  await near.stop()
})
