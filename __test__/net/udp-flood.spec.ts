/** Datagrams of forged sources, each a client of its own, as fast as a host can send them. */
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { createLab, type LabProcess, waitFor } from '../../lab/index.js'
import { first, serveDatagrams, takeSteps } from '../fixtures/datagrams.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import { returnForged } from '../fixtures/flood.js'

const program = (name: string): string =>
  fileURLToPath(new URL(`../programs/${name}.py`, import.meta.url))

/** The forged datagrams to wait for. */
const FORGED = 200_000
/** The most ICMPv6 errors of a worker in a second. */
const ERRORS = 10_000
/** The most ports of clients, and so sockets. */
const MAPPINGS = 2000

test('a flood from 200000 networks is bounded, and a real client goes on', async (t) => {
  await using lab = await createLab()
  await serveDatagrams(lab)
  await returnForged(lab, '2001:db8:f000::/36')
  const limits = ['--max-mappings', `${MAPPINGS}`, '--udp-timeout', '10']
  const began = performance.now()
  const faithd = await startFaithd(lab, [...permitted, ...limits])
  const to: [string, number] = [faithd.address(), first]
  const start = (name: string): LabProcess =>
    lab.client.spawn('python3', [program(name), to[0], `${to[1]}`])
  const asker = start('udp-asker')
  const answers = (): number => lastOf(asker)
  await waitFor('the first answers', () => answers() >= 10)
  const [descriptors, memory] = [faithd.descriptors, faithd.memory]

  const flood = start('udp-flood')
  await waitFor('the flood', () => lastOf(flood) > 0)
  const before = answers()
  await waitFor('the flood', () => lastOf(flood) >= FORGED, { timeout: 60_000 })
  // It goes on until the client has got answers beside it.
  await waitFor('answers beside the flood', () => answers() >= before + 10, { timeout: 60_000 })
  t.true(faithd.descriptors <= descriptors + MAPPINGS + 10, `${faithd.descriptors}`)
  t.true(faithd.memory < memory + 64 * 2 ** 20, `${faithd.memory} bytes, ${memory} before`)
  await flood.stop('SIGKILL')

  const afterwards = answers()
  await waitFor('answers after the flood', () => answers() >= afterwards + 10)
  await waitFor('a new client', async () => {
    const [answer] = await takeSteps(lab, [{ to, send: 'echo', wait: 1 }])
    return answer?.data === 'echo'
  })
  await asker.stop('SIGKILL')
  const { relay, interface: device } = await faithd.counted()
  const seconds = (performance.now() - began) / 1000
  // Every datagram that came was passed on or refused.
  const { byReason, byCause } = relay.refused
  const { framesUp = 0, lost = 0, maxMappings } = relay.udp ?? {}
  t.is(framesUp + lost + byReason.limit, device.captured.packets)
  t.true((byCause['max-mappings'] ?? 0) > MAPPINGS, JSON.stringify(byCause))
  t.true(device.unreachableSent <= device.workers * ERRORS * (seconds + 1))
  t.is(maxMappings, MAPPINGS)
})

/** The number on the last line of a program. */
function lastOf({ lines }: LabProcess): number {
  return Number.parseInt(lines.at(-1) ?? '0', 10)
}
