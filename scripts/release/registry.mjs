// A registry for npm on the loopback, of packages that are folders here: what is installed from it needs no internet.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

import { root } from '../steps.mjs'

/** @typedef {{ name: string, version: string }} Manifest */
/**
 * @typedef {object} Locked
 * @property {boolean} [dev]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [peerDependencies]
 */

/** @param {string[]} path */
const read = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'))

/** Where the packages are that `faithd` needs, as npm has installed them in this checkout. */
export function dependencies() {
  const { packages } = /** @type {{ packages: Record<string, Locked> }} */ (
    read(root, 'package-lock.json')
  )
  const needed = Object.entries(packages)
    .filter(([path, { dev = false }]) => path !== '' && !dev)
    .map(([path]) => path)
  // Its peers are there for its development too, and what they need with them.
  const peers = Object.keys(packages['']?.peerDependencies ?? {}).map(placeOf)
  for (const peer of peers) {
    peers.push(...Object.keys(packages[peer]?.dependencies ?? {}).map(placeOf))
  }
  return [...new Set([...needed, ...peers])].map((path) => join(root, path))
}

/** @param {string} name */
function placeOf(name) {
  return `node_modules/${name}`
}

/** @implements {AsyncDisposable} */
export class Registry {
  #server = createServer()
  /** By the name of each package, where each version of it is. @type {Map<string, Map<string, string>>} */
  #packages = new Map()

  /** Starts one that has the packages of these folders. @param {readonly string[]} folders */
  static async of(folders) {
    const registry = new Registry()
    for (const folder of folders) {
      const { name, version } = /** @type {Manifest} */ (read(folder, 'package.json'))
      const versions = registry.#packages.get(name) ?? new Map()
      registry.#packages.set(name, versions.set(version, folder))
    }
    registry.#server.on('request', ({ url = '' }, response) => {
      const answer = registry.#answer(decodeURIComponent(url.slice(1)))
      if (answer === undefined) response.statusCode = 404
      response.end(answer)
    })
    registry.#server.listen(0, '127.0.0.1')
    await once(registry.#server, 'listening')
    return registry
  }

  get url() {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address())
    return `http://127.0.0.1:${port}`
  }

  /**
   * Returns the answer for a path: `NAME` is a package, `NAME/-/VERSION.tgz` the tarball of a version.
   *
   * @param {string} path
   * @returns {Buffer | string | undefined}
   */
  #answer(path) {
    const [name = '', file] = path.split('/-/')
    const versions = this.#packages.get(name)
    if (versions === undefined) return undefined
    if (file !== undefined) {
      const folder = versions.get(file.replace(/\.tgz$/, ''))
      return folder === undefined ? undefined : archive(folder)
    }
    const releases = [...versions].map(([version, folder]) => {
      const dist = { tarball: `${this.url}/${name}/-/${version}.tgz` }
      return /** @type {const} */ ([version, { ...read(folder, 'package.json'), dist }])
    })
    const latest = [...versions.keys()].at(-1)
    return JSON.stringify({
      name,
      'dist-tags': { latest },
      versions: Object.fromEntries(releases),
    })
  }

  async [Symbol.asyncDispose]() {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

/** A package's tarball; what is installed inside of it are packages of their own. @param {string} folder */
function archive(folder) {
  const args = ['-cz', '--exclude=./node_modules', '.']
  return execFileSync('tar', args, { cwd: folder, maxBuffer: 2 ** 26 })
}
