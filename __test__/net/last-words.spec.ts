/**
 * A peer that resets its connection may have sent data before: a server the reason why it refuses an upload, a client
 * its last bytes. The other peer gets all of it, then the reset.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { ExecutionContext } from 'ava'

import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import type { Lab, LabProcess } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { narrowClient } from '../fixtures/slow-link.js'
import { Program } from '../programs/program.js'

const program = fileURLToPath(new URL('../programs/last-words.py', import.meta.url))

const lengths = [1, 200, 8_000, 60_000, 1_000_000]
/** Number of repetitions: a faulty relay loses the bytes one time in three. */
const times = 5
/** A million bytes take 8 s on a link of 1 Mbit/s, beside an upload. */
const patience = 90_000

interface Heard {
  heard: number
  unchanged: boolean
  end: string
}

/** A lab's client and server, and an address that leads from one to the other. */
class Talk {
  readonly #lab: Lab
  readonly #address: string
  readonly #port: number
  readonly #server: LabProcess

  private constructor(lab: Lab, address: string, port: number, server: LabProcess) {
    this.#lab = lab
    this.#address = address
    this.#port = port
    this.#server = server
  }

  static async to(lab: Lab, address: string, port: number): Promise<Talk> {
    const server = lab.server.spawn('python3', [program, 'serve', String(port)])
    await server.line(/^listening$/)
    return new Talk(lab, address, port, server)
  }

  async #run(order: string, length: number): Promise<string> {
    const args = [program, order, this.#address, String(this.#port), String(length)]
    const { code, stdout, stderr } = await this.#lab.client.run('python3', args, {
      timeout: patience,
    })
    if (code !== 0) throw new Error(stderr)
    return stdout
  }

  async end(): Promise<void> {
    await this.#server.stop()
  }

  /** The client's result when a server answers its upload early. */
  async early(length: number): Promise<Heard> {
    return JSON.parse(await this.#run('early', length)) as Heard
  }

  /** The server's result when a client aborts. The lengths of one talk must differ. */
  async abort(length: number): Promise<Heard> {
    await this.#run('abort', length)
    const told = await this.#server.line(new RegExp(`"heard": ${length},`), { timeout: patience })
    return JSON.parse(told) as Heard
  }
}

/** Checks the received bytes, not the kind of reset: an upload may notice it first. */
async function clientGetsAll(t: ExecutionContext, talk: Talk, length: number): Promise<void> {
  t.like(await talk.early(length), { heard: length, unchanged: true })
}

async function serverGetsAll(t: ExecutionContext, talk: Talk, length: number): Promise<void> {
  t.deepEqual(await talk.abort(length), { heard: length, unchanged: true, end: 'ECONNRESET' })
}

for (const [way, args] of [
  ['', []],
  [', without the shortcut', ['--no-shortcut']],
] as const) {
  test.serial(`bytes that a peer sends before its reset arrive${way}`, async (t) => {
    await using lab = await createLab()
    const faithd = await startFaithd(lab, [...permitted, ...args])
    for (let round = 0; round < times; round += 1) {
      const talk = await Talk.to(lab, faithd.address(), 8300)
      for (const length of lengths) {
        await clientGetsAll(t, talk, length)
        await serverGetsAll(t, talk, length)
      }
      await talk.end()
    }
    await hasReset(t, faithd, times * lengths.length)
  })

  test.serial(
    `bytes that a peer sends before its reset arrive over a slow link${way}`,
    async (t) => {
      await using lab = await createLab()
      await narrowClient(lab, { bitsPerSecond: 1_000_000, queue: 62_500 })
      const faithd = await startFaithd(lab, [...permitted, ...args])
      const talk = await Talk.to(lab, faithd.address(), 8400)
      for (const length of lengths) await clientGetsAll(t, talk, length)
      for (const length of lengths) await serverGetsAll(t, talk, length)
      await hasReset(t, faithd, lengths.length)
    },
  )

  test.serial(`bytes that a spliced peer sends before its reset arrive${way}`, async (t) => {
    await using lab = await createLab()
    const router = await Program.start(lab.router)
    await router.keepfaith(true)
    const shortcut = args.length === 0
    await using faith = await router.create({ shortcut })
    for (let port = 8500; port < 8500 + times; port += 1) {
      const listener = await faith.listen({ port })
      const server = { host: addresses.server, port }
      const spliced = listener.spliceEach(server, 2 * lengths.length)
      const talk = await Talk.to(lab, captured(), port)
      for (const length of lengths) {
        await clientGetsAll(t, talk, length)
        await serverGetsAll(t, talk, length)
      }
      t.deepEqual(await spliced, {
        'server-reset': lengths.length,
        'client-reset': lengths.length,
      })
    }
  })
}

/** Checks that this many sessions of either kind ended by the reset. */
async function hasReset(t: ExecutionContext, faithd: Faithd, count: number): Promise<void> {
  // The record of the last session may come after the end that its peers see.
  await waitFor('all records', () => faithd.sessions.length >= 2 * count)
  for (const reason of ['server-reset', 'client-reset']) {
    const sessions = faithd.sessions.filter((session) => session.reason === reason)
    t.is(sessions.length, count, reason)
  }
}
