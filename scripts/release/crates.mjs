// Lists the crates that an addon links: faithd's own crates, those of others, and Rust's standard library with its own.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { Failure, root } from '../steps.mjs'
import { cargo, cargoEnvironment } from './toolchain.mjs'
import { toolPath } from './tools.mjs'

/**
 * @typedef {object} Crate
 * @property {string} name
 * @property {string} version
 * @property {string} licence as SPDX writes it
 * @property {string} folder with its sources
 * @property {string} [sha256] of what crates.io has; none for faithd's own
 * @property {readonly string[]} needs the names and versions of crates
 */

/**
 * @typedef {object} Metadata
 * @property {{ id: string, name: string, version: string, license: string, manifest_path: string, source: string | null,
 *   targets: { kind: string[] }[] }[]} packages
 * @property {{ root: string, nodes: { id: string, deps: { pkg: string, dep_kinds: { kind: string | null }[] }[] }[] }} resolve
 */

/** The crates that Rust's standard library links on Linux, besides its own. */
const ofTheStandardLibrary = [
  'addr2line',
  'adler2',
  'cfg-if',
  'gimli',
  'hashbrown',
  'libc',
  'memchr',
  'miniz_oxide',
  'object',
  'rustc-demangle',
]

/** @param {{ name: string, version: string }} crate */
export const keyOf = ({ name, version }) => `${name}@${version}`

/** The crates of faithd's addons, for Linux. They are the same for each platform; the kernel's interface decides. */
export function linkedCrates() {
  const { packages, resolve } = metadata()
  const byId = new Map(packages.map((crate) => [crate.id, crate]))
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]))
  const sums = checksums()
  /** @type {Map<string, Crate>} */
  const found = new Map()
  const visit = (/** @type {string} */ id) => {
    const crate = byId.get(id)
    if (crate === undefined) throw new Failure(`cargo knows no ${id}`)
    if (found.has(id)) return
    const needs = (nodes.get(id)?.deps ?? [])
      .filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null))
      .map(({ pkg }) => pkg)
      .filter((needed) =>
        byId.get(needed)?.targets.every(({ kind }) => !kind.includes('proc-macro')),
      )
    const { name, version } = crate
    found.set(id, {
      name,
      version,
      licence: crate.license.replaceAll(/ ?\/ ?/g, ' OR '),
      folder: dirname(crate.manifest_path),
      ...(crate.source !== null && { sha256: sums.get(keyOf(crate)) ?? '' }),
      needs: needs.map((needed) => keyOf(byId.get(needed) ?? { name: needed, version: '' })),
    })
    for (const needed of needs) visit(needed)
  }
  visit(resolve.root)
  return [...found.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** The crates of Rust's standard library. @returns {Crate[]} */
export function standardCrates() {
  const sources = toolPath('rust', 'root/usr/src')
  const rust = readdirSync(sources).find((name) => name.startsWith('rustc-')) ?? ''
  const vendored = join(sources, rust, 'library/vendor')
  const folders = readdirSync(vendored)
  const crates = ofTheStandardLibrary.map((name) => {
    const folder = folders.find((other) => other.replace(/-\d.*$/, '') === name)
    if (folder === undefined) throw new Failure(`the sources of Rust have no ${name}`)
    const manifest = readFileSync(join(vendored, folder, 'Cargo.toml'), 'utf8')
    const licence = /^license = "(.+)"$/m.exec(manifest)?.[1] ?? ''
    const version = folder.slice(name.length + 1)
    return {
      name,
      version,
      licence: licence.replaceAll('/', ' OR '),
      folder: join(vendored, folder),
      needs: [],
    }
  })
  const version = rust.replace('rustc-', '')
  const needs = crates.map(keyOf)
  const std = {
    name: 'std',
    version,
    licence: 'MIT OR Apache-2.0',
    folder: join(sources, rust),
    needs,
  }
  return [...crates, std]
}

/** @returns {Metadata} */
function metadata() {
  const args = ['metadata', '--locked', '--format-version', '1']
  args.push('--filter-platform', 'x86_64-unknown-linux-gnu')
  const env = { ...process.env, ...cargoEnvironment(join(root, 'target/release-build')) }
  const options = { cwd: root, env, encoding: /** @type {const} */ ('utf8'), maxBuffer: 2 ** 28 }
  return JSON.parse(execFileSync(cargo, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] }))
}

/** The sums that Cargo.lock has. */
function checksums() {
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8')
  const entries = lock.matchAll(
    /name = "(.+)"\nversion = "(.+)"\nsource = .*\nchecksum = "([0-9a-f]+)"/g,
  )
  return new Map([...entries].map(([, name, version, sum = '']) => [`${name}@${version}`, sum]))
}
