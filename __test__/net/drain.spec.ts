/**
 * Clients on slow links still get the bytes of ended sessions when faithd ends. A client that does not get them all
 * gets a reset.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { captured, createLab, waitFor } from '../../lab/index.js'
import { Download, narrowStage, links } from '../fixtures/download.js'
import { permitted, startFaithd, startWrapped } from '../fixtures/faithd.js'
import { Sockets } from '../fixtures/sockets.js'
import { narrowServer } from '../fixtures/slow-link.js'

const withoutSockDiag = fileURLToPath(new URL('../programs/without-sock-diag.py', import.meta.url))

const paths = [
  ['by the shortcut', []],
  ['by the pump', ['--no-shortcut']],
] as const
const large = 1_000_000
/** Bytes that take some seconds on each link, more than are ever on their way at once. */
const enough = { 'a patient link': large, 'a lossy link': 400_000 } as const

for (const [path, args] of paths) {
  for (const bytes of [1, 20_000, large]) {
    test.serial(`the last of ${bytes} bytes arrive within --drain, ${path}`, async (t) => {
      await using stage = await narrowStage('a patient link')
      const faithd = await startFaithd(stage.lab, [...permitted, '--drain', '30', ...args])
      const send = await stage.serve(bytes, 'ends')
      const download = await Download.begin(stage.lab.client, { half: true })
      await send()
      t.is((await faithd.sessionTo(80)).reason, 'closed')
      if (bytes === large) t.true(download.bytes < bytes, 'some bytes are still on their way')

      faithd.process.kill('SIGTERM')

      t.deepEqual(await download.outcome(), { bytes, end: 'end' })
      t.deepEqual(await faithd.end(), { code: 0, signal: null })
    })
  }

  test.serial(`a client that misses bytes after --drain is reset, ${path}`, async (t) => {
    await using stage = await narrowStage('a patient link')
    const faithd = await startFaithd(stage.lab, [...permitted, '--drain', '0.2', ...args])
    const listening = await stage.servers.listen(80)
    const download = await Download.begin(stage.lab.client, { half: true })
    const far = await listening.accept()
    await far.hears('hello')
    await far.sees('end')
    stage.clientLink.kill('SIGSTOP')
    // This fits into the socket to the client, but not into the first congestion window.
    far.says('z'.repeat(20_000))
    far.ends()
    t.is((await faithd.sessionTo(80)).reason, 'closed')

    faithd.process.kill('SIGTERM')

    t.deepEqual(await faithd.end(), { code: 0, signal: null })
    t.is(download.bytes, 0)
    stage.clientLink.kill('SIGCONT')
    const { bytes, end } = await download.outcome()
    t.is(end, 'ECONNRESET')
    t.true(bytes < 20_000)
  })

  for (const link of Object.keys(links) as (keyof typeof links)[]) {
    test.serial(`an aborted session resets its client, ${path}, on ${link}`, async (t) => {
      await using stage = await narrowStage(link)
      const faithd = await startFaithd(stage.lab, [...permitted, '--drain', '0.2', ...args])
      const send = await stage.serve(enough[link], 'goes on')
      const download = await Download.begin(stage.lab.client)
      const far = await send()
      await download.flows()

      faithd.process.kill('SIGTERM')

      t.deepEqual(await faithd.end(), { code: 0, signal: null })
      t.is((await faithd.sessionTo(80)).reason, 'aborted')
      const { bytes, end } = await download.outcome()
      t.is(end, 'ECONNRESET')
      t.true(bytes < enough[link])
      await far.sees('(?:ECONNRESET|EPIPE)')
    })

    test.serial(
      `clients are reset when the interface is deleted, ${path}, on ${link}`,
      async (t) => {
        await using stage = await narrowStage(link)
        const faithd = await startFaithd(stage.lab, [...permitted, ...args])
        const send = await stage.serve(enough[link], 'ends')
        const ended = await Download.begin(stage.lab.client, { half: true })
        await send()
        await waitFor('one session to end', () => faithd.sessions.length > 0)
        const open = await Download.begin(stage.lab.client)
        const far = await send('floods')
        await open.flows()

        await stage.lab.router.run('ip', ['link', 'del', faithd.name])

        t.deepEqual(await faithd.end(), { code: 69, signal: null })
        t.is((await open.outcome()).end, 'ECONNRESET')
        await far.sees('(?:ECONNRESET|EPIPE)')
        // The link's queue may have held all of it.
        const { bytes, end } = await ended.outcome()
        t.is(end, bytes === enough[link] ? 'end' : 'ECONNRESET')
      },
    )
  }
}

for (const error of ['EPERM', 'EACCES', 'EPROTONOSUPPORT']) {
  test.serial(`the last bytes arrive even if sock_diag(7) fails with ${error}`, async (t) => {
    await using stage = await narrowStage('a patient link')
    const args = [...permitted, '--drain', '30']
    const faithd = await startWrapped(stage.lab, [withoutSockDiag, error], args)
    const send = await stage.serve(large, 'ends')
    const download = await Download.begin(stage.lab.client, { half: true })
    await send()
    t.is((await faithd.sessionTo(80)).reason, 'closed')
    t.true(download.bytes < large, 'some bytes are still on their way')

    faithd.process.kill('SIGTERM')

    t.deepEqual(await download.outcome(), { bytes: large, end: 'end' })
    t.deepEqual(await faithd.end(), { code: 0, signal: null })
    t.false(faithd.log.some(({ msg }) => msg.includes('cannot list the connections')))
  })
}

test.serial(
  'the last bytes of a client reach a server on a slow link after faithd has ended',
  async (t) => {
    await using lab = await createLab()
    await narrowServer(lab, links['a patient link'])
    const [clients, servers] = [Sockets.of(lab.client), Sockets.of(lab.server)]
    const faithd = await startFaithd(lab, [...permitted, '--drain', '0'])
    const listening = await servers.listen(80)
    const near = await clients.connect(captured(), 80)
    const far = await listening.accept()
    far.ends()
    near.says('z'.repeat(large))
    near.ends()
    t.is((await faithd.sessionTo(80)).reason, 'closed')
    t.true((await far.status()).received < large)

    faithd.process.kill('SIGTERM')

    t.deepEqual(await faithd.end(), { code: 0, signal: null })
    await far.sees('end', { timeout: 90_000 })
    t.is((await far.status()).received, large)
    t.deepEqual(far.history, ['accepted', 'end'])
  },
)
