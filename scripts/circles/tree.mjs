// Finds the circles of imports in a checkout.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { findCircles } from './graph.mjs'
import { rustImports } from './rust.mjs'
import { typescriptImports } from './typescript.mjs'

/**
 * Lists the files at or below a path that end in one of `endings`; none if the path does not exist.
 *
 * @param {string} root
 * @param {string} path
 * @param {RegExp} endings
 * @returns {string[]}
 */
function files(root, path, endings) {
  const full = join(root, path)
  if (!existsSync(full)) return []
  if (!statSync(full).isDirectory()) return endings.test(path) ? [path] : []
  return readdirSync(full)
    .toSorted()
    .flatMap((name) => files(root, join(path, name), endings))
}

const typescriptPlaces = [
  'index.ts',
  'lib',
  'cli',
  'bench',
  'lab',
  'scripts',
  'examples',
  '__test__',
]

/**
 * Finds the circles of a checkout: those of each crate and those in TypeScript.
 *
 * @param {string} root
 */
export function circlesIn(root) {
  const crates = existsSync(join(root, 'crates')) ? readdirSync(join(root, 'crates')) : []
  const rustFolders = ['src', ...crates.toSorted().map((crate) => `crates/${crate}/src`)]
  const units = rustFolders.map((folder) => rustImports(root, folder, files(root, folder, /\.rs$/)))
  const typescript = typescriptPlaces.flatMap((place) => files(root, place, /\.(ts|mjs)$/))
  return [...units, typescriptImports(root, typescript)].flatMap(findCircles)
}
