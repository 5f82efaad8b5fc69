/** Lines of the log, metrics, clients and servers count the same: after a flood, a stalled reader, and SIGTERM under load. */
import test from 'ava'
import { churn, createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { sumOf } from '../fixtures/exposition.js'
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

/** Connections that the kernel of a host has accepted. */
async function accepted(host: Host): Promise<number> {
  const { stdout } = await host.run('cat', ['/proc/net/snmp'])
  const [names = [], values = []] = stdout
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '))
  return Number(values[names.indexOf('PassiveOpens')])
}

let port = 9800

/** Starts a faithd that serves its metrics, and gives how to scrape them. */
async function start(...args: string[]) {
  port += 1
  const listen = `127.0.0.1:${port}`
  const faithd = await PipedFaithd.start(lab, '--metrics', listen, ...args)
  const scrape = async (): Promise<string> => {
    const { code, stdout, stderr } = await lab.router.run('curl', [
      '-sS',
      '--fail',
      `http://${listen}/metrics`,
    ])
    if (code !== 0) throw new Error(stderr)
    return stdout
  }
  return { faithd, scrape, before: await accepted(lab.server) }
}

test.serial('after a flood all count the same', async (t) => {
  const { faithd, scrape, before } = await start()
  using _ = faithd
  const count = 2000
  const address = faithd.address.replace('198.51.100.2', '203.0.113.1')
  const flood = startFlood(lab.client, { address, port: 80, networks: 50, count: 6000 })
  await faithd.sessions(count)
  await floodEnded(flood)
  const text = await waitFor('every attempt to end', async () => {
    faithd.read()
    const now = await scrape()
    const open = sumOf(now, 'faithd_sessions') + sumOf(now, 'faithd_attempts')
    return open === 0 ? now : undefined
  })
  t.is(sumOf(text, 'faithd_sessions_opened_total', { outcome: 'session' }), count)
  t.is(sumOf(text, 'faithd_sessions_ended_total'), count)
  t.is((await accepted(lab.server)) - before, count)
  // Each refused SYN got an answer, or the limit of answers kept it back.
  const denied = sumOf(text, 'faithd_sessions_opened_total', { outcome: 'denied' })
  t.is(sumOf(text, 'faithd_icmp_unreachable_total'), denied)
  const lines = told(await faithd.ended())
  t.is(lines.sessions, count)
  t.is(lines.refusals + lines.summed, sumOf(text, 'faithd_refusals_total'))
  t.true(lines.summed > 0 && denied > 1000)
  t.is(lines.lost, 0)
})

test.serial('after a stall of the reader all count the same', async (t) => {
  const { faithd, scrape, before } = await start()
  using _ = faithd
  // No line is read until the queue of the log is full.
  const count = 12_000
  await faithd.sessions(count)
  const text = await waitFor('every session to end', async () => {
    const now = await scrape()
    return sumOf(now, 'faithd_sessions') === 0 ? now : undefined
  })
  const lost = sumOf(text, 'faithd_log_lines_lost_total')
  t.true(lost > 0)
  t.is(sumOf(text, 'faithd_sessions_ended_total'), count)
  t.is((await accepted(lab.server)) - before, count)
  // The reader goes on, so the lines of the end are not lost too.
  await waitFor('the loss to be logged', () => told(faithd.read()).lost > 0)
  const lines = told(await faithd.ended())
  t.is(lines.lost, lost)
  t.is(lines.sessions + lines.lost, count)
})

test.serial('after SIGTERM under load all count the same', async (t) => {
  const { faithd, before } = await start('--drain', '60')
  using _ = faithd
  // A dial whose SYN nothing answers any more gives up soon.
  await lab.client.run('sysctl', ['-qw', 'net.ipv4.tcp_syn_retries=1'])
  const load = churn(lab.client, { address: faithd.address, port: 7, count: 6000 })
  await waitFor('sessions', () => told(faithd.read()).sessions > 500)
  const lines = await faithd.ended()
  // Nothing captures the prefix any more, so the other dials end at once.
  const { code } = await lab.client.run('ip', ['-6', 'route', 'add', 'unreachable', '3fff::/16'])
  t.is(code, 0)
  const { done, errors } = await load
  const totals = lines.find(({ msg }) => msg.startsWith('ended: '))?.relay
  if (totals === undefined) throw new Error(lines.at(-1)?.msg)
  t.true(sum(errors) > 0, 'SIGTERM came under load')
  const { begun, ended: ends, aborted } = totals.sessions
  t.is(told(lines).sessions, begun)
  t.is(ends.closed, done, JSON.stringify({ ends, errors }))
  t.is(sum(aborted), ends.aborted)
  // A server may have accepted an attempt that ended before its client was joined.
  const more = (await accepted(lab.server)) - before - begun
  t.true(more >= 0 && more <= sum(totals.refused.byReason), `${more} more`)
})
