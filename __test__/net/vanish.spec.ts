/** A server or client whose host vanishes: neither sends a FIN or RST. */
import test from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'

const keepAlive = ['--keep-alive', '4']

async function connection(lab: Lab, faithd: Faithd, port: number) {
  const [client, server] = [Sockets.of(lab.client), Sockets.of(lab.server)]
  const listening = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listening.accept()
  near.says('hello')
  await far.hears('hello')
  return { near, far }
}

/** Drops all packets to and from a host at a port, in both directions and at both ends. */
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

test('a quiet session ends when the server’s host has vanished, and the client is reset', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const { near, far } = await connection(lab, faithd, 7801)
  await lose(lab.server, 7801)
  await near.sees('(?:ECONNRESET|ETIMEDOUT)')
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
  await near.sees('(?:ECONNRESET|ETIMEDOUT)')
  t.like(await faithd.sessionTo(7802), { reason: 'server-gone' })
})

test('a quiet session ends when the client’s host has vanished, and the server is reset', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const { far } = await connection(lab, faithd, 7804)
  await lose(lab.client, 7804)
  await far.sees('(?:ECONNRESET|ETIMEDOUT)')
  t.like(await faithd.sessionTo(7804), { reason: 'client-gone' })
})

for (const [whose, reason] of [
  ['server', 'server-gone'],
  ['client', 'client-gone'],
] as const) {
  test(`a vanished ${whose} with unsent bytes is noticed as soon as a quiet one`, async (t) => {
    await using lab = await createLab()
    const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
    const { near, far } = await connection(lab, faithd, 7803)
    await lose(lab[whose], 7803)
    const other = whose === 'server' ? near : far
    other.says('are you there?')
    await other.sees('(?:ECONNRESET|ETIMEDOUT)')
    t.like(await faithd.sessionTo(7803), { reason })
  })
}

test('a live peer that reads nothing for a long time keeps its session', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const slow = await connection(lab, faithd, 7807)
  slow.far.pauses()
  slow.near.floods()
  await slow.near.isBlocked()
  // The end of this second connection shows that enough time has passed.
  const { near } = await connection(lab, faithd, 7808)
  await lose(lab.server, 7808)
  near.says('are you there?')
  await near.sees('(?:ECONNRESET|ETIMEDOUT)')
  const { received } = await slow.far.status()
  slow.far.resumes()
  await waitFor('the rest to arrive', async () => {
    return (await slow.far.status()).received > received + 1024 * 1024
  })
  t.deepEqual(slow.near.history, ['connected'])
})

test('a quiet session with both ends alive goes on', async (t) => {
  await using lab = await createLab()
  const faithd = await startFaithd(lab, [...permitted, ...keepAlive])
  const quiet = await connection(lab, faithd, 7805)
  const { near } = await connection(lab, faithd, 7806)
  // The end of this second connection shows that both were probed.
  await lose(lab.server, 7806)
  await near.sees('(?:ECONNRESET|ETIMEDOUT)')
  quiet.near.says(' again')
  await quiet.far.hears('hello again')
  t.deepEqual(quiet.near.history, ['connected'])
})
