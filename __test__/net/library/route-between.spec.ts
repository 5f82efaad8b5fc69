/** A program can stand between client and server; the relay still judges, counts and records the session. */
import test from 'ava'
import { addresses, captured, waitFor } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { closes } from '../../fixtures/splices.js'
import { stage } from '../../programs/stage.js'

const { lab, router, client } = await stage()
const servers = Sockets.of(lab.server)
const accessList = '::/0 permit 198.51.100.0/24\n'
const verdict = { proceed: true, socket: true, tag: 'mine' } as const

for (const [how, mine, options] of [
  ['a held SYN', 7951, {}],
  ['a connection that was accepted first', 7952, { connectFirst: false }],
] as const) {
  test.serial(`the program gets both ends of ${how}`, async (t) => {
    await using faith = await router.create()
    await using relay = await faith.route(
      { ports: 'all', accessList, ...options },
      { verdicts: { [mine]: verdict } },
    )
    await relay.take()
    const listener = await servers.listen(mine)
    const caller = await client.dial(captured(), mine)
    const near = await relay.accept()
    const far = await near.upstream()
    const server = await listener.accept()

    await caller.write('from the client\n')
    t.is(await near.line(), 'from the client')
    await far.write('from the program\n')
    await server.hears('from the program\n')
    server.says('from the server\n')
    t.is(await far.line(), 'from the server')
    await near.write('from the program, too\n')
    t.is(await caller.line(), 'from the program, too')

    const live = await waitFor('the session', async () => (await relay.sessions())[0])
    t.like(live, {
      destination: { port: mine },
      server: { address: addresses.server },
      tag: 'mine',
    })
    await near.end()
    await caller.end()
    await closes(near)
    await far.end()
    await server.sees('end')
    server.ends()
    const [session] = await waitFor('its record', async () => {
      const { session: records } = await relay.told()
      return records.length > 0 ? records : undefined
    })
    t.like(session, { bytesUp: 16, bytesDown: 22, reason: 'closed', tag: 'mine' })
    t.like(await relay.stats(), { handedOver: 0, sessions: { begun: 1, active: 0 } })
  })
}
