import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { removeAtExit } from './cleanup.js'
import { Host, Router } from './host.js'
import { ServerHost } from './server.js'
import { mine, removeStaleFolders, stale } from './stale.js'
import { build, nameHosts, namespaces, remove } from './topology.js'
import type { Role } from './topology.js'

export interface LabOptions {
  /** Puts a router between the client and the router. */
  edge?: boolean
  /**
   * The same, with a link of this MTU to the client. The client announces the MSS of a 1500-byte link all the
   * same, so that the path MTU must be discovered.
   */
  clientMtu?: number
  /** Gives the client an IPv4 address and lets the router forward it, to measure plain forwarding. */
  ipv4Client?: boolean
  /** Where temporary files go, for labs that move big ones; the system's folder for them by default. */
  temporary?: string
}

/**
 * An IPv6-only client, a router and an IPv4-only server. Close it, or let `await using` do so; when the
 * process ends first, by a signal too, the lab goes with it.
 */
export class Lab implements AsyncDisposable {
  readonly client: Host
  readonly router: Router
  readonly server: ServerHost
  /** The router between client and router, in labs made with `edge` or `clientMtu`. */
  readonly edge: Host | undefined

  readonly #names: Map<Role, string>
  readonly #directory: string
  readonly #forget: () => void
  #closed: Promise<void> | undefined

  private constructor(options: LabOptions, directory: string) {
    this.#names = nameHosts(options)
    this.#directory = directory
    // Before anything exists, so that a signal between two steps of building leaves nothing either.
    this.#forget = removeAtExit(() => this.#removeNow())
    const name = (role: Role) => this.#names.get(role) ?? role
    this.client = new Host('client', name('client'))
    this.router = new Router('router', name('router'))
    this.server = new ServerHost('server', name('server'), this.#directory)
    this.edge = this.#names.has('edge') ? new Host('edge', name('edge')) : undefined
  }

  /** @internal */
  static async create(options: LabOptions): Promise<Lab> {
    const parent = options.temporary ?? tmpdir()
    remove(stale(namespaces()))
    removeStaleFolders(parent)
    const lab = new Lab(options, mkdtempSync(join(parent, mine)))
    try {
      build(lab.#names, options)
    } catch (error) {
      await lab.close()
      throw error
    }
    return lab
  }

  /** A folder for temporary files that goes with the lab. */
  get directory(): string {
    return this.#directory
  }

  /** The names of the lab's network namespaces. */
  get namespaces(): string[] {
    return [...this.#names.values()]
  }

  /** Ends every program in the lab and removes its namespaces and files. Closing twice is closing once. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    // The router last: faithd then sees its sessions end as they would, not all at once.
    await Promise.all([this.client.stop(), this.server.stop(), this.edge?.stop()])
    await this.router.stop()
    this.#removeNow()
    this.#forget()
  }

  #removeNow(): void {
    try {
      remove(this.#names.values())
    } finally {
      rmSync(this.#directory, { recursive: true, force: true })
    }
  }
}

/** Makes a lab; needs root, or to run in a user namespace (`scripts/test.mjs` sees to that). */
export async function createLab(options: LabOptions = {}): Promise<Lab> {
  return await Lab.create(options)
}
