// Fails on words and beginnings of sentences that the project's prose does without: in documents, comments, and the
// texts of programs. Part of `npm run lint`; the rules are in words/rules.mjs.
//
//   node scripts/words.mjs [PATH ...]
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

import { root } from './steps.mjs'
import { findingsIn } from './words/prose.mjs'
import { endings } from './words/sources.mjs'

/** Files that quote the words, and files that tools write. */
const skipped = new Set([
  'scripts/words/rules.mjs',
  '__test__/words.spec.ts',
  'docs/faithd.api.md',
  'bench/results',
  'dist',
  'native.cjs',
  'native.d.cts',
  'reference',
  'target',
])

/**
 * The files at or below a path that hold texts.
 *
 * @param {string} path
 * @returns {string[]}
 */
function files(path) {
  if (skipped.has(relative(root, path))) return []
  if (!statSync(path).isDirectory()) return endings.includes(ending(path)) ? [path] : []
  return readdirSync(path)
    .filter((name) => !['.git', 'node_modules', 'target'].includes(name))
    .toSorted()
    .flatMap((name) => files(join(path, name)))
}

/** @param {string} path */
const ending = (path) => path.slice(path.lastIndexOf('.') + 1)

const paths = process.argv.length > 2 ? process.argv.slice(2) : [root]
let count = 0
for (const path of paths.flatMap((named) => files(resolve(named)))) {
  for (const { line, word, advice } of findingsIn(readFileSync(path, 'utf8'), ending(path))) {
    console.error(`${relative(process.cwd(), path)}:${line}: "${word}": ${advice}`)
    count += 1
  }
}
if (count > 0) console.error(`${count} to reword`)
process.exitCode = count > 0 ? 1 : 0
