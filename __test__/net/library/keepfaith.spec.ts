/** keepfaith: nothing is captured until the program sets it. It applies from the first packet and at run time. */
import test from 'ava'
import { captured, waitFor } from '../../../lab/index.js'
import { Program, type Faith } from '../../programs/program.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()

const server = captured()

const dropped = async (faith: Faith) => (await faith.stats()).drops['keepfaith'] ?? 0

/** Waits for that many more drops because keepfaith is off. A packet and its retransmission count as two. */
async function dropsOf(faith: Faith, more: number): Promise<void> {
  const before = await dropped(faith)
  await waitFor(
    `${more} packets to be dropped`,
    async () => (await dropped(faith)) >= before + more,
  )
}

test.serial('keepfaith is off at first', async (t) => {
  await using fresh = await Program.start(lab.router)
  t.false(await fresh.keepfaith())
  t.true(await fresh.keepfaith(true))
  t.false(await fresh.keepfaith(false))
})

for (const call of ['listen', 'relay'] as const) {
  test.serial(
    `${call} fails before keepfaith is set, and the error gives the remedy`,
    async (t) => {
      await using fresh = await Program.start(lab.router)
      await using faith = await fresh.create()
      const error = await t.throwsAsync(faith[call]({ port: 80 }), { code: 'ERR_FAITH_KEEPFAITH' })
      t.regex(error.message, new RegExp(`faith\\.${call}: keepfaith is off`))
      t.like(error, { hint: 'call setKeepfaith(true) first' })

      await fresh.keepfaith(true)
      await t.notThrowsAsync(faith[call]({ port: 80 }))
    },
  )
}

test.serial(
  'an interface can be created before keepfaith is set, and captures nothing',
  async (t) => {
    await using fresh = await Program.start(lab.router)
    await using faith = await fresh.create()
    await using dialled = await client.begin(server, 80)
    await dropsOf(faith, 2)
    t.like(await dialled.look(), { connecting: true }, 'the client still waits')
    const { captured: taken, returned } = await faith.stats()
    t.deepEqual([taken.packets, returned.packets], [0, 0])
  },
)

test.serial(
  'a new connection gets no answer while keepfaith is off, and connects when it is on again',
  async (t) => {
    await using faith = await router.create()
    await faith.listen({ port: 80 }, 'here')
    await router.keepfaith(false)
    try {
      await using dialled = await client.begin(server, 80)
      await dropsOf(faith, 2)
      t.like(await dialled.look(), { connecting: true })

      await router.keepfaith(true)
      await dialled.connected()
      t.regex((await dialled.line()) ?? '', /"from":"here"/)
    } finally {
      await router.keepfaith(true)
    }
  },
)

test.serial(
  'an established connection stalls while keepfaith is off, and loses no byte',
  async (t) => {
    await using faith = await router.create()
    await using listener = await faith.listen({ port: 80 })
    await using dialled = await client.dial(server, 80)
    await using accepted = await listener.accept()
    await dialled.write('before\n')
    t.is(await accepted.line(), 'before')

    await router.keepfaith(false)
    try {
      const bytes = 8 * 2 ** 20
      const up = { sent: dialled.send('up', bytes), arrived: accepted.receive(bytes) }
      const down = { sent: accepted.send('down', bytes), arrived: dialled.receive(bytes) }
      await dropsOf(faith, 3)
      t.like(await accepted.look(), { bytesRead: 'before\n'.length }, 'nothing came up')
      const taken = (await faith.stats()).captured.packets
      await dropsOf(faith, 1)
      t.is((await faith.stats()).captured.packets, taken, 'nothing was captured')

      await router.keepfaith(true)
      t.deepEqual(await up.arrived, { bytes, sha256: await up.sent })
      t.deepEqual(await down.arrived, { bytes, sha256: await down.sent })
    } finally {
      await router.keepfaith(true)
    }
  },
)

test.serial('listen fails while keepfaith is off', async (t) => {
  await using faith = await router.create()
  await faith.listen({ port: 80 })
  await router.keepfaith(false)
  try {
    await t.throwsAsync(faith.listen({ port: 81 }), { code: 'ERR_FAITH_KEEPFAITH' })
  } finally {
    await router.keepfaith(true)
  }
  await t.notThrowsAsync(faith.listen({ port: 81 }))
})

test.serial(
  'keepfaith is one switch for all interfaces of a process, and for no other process',
  async (t) => {
    await using other = await Program.start(lab.router)
    await other.keepfaith(true)
    await using theirs = await other.create({ name: 'theirs', prefixes: ['64:ff9b:1::/48'] })
    await using one = await router.create({ name: 'one' })
    await using two = await router.create({ name: 'two', prefixes: ['2001:db8:100::/40'] })
    await theirs.listen({ port: 80 }, 'theirs')
    await one.listen({ port: 80 }, 'one')
    await two.listen({ port: 80 }, 'two')

    await router.keepfaith(false)
    try {
      await using first = await client.begin(server, 80)
      await using second = await client.begin('2001:db8:1c0:2:21::', 80)
      await Promise.all([dropsOf(one, 1), dropsOf(two, 1)])
      t.like(await first.look(), { connecting: true })
      t.like(await second.look(), { connecting: true })
      t.like(await client.greeting('64:ff9b:1:c000:2:2100::', 80), { from: 'theirs' })
    } finally {
      await router.keepfaith(true)
    }
    t.like(await client.greeting(server, 80), { from: 'one' })
    t.like(await client.greeting('2001:db8:1c0:2:21::', 80), { from: 'two' })
  },
)
