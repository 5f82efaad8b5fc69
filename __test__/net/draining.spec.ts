/** Interfaces that wait for their clients block nothing else, even as many as there are blocking threads. */
import test from 'ava'
import { nft } from '../fixtures/nft.js'
import { stage } from '../programs/stage.js'

const { lab, router, client } = await stage()

const indices = [1, 2, 3, 4]

test('an interface can be changed and listened on while others wait for their clients', async (t) => {
  await using other = await router.create()
  const draining = await Promise.all(
    indices.map(async (index) => {
      const prefixes = [`3fff:${index}::/96`]
      const faith = await router.create({ name: `drains${index}`, prefixes })
      const listener = await faith.listen({ port: 80 })
      await client.dial(`3fff:${index}::1`, 80)
      return { faith, accepted: await listener.accept() }
    }),
  )
  // Stops the client's acknowledgements.
  await nft(
    lab.client,
    `table ip6 deaf {
      chain input {
        type filter hook input priority filter
        tcp sport 80 drop
      }
    }`,
  )
  let closed = 0
  const closing = draining.map(async ({ faith, accepted }) => {
    await accepted.write('the last word\n')
    await accepted.end()
    await faith.close({ drainMs: 60_000 })
    closed += 1
  })
  for (let round = 0; round < 50; round += 1) {
    await other.addPrefix('3fff:5::/96')
    await using listener = await other.listen({ port: 80 })
    t.truthy(listener)
    await other.deletePrefix('3fff:5::/96')
  }
  t.is(closed, 0)

  await nft(lab.client, 'delete table ip6 deaf')
  await Promise.all(closing)
  t.is(closed, indices.length)
})
