// The addon of each platform: built by one compiler, kept for the next run, and looked at before it is packed.
import { mkdirSync, copyFileSync, statSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

import { Failure, print, root, step } from '../steps.mjs'
import { addonOf } from '../../npm/targets.mjs'
import { keep, keptAddon } from './kept-addons.mjs'
import { cargoEnvironment, ownStd, samePaths, zigbuild } from './toolchain.mjs'

/** @typedef {import('../../npm/targets.mjs').Target} Target */
/** @typedef {{ target: Target, file: string, bytes: number, needs: string }} Addon */

/** Libraries that an addon may be linked to; Node itself is linked to them. */
const permitted = {
  glibc: /^(lib(c|m|dl|pthread|rt|gcc_s)\.so\.\d+|ld-linux-(x86-64|aarch64)\.so\.\d)$/,
  musl: /^libc\.so$/,
}

/**
 * Makes a target's addon.
 *
 * @param {Target} target
 * @param {string} into the folder for the addon
 * @param {{ cached: boolean }} options with `cached`, takes a kept addon if everything that it was built of is unchanged
 * @returns {Promise<Addon>}
 */
export async function makeAddon(target, into, { cached }) {
  const known = cached ? keptAddon(target) : undefined
  if (known !== undefined)
    print(`addon for ${target.platform}: nothing that it is built of changed`)
  const made = known ?? keep(target, await build(target))
  mkdirSync(into, { recursive: true })
  const file = join(into, addonOf(target))
  copyFileSync(made, file)
  return { target, file, bytes: statSync(file).size, needs: needsOf(target, file) }
}

/** Builds an addon; cargo does nothing where nothing changed. @param {Target} target */
async function build({ platform, triple, glibc }) {
  const folder = join(root, 'target/release-build')
  const flags = [
    ...samePaths(),
    ...(glibc === undefined ? ['-C', 'target-feature=-crt-static'] : []),
  ]
  const versioned = glibc === undefined ? triple : `${triple}.${glibc}`
  const args = ['zigbuild', '--release', '--lib', '--locked', '--target', versioned]
  if (glibc === undefined) args.push(...ownStd)
  const env = { ...cargoEnvironment(folder), CARGO_ENCODED_RUSTFLAGS: flags.join('\u001F') }
  await step(`addon for ${platform}`, zigbuild, args, { env })
  return join(folder, triple, 'release/libfaithd.so')
}

/**
 * Returns the libraries and versions that an addon needs. Throws a Failure if a supported system lacks one.
 *
 * @param {Target} target
 * @param {string} file
 */
export function needsOf({ libc, glibc, platform }, file) {
  const dynamic = readelf('-d', file)
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name = '']) => name)
  const foreign = libraries.filter((name) => !permitted[libc].test(name))
  if (foreign.length > 0) {
    throw new Failure(`the addon for ${platform} needs ${foreign.join(', ')}, which Node has not`)
  }
  const versions = [...readelf('-V', file).matchAll(/GLIBC_(\d+\.\d+)/g)].map(([, v = '']) => v)
  const newest = versions.toSorted(byVersion).at(-1)
  if (glibc === undefined) {
    if (newest !== undefined) throw new Failure(`the addon for ${platform} needs glibc ${newest}`)
    return libraries.join(', ')
  }
  if (newest === undefined) throw new Failure(`the addon for ${platform} names no version of glibc`)
  if (byVersion(newest, glibc) > 0) {
    throw new Failure(`the addon for ${platform} needs glibc ${newest}; ${glibc} must be enough`)
  }
  return `glibc ${newest}`
}

/** @param {string} option @param {string} file */
function readelf(option, file) {
  return execFileSync('readelf', ['-W', option, file], { encoding: 'utf8', maxBuffer: 2 ** 26 })
}

/** @param {string} one @param {string} other */
function byVersion(one, other) {
  const [a = 0, b = 0] = one.split('.').map(Number)
  const [c = 0, d = 0] = other.split('.').map(Number)
  return a - c || b - d
}
