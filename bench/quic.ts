/** Transfers over QUIC, by quic-load, a program of Rust and quinn that is built when it is first needed. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { step } from '../scripts/steps.mjs'
import type { CpuTime } from './accounts.js'
import { quicPort, serverAddresses } from './bed.js'
import type { Bed } from './bed.js'
import { finished } from './load.js'
import type { Way } from './load.js'

const crate = fileURLToPath(new URL('quic/Cargo.toml', import.meta.url))
/** Its folder outlives the run, unlike that of the C programs, because a build takes minutes. */
const target = fileURLToPath(new URL('../target/bench/quic', import.meta.url))
/** The path of the built program. */
export const quicLoad = join(target, 'release', 'quic-load')

/** Builds the program, unless it is up to date. */
export async function buildQuic(): Promise<void> {
  const where = ['--manifest-path', crate, '--target-dir', target]
  await step('quic-load', 'cargo', ['build', '--locked', '--release', ...where])
}

export interface QuicResult {
  gigabits: number
  gigabytes: number
  /** The share of the sender's datagrams that were lost. */
  lost: number
  cpu: CpuTime
}

/** The server's end, which transfers one after the other. */
export class QuicServer {
  readonly #bed: Bed
  readonly #certificate: string

  private constructor(bed: Bed) {
    this.#bed = bed
    this.#certificate = join(bed.lab.directory, 'certificate')
  }

  static async start(bed: Bed): Promise<QuicServer> {
    const server = new QuicServer(bed)
    const args = ['--serve', String(quicPort), '--certificate', server.#certificate]
    await bed.serve(quicLoad, args).line(/^listening$/)
    return server
  }

  /** Moves as many bytes as possible over one stream of one connection. */
  async transfer(way: Way, seconds: number): Promise<QuicResult> {
    const bed = this.#bed
    const where = ['--target', bed.dial(serverAddresses[0]), '--port', quicPort]
    const what = ['--certificate', this.#certificate, '--mode', way, '--seconds', seconds]
    const args = [...where, ...what].map(String)
    const [output, cpu] = await bed.phase(`QUIC ${way}`, { load: 1, server: 1 }, async () => {
      return await finished(bed.load(quicLoad, args), seconds + 30)
    })
    bed.check()
    const result = JSON.parse(output) as Record<'bytes' | 'seconds' | 'sent' | 'lost', number>
    const { bytes, sent } = result
    const gigabits = (bytes * 8) / result.seconds / 1e9
    return { gigabits, gigabytes: bytes / 1e9, lost: result.lost / sent, cpu }
  }
}
