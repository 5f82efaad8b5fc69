/** ICMPv6 errors are limited by destination: one flooder does not use up the errors of others. */
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import { floodEnded, returnForged, startFlood } from '../fixtures/flood.js'
import { nft, packets } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

/** A destination that faithd denies. */
const denied = '10.0.0.1'
const port = 7650

let lab: Lab
let client: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
  await returnForged(lab)
  await nft(
    lab.client,
    `table inet counted {
      counter asked {}
      counter told {}
      chain output {
        type filter hook output priority filter
        ip6 saddr ${addresses.client} tcp dport ${port} tcp flags syn counter name asked
      }
      chain input {
        type filter hook input priority filter
        ip6 daddr ${addresses.client} icmpv6 type destination-unreachable counter name told
      }
    }`,
  )
})

test.after.always(() => lab.close())

let started = 0

for (const [way, args] of [
  ['', []],
  [', without the shortcut', ['--no-shortcut']],
] as const) {
  test.serial(`a client gets its error at once while another network floods${way}`, async (t) => {
    started += 1
    const place = { name: `errors${started}`, prefix: `3fff:${started}::` }
    const faithd = await startFaithd(lab, [...permitted, ...args], 'by itself', place)
    const flooding = startFlood(lab.client, {
      address: faithd.address(denied),
      port,
      networks: 1,
      // Fits into the device's queue, so that no packet is lost.
      count: 8000,
    })
    await flooding.line(/^half of them$/)
    const dials = 10
    for (let dial = 0; dial < dials; dial += 1) {
      t.is(await client.dial(faithd.address(denied), port).outcome(), 'EACCES')
    }
    await floodEnded(flooding)
    await waitFor('an error for each SYN', async () => {
      const [asked, told] = await Promise.all(
        ['asked', 'told'].map((counter) => packets(lab.client, 'inet counted', counter)),
      )
      return asked === told
    })

    const { unreachableSent, unreachableLimited, synsHeld } = (await faithd.counted()).interface
    t.true(unreachableLimited > synsHeld / 2, `${unreachableLimited} of ${synsHeld}`)
    t.true(unreachableSent >= dials)
    t.true(unreachableSent + unreachableLimited <= synsHeld)
  })
}
