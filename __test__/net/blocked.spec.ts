/** A relay without a route needs no JavaScript for its connections: they continue while JavaScript is blocked. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, churn, waitFor } from '../../lab/index.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()
const echo = { host: addresses.server, port: 7 }
const accessList = '::/0 permit 198.51.100.0/24\n'
const count = 100
test.before(() => lab.server.echo(echo))

for (const [what, sessionEvents, told] of [
  ['and its ends are reported afterwards', true, count],
  ['and its ends are never reported', false, 0],
] as const) {
  test.serial(
    `a hundred connections come and go while JavaScript is blocked, ${what}`,
    async (t) => {
      await using faith = await router.create()
      await using relay = await faith.relay({ ports: 'all', accessList, sessionEvents })
      const [begun, over] = [
        join(lab.directory, `begun ${told}`),
        join(lab.directory, `over ${told}`),
      ]
      const blocked = router.ask('block', relay.id, begun, over)
      await waitFor('JavaScript to block', () => existsSync(begun))
      t.is(await client.ask('echoes', captured(), echo.port, count), count)
      writeFileSync(over, '')
      const meanwhile = await blocked
      t.like(meanwhile, {
        told: 0,
        stats: { accepted: count, sessions: { active: 0, ended: { closed: count } } },
      })

      // A relay has emitted its last event when its close resolves.
      await relay.close()
      const { session, refused } = await relay.told()
      t.deepEqual([session.length, refused.length], [told, 0])
    },
  )
}

test.serial('at most 65,536 ends wait for JavaScript, and the rest are counted', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  const sessions = 17_000
  const sent = 4 * sessions
  await router.ask('blockUntilDropped', relay.id, sent - 65_536)
  // Uses sessions, because only some attempts are reported. Needs two servers and ports, because one runs out of client
  // ports.
  const servers = [addresses.server, addresses.serverSecond]
  for (const port of [17, 18]) {
    await lab.server.echo({ port })
    await Promise.all(
      servers.map(async (host) => {
        const target = { address: captured(host), port, count: sessions }
        t.is((await churn(lab.client, target)).done, sessions)
      }),
    )
  }
  t.is(await router.ask('waited'), 65_536)

  await relay.close()
  const { sessions: all, untold } = await relay.stats()
  t.is(all.ended.closed, sent)
  t.is((await router.ask('toldEnds', relay.id)) + untold.sessions, sent)
  t.deepEqual(untold, { sessions: sent - 65_536, refused: {} })
})
