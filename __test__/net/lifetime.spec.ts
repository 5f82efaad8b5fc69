/** Interfaces, listeners and relays live until they are closed. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, waitFor } from '../../lab/index.js'
import type { Faith } from './programs/program.js'
import { stage } from './programs/stage.js'

const { lab, router, client } = await stage()
const server = captured()
const echo = { host: addresses.server, port: 7 }
const accessList = '::/0 permit 198.51.100.0/24\n'
test.before(() => lab.server.echo(echo))

/** A relay with sessions, and their clients. */
async function relaying(faith: Faith) {
  const relay = await faith.relay({ ports: 'all', accessList })
  const callers = await Promise.all(Array.from({ length: 20 }, () => client.dial(server, 7)))
  await waitFor('sessions', async () => (await relay.sessions()).length === callers.length)
  const end = async (): Promise<void> => {
    for (const caller of callers) await caller.end()
  }
  return { relay, callers, end }
}

for (const [drain, reason] of [
  [0, 'aborted'],
  [60_000, 'closed'],
] as const) {
  test.serial(`closed again, a relay ends once, after sessions that are ${reason}`, async (t) => {
    await using faith = await router.create()
    const { relay, callers, end } = await relaying(faith)
    const closing = router.ask('closeAgain', relay.id, { drain })
    // What is asked later is answered when it closes.
    await relay.stats()
    if (drain > 0) await end()
    t.deepEqual(await closing, [...callers.map(() => reason), 'close'])
  })
}

test.serial('a relay of a busy program tells of its last sessions, and then closes', async (t) => {
  await using faith = await router.create()
  const { relay, callers, end } = await relaying(faith)
  const begun = join(lab.directory, 'begun')
  const closing = router.ask('blockClosing', relay.id, faith.id, begun)
  await waitFor('the program to be busy', () => existsSync(begun))
  await end()
  t.deepEqual(await closing, [...callers.map(() => 'closed'), 'close'])
})
