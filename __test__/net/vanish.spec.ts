/** A server whose host is there no more, or a client whose host is: nobody says goodbye. */
import test from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const keepAlive = ['--keep-alive', '4']
const long = { timeout: 45_000 }

async function connection(lab: Lab, faithd: Faithd, port: number) {
  const [client, server] = [Sockets.of(lab.client), Sockets.of(lab.server)]
  const listening = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listening.accept()
  near.says('hello')
  await far.hears('hello')
  return { near, far }
}

/** Loses all that goes to a host and comes from it at a port, in either direction and at either end. */
async function lose(host: Host, port: number): Promise<void> {
  await nft(
    host,
    `table inet vanished${port} {
      chain input {
        type filter hook input priority filter
        tcp dport ${port} drop
        tcp sport ${port} drop
      }
      chain output {
        type filter hook output priority filter
        tcp dport ${port} drop
        tcp sport ${port} drop
      }
    }`,
  )
}

test('a quiet session ends when the server’s host has vanished, and the client is told', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const { near, far } = await connection(lab, faithd, 7801)
  await lose(lab.server, 7801)
  await near.sees('(?:ECONNRESET|ETIMEDOUT)', long)
  const { reason, durationMs } = await faithd.sessionTo(7801)
  t.is(reason, 'server-gone')
  t.true(durationMs >= 2000, `${durationMs} ms`)
  t.deepEqual(far.history, ['accepted'])
})

test('a session ends when the link to the server is gone', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const { near } = await connection(lab, faithd, 7802)
  const { code, stderr } = await lab.server.run('ip', ['link', 'set', 'eth0', 'down'])
  t.is(code, 0, stderr)
  await near.sees('(?:ECONNRESET|ETIMEDOUT)', long)
  t.like(await faithd.sessionTo(7802), { reason: 'server-gone' })
})

test('a quiet session ends when the client’s host has vanished, and the server is told', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const { far } = await connection(lab, faithd, 7804)
  await lose(lab.client, 7804)
  await far.sees('(?:ECONNRESET|ETIMEDOUT)', long)
  t.like(await faithd.sessionTo(7804), { reason: 'client-gone' })
})

for (const [whose, reason] of [
  ['server', 'server-gone'],
  ['client', 'client-gone'],
] as const) {
  test(`a ${whose} whose host vanishes with bytes on their way is noticed as soon as a quiet one`, async (t) => {
    await using lab = await createLab()
    const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
    const { near, far } = await connection(lab, faithd, 7803)
    await lose(lab[whose], 7803)
    const other = whose === 'server' ? near : far
    other.says('are you there?')
    await other.sees('(?:ECONNRESET|ETIMEDOUT)', long)
    t.like(await faithd.sessionTo(7803), { reason })
  })
}

test('a peer that takes nothing for a long time, but is there, is waited for', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const slow = await connection(lab, faithd, 7807)
  slow.far.pauses()
  slow.near.floods()
  await slow.near.isBlocked()
  // By the time that this one has been given up, nothing has been taken for as long.
  const { near } = await connection(lab, faithd, 7808)
  await lose(lab.server, 7808)
  near.says('are you there?')
  await near.sees('(?:ECONNRESET|ETIMEDOUT)', long)
  const { received } = await slow.far.status()
  slow.far.resumes()
  await waitFor('the rest to come', async () => {
    return (await slow.far.status()).received > received + 1024 * 1024
  })
  t.deepEqual(slow.near.history, ['connected'])
})

test('a quiet session whose ends are both there goes on', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const quiet = await connection(lab, faithd, 7805)
  const { near } = await connection(lab, faithd, 7806)
  // By the time that this one has been given up, probes have been sent in both.
  await lose(lab.server, 7806)
  await near.sees('(?:ECONNRESET|ETIMEDOUT)', long)
  quiet.near.says(' again')
  await quiet.far.hears('hello again')
  t.deepEqual(quiet.near.history, ['connected'])
})
