/** Datagrams over links of 1400 octets, on the client's side and on the server's. */
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import { first, serveAt, takeSteps } from '../fixtures/datagrams.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'

/** Lengths around what fits: 1352 of IPv6 and 1372 of IPv4 into 1400, 1452 and 1472 into 1500; and fragments. */
const lengths = [1232, 1233, 1352, 1353, 1372, 1373, 1400, 1452, 1453, 1472, 1473, 8192]

for (const [side, topology, server] of [
  ["client's", { clientMtu: 1400 }, addresses.server],
  ["server's", { serverMtu: 1400 }, addresses.farServer],
] as const) {
  test(`datagrams of every length pass a narrow link on the ${side} side, both ways`, async (t) => {
    await using lab = await createLab(topology)
    await serveAt(lab, [server, first])
    const faithd = await startFaithd(lab, [...permitted, '--permit', '203.0.113.0/24'])
    const echo = { to: [faithd.address(server), first] as [string, number], send: 'echo ' }
    // Routers on the way tell the hosts what fits, and datagrams that are too long and may not be cut are lost before.
    await waitFor('each host to learn the length that fits', async () => {
      const [answer] = await takeSteps(lab, [{ ...echo, fill: 1452, wait: 1 }])
      return answer?.same
    })
    const steps = lengths.map((fill) => ({ ...echo, fill }))
    const answers = await takeSteps(lab, steps)
    t.deepEqual(
      answers.map(({ length, same }) => ({ length, same })),
      lengths.map((length) => ({ length, same: true })),
    )
  })
}
