// The files of a checkout that people write.
import { readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'

import { root } from './steps.mjs'

/** Files and folders that tools write. */
const written = new Set([
  'bench/results',
  'dist',
  'docs/faithd-otel.api.md',
  'docs/faithd.api.md',
  'native.cjs',
  'native.d.cts',
  'reference',
  'target',
])

/**
 * The files at or below a path that end in one of `endings`.
 *
 * @param {string} path absolute
 * @param {RegExp} endings
 * @returns {string[]}
 */
export function filesBelow(path, endings) {
  if (written.has(relative(root, path))) return []
  if (!statSync(path).isDirectory()) return endings.test(path) ? [path] : []
  return readdirSync(path)
    .filter((name) => !['.git', 'node_modules', 'target'].includes(name))
    .toSorted()
    .flatMap((name) => filesBelow(join(path, name), endings))
}
