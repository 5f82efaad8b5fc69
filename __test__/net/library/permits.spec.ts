/** permits() gives the decision that the relay then makes. */
import test from 'ava'
import { addresses, captured } from '../../../lab/index.js'
import { Sockets } from '../../fixtures/sockets.js'
import { stage } from '../../programs/stage.js'

const { lab, router } = await stage()
const client = Sockets.of(lab.client)
const servers = Sockets.of(lab.server)
const [open, closed] = [7601, 7602]

const accessList = `# permitted destinations
::/0 deny 198.51.100.0/24 port ${closed}
::/0 permit 198.51.100.0/24 ${addresses.routerIPv4}
`

const asked = [
  { ipv4: addresses.server, port: open, permitted: true, line: 3 },
  { ipv4: addresses.server, port: closed, cause: 'denied-by-rule', line: 2 },
  { ipv4: addresses.routerIPv4, port: open, cause: 'own-address' },
  { ipv4: '10.0.0.7', port: open, cause: 'special-purpose' },
  { ipv4: '127.0.0.1', port: open, cause: 'loopback' },
  { ipv4: '8.8.8.8', port: open, cause: 'denied-no-match' },
] as const

test.serial('permits() gives the actual result of a connection', async (t) => {
  await using faith = await router.create()
  await using relay = await faith.relay({ ports: 'all', accessList })
  for (const port of [open, closed]) await servers.listen(port)
  for (const { ipv4, port, ...expected } of asked) {
    const question = { client: addresses.client, destination: { address: captured(ipv4), port } }
    const said = await relay.permits(question)
    const { rule, cause, permitted } = said
    const { line = undefined } = { ...rule }
    t.deepEqual(
      { permitted, cause, line },
      { permitted: false, cause: undefined, line: undefined, ...expected },
      `${ipv4} port ${port}`,
    )
    t.deepEqual(await relay.permits({ ...question, destination: { address: ipv4, port } }), said)
    const outcome = await client.dial(captured(ipv4), port).outcome()
    t.is(outcome, said.permitted ? 'connected' : 'EACCES', `${ipv4} port ${port}`)
  }
})

test.serial(
  'the local address is the rule’s, or one that the relay has for the client',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all', accessList })
    const destination = { address: captured(), port: open }
    const question = { client: addresses.client, destination }
    t.is((await relay.permits(question)).localAddress, addresses.routerIPv4)
    await relay.close()
    const localAddresses = [addresses.routerIPv4]
    await using other = await faith.relay({ ports: 'all', localAddresses })
    const { localAddress } = await other.permits({
      ...question,
      destination: { address: '8.8.8.8', port: open },
    })
    t.is(localAddress, addresses.routerIPv4)
  },
)

test.serial(
  'permits() has no side effects, and an address outside every prefix means no server',
  async (t) => {
    await using faith = await router.create()
    await using relay = await faith.relay({ ports: 'all' })
    const destination = { address: '3fff::1', port: open }
    const question = { client: addresses.client, destination }
    t.deepEqual(await relay.permits(question), { permitted: false, cause: 'no-mapping' })
    const { attempts, accepted, sessions, refused } = await relay.stats()
    t.deepEqual([attempts, accepted, sessions.begun, refused.byCause], [0, 0, 0, {}])
    await relay.close()
    await t.throwsAsync(relay.permits(question), { code: 'ERR_FAITH_CLOSED' })
  },
)
