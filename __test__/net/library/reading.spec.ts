/** A captured socket reads into memory of its own choice, and yet as every other socket does. */
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

test.serial('what one socket has read stays as it is while it and others read on', async (t) => {
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

test.serial('what was read stays as it is when its listener throws', async (t) => {
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
  'one that is paused at each chunk reads all, and no more meanwhile than it may',
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
  'one that is given an encoding after it has flowed decodes what comes next',
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

test.serial('what was read holds little more memory than it has bytes', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  // Small messages before and after much at once, when it reads otherwise.
  for (const bytes of [100, 4 * KiB, 1024 * KiB + 100, 100, 20 * KiB, 2048 * KiB, 1]) {
    const reading = router.ask('chunks', accepted.id, bytes)
    const sent = await dialled.send(`${bytes} bytes`, bytes)
    const { sha256, chunks } = await reading
    t.is(sha256, sent)
    const wasteful = chunks.filter((chunk) => chunk.memory > 2 * chunk.bytes)
    t.deepEqual(wasteful, [], `of ${bytes} bytes`)
  }
})

test.serial('one that is paused hears of its reset', async (t) => {
  await using faith = await router.create()
  const { dialled, accepted } = await connection(faith)
  await router.ask('pauseSocket', accepted.id)
  await dialled.reset()
  await waitFor('the reset', async () => (await accepted.happened()).length === 2)
  t.deepEqual(await accepted.happened(), ['error ECONNRESET', 'close'])
})

test.serial('one that is read in small pieces takes in no more than it may', async (t) => {
  await using faith = await router.create()
  await using listener = await faith.listen({ port: 80 })
  const near = Sockets.of(lab.client)
  const flooding = await near.connect(server, 80)
  const { id } = await listener.accept()
  flooding.floods()
  await flooding.isBlocked()
  const most = await router.ask('nibble', id, 500)
  t.true(most >= 16 * KiB, `${most} bytes, so that it has been full`)
  t.true(most <= 256 * KiB, `${most} bytes`)
  await near.stop()
})
