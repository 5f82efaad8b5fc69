import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { removeAtExit } from './cleanup.js'
import { Host, Router } from './host.js'
import { ServerHost } from './server.js'
import { mine, removeStaleFolders, stale } from './stale.js'
import { build, hopRoles, nameHosts, namespaces, remove } from './topology.js'
import type { Role } from './topology.js'

export interface LabOptions {
  /** Puts an edge router between the client and the router. */
  edge?: boolean
  /**
   * Adds the same edge router, with a link of this MTU to the client. The client still announces the MSS of a 1500-byte
   * link, so that the path MTU must be discovered.
   */
  clientMtu?: number
  /** Gives the client an IPv4 address and lets the router forward it, to measure plain forwarding. */
  ipv4Client?: boolean
  /** Gives the server an IPv6 address, and the router one on their link. */
  ipv6Server?: boolean
  /** Puts three IPv4 routers in a row between the router and the server, which is `addresses.farServer` then. */
  hops?: boolean
  /** Adds the same routers, with a link of this MTU to the server. */
  serverMtu?: number
  /** Folder for temporary files, for labs that move big ones; defaults to the system's. */
  temporary?: string
}

/**
 * An IPv6-only client, a router and an IPv4-only server. Close it, or use `await using`. The lab also goes when the
 * process ends before that, even by a signal.
 */
export class Lab implements AsyncDisposable {
  readonly client: Host
  readonly router: Router
  readonly server: ServerHost
  /** The edge router, in labs made with `edge` or `clientMtu`. */
  readonly edge: Host | undefined
  /** The routers between the router and the server, in labs made with `hops` or `serverMtu`. */
  readonly hops: readonly Host[]

  readonly #names: Map<Role, string>
  readonly #directory: string
  readonly #forget: () => void
  #closed: Promise<void> | undefined

  private constructor(options: LabOptions, directory: string) {
    this.#names = nameHosts(options)
    this.#directory = directory
    // Lets a faithd that has become another user read the files of its test.
    chmodSync(directory, 0o755)
    // Registers before anything exists, so that a signal in the middle of building leaves nothing behind.
    this.#forget = removeAtExit(() => this.#removeNow())
    const name = (role: Role) => this.#names.get(role) ?? role
    this.client = new Host('client', name('client'))
    this.router = new Router('router', name('router'))
    this.server = new ServerHost('server', name('server'), this.#directory)
    this.edge = this.#names.has('edge') ? new Host('edge', name('edge')) : undefined
    this.hops = hopRoles
      .filter((role) => this.#names.has(role))
      .map((role) => new Host(role, name(role)))
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

  /** A folder for temporary files, removed with the lab. */
  get directory(): string {
    return this.#directory
  }

  /** The names of the lab's network namespaces. */
  get namespaces(): string[] {
    return [...this.#names.values()]
  }

  /** Ends every program in the lab and removes its namespaces and files. A second call returns the same promise. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    // Stops the router last, so that faithd sees its sessions end one by one.
    await Promise.all([this.client.stop(), this.server.stop(), this.edge?.stop()])
    await Promise.all(this.hops.map((hop) => hop.stop()))
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

/** Makes a lab. Needs root, possibly of a user namespace (`scripts/test.mjs` makes one). */
export async function createLab(options: LabOptions = {}): Promise<Lab> {
  return await Lab.create(options)
}
