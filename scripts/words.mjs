// Fails on words and beginnings of sentences that the project's prose does without: in documents, comments, and the
// texts of programs. Part of `npm run lint`; the rules are in words/rules.mjs.
//
//   node scripts/words.mjs [PATH ...]
import { readFileSync } from 'node:fs'
import { extname, join, relative, resolve } from 'node:path'

import { filesBelow } from './files.mjs'
import { root } from './steps.mjs'
import { findingsIn } from './words/prose.mjs'
import { endings } from './words/sources.mjs'

/** Files that quote the words. */
const quoting = new Set(
  ['scripts/words/rules.mjs', '__test__/words.spec.ts'].map((path) => join(root, path)),
)

const paths = process.argv.length > 2 ? process.argv.slice(2) : [root]
const files = paths.flatMap((path) =>
  filesBelow(resolve(path), new RegExp(`\\.(?:${endings.join('|')})$`)),
)
let count = 0
for (const path of files.filter((each) => !quoting.has(each))) {
  for (const { line, word, advice } of findingsIn(
    readFileSync(path, 'utf8'),
    extname(path).slice(1),
  )) {
    console.error(`${relative(process.cwd(), path)}:${line}: "${word}": ${advice}`)
    count += 1
  }
}
if (count > 0) console.error(`${count} to reword`)
process.exitCode = count > 0 ? 1 : 0
