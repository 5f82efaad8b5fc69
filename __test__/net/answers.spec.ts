/** Retransmissions of a SYN get the answer to the first one: one connect() of a client is one attempt. */
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { nft, packets } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

/** A network without a route on the router. */
const nowhere = '203.0.113.0/24'

let lab: Lab
let client: Sockets

test.before(async () => {
  lab = await createLab()
  client = Sockets.of(lab.client)
})

test.after.always(() => lab.close())

let started = 0

async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `answer${started}`, prefix: `3fff:${started}::` }
  return await startFaithd(lab, [...permitted, '--permit', nowhere, ...args], 'by itself', place)
}

let ports = 7700

/** Counts the SYNs to a port at the client and at the server; with `drop` the server drops them. */
async function countedPort(verdict: 'accept' | 'drop') {
  ports += 1
  const port = ports
  const table = `inet counted${port}`
  const counting = (hook: string, what: string) => `table ${table} {
    counter syns {}
    chain ${hook} {
      type filter hook ${hook} priority filter
      tcp dport ${port} tcp flags syn counter name syns ${what}
    }
  }`
  await nft(lab.client, counting('output', 'accept'))
  await nft(lab.server, counting('input', verdict))
  return {
    port,
    sent: () => packets(lab.client, table, 'syns'),
    asked: () => packets(lab.server, table, 'syns'),
  }
}

/** Reasons of the logged refusals at a port. */
function attempts(faithd: Faithd, port: number): string[] {
  return faithd.refusals.flatMap(({ destination, reason }) =>
    destination.port === port ? [reason] : [],
  )
}

for (const [way, args] of [
  ['', []],
  [', without the shortcut', ['--no-shortcut']],
] as const) {
  for (const [what, dead, lost, code, reason] of [
    ['RST', addresses.server, 'tcp sport %p', 'ECONNREFUSED', 'refused'],
    ['ICMPv6 error', '203.0.113.1', 'icmpv6 type 1', 'ENETUNREACH', 'unreachable'],
    ['denial', '10.0.0.1', 'icmpv6 type 1', 'EACCES', 'denied'],
  ] as const) {
    test.serial(
      `a client that lost the ${what} gets it again, without another attempt${way}`,
      async (t) => {
        const faithd = await faithdWith(...args)
        const { port, asked } = await countedPort('accept')
        await nft(
          lab.client,
          `table inet lossy${port} {
          counter lost {}
          chain input {
            type filter hook input priority filter
            ${lost.replace('%p', String(port))} counter name lost drop
          }
        }`,
        )
        const near = client.dial(faithd.address(dead), port)
        await waitFor('the answer to be lost', async () => {
          return (await packets(lab.client, `inet lossy${port}`, 'lost')) > 0
        })
        await nft(lab.client, `delete table inet lossy${port}`)

        await near.sees(code)
        t.deepEqual(near.history, [code])
        t.is(await asked(), reason === 'refused' ? 1 : 0)
        // Dials once more: this refusal comes later, and shows that the first client caused no other.
        await client.dial(faithd.address(dead), port).sees(code)
        await waitFor('both refusals to be logged', () => attempts(faithd, port).length >= 2)
        t.deepEqual(attempts(faithd, port), [reason, reason])
        t.is((await faithd.counted()).interface.synsHeld, 2)
      },
    )
  }

  test.serial(
    `a client of a silent server makes one attempt, with any number of SYNs${way}`,
    async (t) => {
      const faithd = await faithdWith('--connect-timeout', '0.4', ...args)
      const { port, sent } = await countedPort('drop')
      const near = client.dial(faithd.address(), port)
      t.is((await faithd.refusalTo(port)).reason, 'connect-timeout')
      await waitFor('the client to send its SYN twice more', async () => (await sent()) >= 3)

      // Dials the same address again as another client.
      client.dial(faithd.address(), port)
      await waitFor('both refusals to be logged', () => attempts(faithd, port).length >= 2)
      t.deepEqual(attempts(faithd, port), ['connect-timeout', 'connect-timeout'])
      t.deepEqual(near.history, [])
      const { drops, synsHeld } = (await faithd.counted()).interface
      t.is(synsHeld, 2)
      t.true((drops['hold'] ?? 0) >= 2)
    },
  )
}
