/** Traceroute by TCP through a relay whose route names the server. */
import test from 'ava'

import { addresses, captured, waitFor } from '../../../lab/index.js'
import { canonical, traceroute } from '../../fixtures/routers-on-the-way.js'
import { stage } from '../../programs/stage.js'

const { lab, router } = await stage({ hops: true })
const { farServer, gateway, hops } = addresses

test.serial('a client sees the routers on the way to the server that a route names', async (t) => {
  await using faith = await router.create()
  const server = { host: farServer, port: 81, allowAny: true }
  await using relay = await faith.route({ ports: [80] }, { verdicts: { 80: server } })
  const dialled = captured('192.0.2.99')
  const args = ['-q', '1', '-N', '1', '-T', '-p', '80', dialled]
  const seen = await traceroute(lab.client, ...args)
  // The routers are behind the same prefix as the dialled address. The server itself is what was dialled.
  const expected = [gateway, ...hops.map((hop) => captured(hop)), dialled]
  t.deepEqual(seen.hops, expected.map(canonical), seen.stdout)
  const { refused } = await waitFor('a record of each SYN', async () => {
    const told = await relay.told()
    return told.refused.length > hops.length ? told : undefined
  })
  t.deepEqual(
    refused.map(({ reason }) => reason),
    [...hops.map(() => 'hop-limit'), 'refused'],
  )
  t.like(refused[0], { server: { address: farServer, port: 81 } })
})
