// Addons that earlier runs built, for runs that change nothing that an addon is built of: the newest of each platform,
// named by a hash of those files.
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'

import { filesBelow } from '../files.mjs'
import { root } from '../steps.mjs'
import { kept } from './kept.mjs'
import { sumOf } from './lock.mjs'

/** @typedef {import('../../npm/targets.mjs').Target} Target */

/** Everything that an addon is built of. The workflow that builds all platforms names the same. */
export const sources = [
  'Cargo.lock',
  'Cargo.toml',
  'bpf',
  'build.rs',
  'crates',
  'npm/targets.mjs',
  'scripts/release/addons.mjs',
  'scripts/release/toolchain.mjs',
  'scripts/release/tools.lock',
  'src',
]

const folder = kept('release-addons')

/** The addon of a target, if one is kept that was built of these files. @param {Target} target */
export function keptAddon(target) {
  const file = placeOf(target)
  return existsSync(file) ? file : undefined
}

/** Keeps an addon in place of an older one. @param {Target} target @param {string} addon @returns {string} its file */
export function keep(target, addon) {
  mkdirSync(folder, { recursive: true })
  const older = readdirSync(folder).filter((name) => name.startsWith(`${target.platform}.`))
  const file = placeOf(target)
  copyFileSync(addon, `${file}.partial`)
  for (const name of older) rmSync(join(folder, name), { force: true })
  renameSync(`${file}.partial`, file)
  return file
}

/** @param {Target} target */
function placeOf({ platform }) {
  return join(folder, `${platform}.${hashOf(root, sources)}.node`)
}

/**
 * A hash of the names and contents of files, and of those in folders.
 *
 * @param {string} top
 * @param {readonly string[]} paths below it
 */
export function hashOf(top, paths) {
  const hash = createHash('sha256')
  for (const file of paths.flatMap((path) => filesBelow(join(top, path), /./))) {
    hash.update(`${relative(top, file)} ${sumOf(file)}\n`)
  }
  return hash.digest('hex')
}
