/** Stops faithd for longer than its time limits. When it continues, it must not take its peers for silent. */
import test from 'ava'

import { createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { nft } from '../fixtures/nft.js'
import { Sockets } from '../fixtures/sockets.js'
import type { End } from '../fixtures/sockets.js'

const lengths = [1, 1_000, 60_000, 1_000_000]

let ports = 8600

async function connection(lab: Lab, faithd: Faithd) {
  ports += 1
  const port = ports
  const [client, server] = [Sockets.of(lab.client), Sockets.of(lab.server)]
  const listening = await server.listen(port)
  const near = await client.connect(faithd.address(), port)
  const far = await listening.accept()
  near.says('hello')
  await far.hears('hello')
  return { near, far, port }
}

/** Waits until keep-alive of the server's connection is set up: the session is then settled. */
async function isSettled(lab: Lab, port: number): Promise<void> {
  await waitFor('keep-alive to be set up', async () => {
    const { stdout } = await lab.router.run('ss', ['-Hton', `dport = :${port}`])
    return stdout.includes('timer:(keepalive')
  })
}

async function lose(host: Host, port: number): Promise<void> {
  await nft(
    host,
    `table inet vanished${port} {
      chain input {
        type filter hook input priority filter
        tcp dport ${port} drop
      }
    }`,
  )
}

/** Starts another faithd as a clock: its session to a silent server ends after 4 s at least. */
async function startClock(lab: Lab): Promise<() => Promise<void>> {
  const place = { name: 'clock0', prefix: '3fff:69::' }
  const clock = await startFaithd(lab, [...permitted, '--keep-alive', '4'], 'by itself', place)
  return async () => {
    const { near, port } = await connection(lab, clock)
    await lose(lab.server, port)
    near.says('are you there?')
    await near.sees('(?:ECONNRESET|ETIMEDOUT)')
  }
}

async function hasReceived(end: End, bytes: number): Promise<void> {
  await waitFor(`${bytes} bytes to come`, async () => (await end.status()).received === bytes)
}

for (const [way, args] of [
  ['', []],
  [', without the shortcut', ['--no-shortcut']],
] as const) {
  test.serial(`sessions outlive a pause longer than --keep-alive${way}`, async (t) => {
    await using lab = await createLab()
    const timePasses = await startClock(lab)
    const faithd = await startFaithd(lab, [...permitted, ...args, '--keep-alive', '2'])
    const quiet = await connection(lab, faithd)
    const busy = []
    for (const length of lengths) {
      busy.push({ length, up: true, ...(await connection(lab, faithd)) })
      busy.push({ length, up: false, ...(await connection(lab, faithd)) })
    }
    for (const { port } of [quiet, ...busy]) await isSettled(lab, port)

    faithd.process.kill('SIGSTOP')
    for (const { near, far, up, length } of busy) (up ? near : far).says('x'.repeat(length))
    await timePasses()
    faithd.process.kill('SIGCONT')

    for (const { near, far, up, length } of busy) {
      await hasReceived(up ? far : near, length + (up ? 'hello'.length : 0))
    }
    for (const { near, far } of [quiet, ...busy]) {
      const before = await Promise.all([near.status(), far.status()])
      near.says('still here')
      far.says('here too')
      await hasReceived(far, before[1].received + 'still here'.length)
      await hasReceived(near, before[0].received + 'here too'.length)
    }
    t.deepEqual([...faithd.sessions, ...faithd.refusals], [])

    await lose(lab.server, quiet.port)
    await quiet.near.sees('(?:ECONNRESET|ETIMEDOUT)')
    t.like(await faithd.sessionTo(quiet.port), { reason: 'server-gone' })
  })

  test.serial(`bytes that arrived during a pause end a session's idleness${way}`, async (t) => {
    await using lab = await createLab()
    const timePasses = await startClock(lab)
    const faithd = await startFaithd(lab, [...permitted, ...args, '--idle-timeout', '6'])
    const [up, down] = [await connection(lab, faithd), await connection(lab, faithd)]

    faithd.process.kill('SIGSTOP')
    up.near.says(' again')
    down.far.says('good day')
    // The pause is longer than the timeout, which leaves a busy machine time before it.
    await timePasses()
    await timePasses()
    faithd.process.kill('SIGCONT')

    await up.far.hears('hello again')
    await down.near.hears('good day')
    t.like(await faithd.sessionTo(up.port), { reason: 'idle-timeout' })
    t.like(await faithd.sessionTo(down.port), { reason: 'idle-timeout' })
  })
}
