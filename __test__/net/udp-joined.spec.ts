/** Datagrams that a client sends one by one, which the relay may pass on together. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { first, serveAt } from '../fixtures/datagrams.js'
import { permitted, startFaithd, steerings } from '../fixtures/faithd.js'

const streamProgram = fileURLToPath(new URL('../programs/udp-stream.py', import.meta.url))

/** The datagrams that `udp-stream.py` sends. */
const count = 40 * 64

/** Equal ones, a shorter last one, longer ones, and both sides of what IPv4 may fragment. The server reads "echo ". */
const streams = {
  'of one size': [1200],
  'of many sizes': [700, 700, 700, 300, 300, 1400, 1400, 5, 6, 6, 5, 1232, 1233, 1233, 1232, 40],
}

/** Has the client of a lab send datagrams of these lengths, and gives the number of right echoes. */
async function stream(lab: Lab, to: string, lengths: readonly number[]): Promise<number> {
  const args = [streamProgram, to, String(first), ...lengths.map(String)]
  const { code, stdout, stderr } = await lab.client.run('python3', args, { timeout: 60_000 })
  if (code !== 0) throw new Error(stderr)
  return Number(stdout)
}

for (const [steering, more] of steerings) {
  for (const [sizes, lengths] of Object.entries(streams)) {
    test(`single datagrams ${sizes} pass complete, in order and each by itself${more}`, async (t) => {
      await using lab = await createLab()
      await serveAt(lab, [addresses.server, first])
      const faithd = await startFaithd(lab, permitted, steering)
      t.is(await stream(lab, faithd.address(), lengths), count)
      const { udp } = (await faithd.counted()).relay
      t.like(udp, { framesUp: count, framesDown: count, lost: 0, withoutSuperframes: 0 })
    })
  }
}

test('a way that takes no superframes is said once, and gets each datagram', async (t) => {
  await using lab = await createLab()
  await serveAt(lab, [addresses.server, first])
  const faithd = await startFaithd(lab, permitted)
  // Longer datagrams leave in fragments here, which superframes cannot.
  await lab.router.run('ip', ['link', 'set', 'wan0', 'mtu', '1000'])
  await lab.server.run('ip', ['link', 'set', 'eth0', 'mtu', '1000'])
  for (let clients = 0; clients < 2; clients += 1) {
    t.is(await stream(lab, faithd.address(), [1200, 1200, 300]), count)
  }
  const { udp } = (await faithd.counted()).relay
  t.like(udp, { framesUp: 2 * count, lost: 0, withoutSuperframes: 2 })
  const said = () =>
    faithd.log.filter(({ msg }) => msg.includes('takes no superframes of datagrams'))
  await waitFor('the warning', () => said().length > 0)
  t.is(said().length, 1)
})
