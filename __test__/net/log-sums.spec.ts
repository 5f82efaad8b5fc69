/** Every end of a session or an attempt is in the log: as a line, in a sum, or in the number of lost lines. */
import test from 'ava'
import { churn, createLab, waitFor } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import type { LogLine } from '../fixtures/faithd.js'
import { floodEnded, returnForged, startFlood } from '../fixtures/flood.js'
import { PipedFaithd } from '../fixtures/piped-faithd.js'
import { sum, told } from '../fixtures/told.js'

let lab: Lab

test.before(async () => {
  lab = await createLab()
  await lab.server.echo({ port: 7 })
  await returnForged(lab)
})

test.after.always(() => lab.close())

/** The ends that faithd counted. */
function counted(lines: readonly LogLine[]) {
  const totals = lines.find(({ msg }) => msg.startsWith('ended: '))?.relay
  if (totals === undefined) throw new Error(lines.at(-1)?.msg)
  return { sessions: sum(totals.sessions.ended), refusals: sum(totals.refused.byReason) }
}

test('after a flood from many networks, lines and sums by network are all refusals', async (t) => {
  using faithd = await PipedFaithd.start(lab)
  const address = faithd.address.replace('198.51.100.2', '203.0.113.1')
  await floodEnded(startFlood(lab.client, { address, port: 80, networks: 150, count: 6000 }))
  await faithd.sessions(10)
  const lines = await faithd.ended()
  const { sessions, refusals, summed, networks, lost } = told(lines)
  t.deepEqual({ sessions, refusals: refusals + summed, lost }, { ...counted(lines), lost: 0 })
  t.true(refusals + summed <= 6000 && summed > 1000, `${summed} of ${refusals + summed}`)
  t.is(networks.size, 101, 'a hundred networks, and the others')
  t.true(networks.has(undefined))
})

test('after a stall and SIGTERM under load, lines, sums and lost lines are all ends', async (t) => {
  using faithd = await PipedFaithd.start(lab, '--drain', '0')
  // No line is read until the queue of the log is full.
  await faithd.sessions(12_000)
  const lost = () => faithd.read().some((line) => line.lost !== undefined)
  await waitFor('the loss to be logged', lost)
  const { address } = faithd
  const denied = address.replace('198.51.100.2', '203.0.113.1')
  // The load outlives faithd, and ends with the lab.
  churn(lab.client, { address, port: 7, count: 20_000 }).catch(() => undefined)
  const flood = startFlood(lab.client, { address: denied, port: 80, networks: 20, count: 30_000 })
  const before = told(faithd.read()).sessions
  await waitFor('sessions and refusals', () => {
    const now = told(faithd.read())
    return now.sessions > before + 500 && now.refusals >= 50
  })
  const lines = await faithd.ended()
  t.deepEqual(await faithd.process.exited, { code: 0, signal: null })
  await flood.stop('SIGTERM')

  const all = told(lines)
  const { sessions, refusals } = counted(lines)
  t.true(all.lost > 0 && all.summed > 0)
  t.is(
    all.sessions + all.refusals + all.summed + all.lost,
    sessions + refusals,
    JSON.stringify(all),
  )
  t.regex(lines.at(-1)?.msg ?? '', /^ended: /)
})
