/**
 * `npm run bench:docs`: fills in the figures of documents from bench/results/results.json. With `--check` it changes
 * nothing, and fails if a document differs.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { format, resolveConfig } from 'prettier'

import { fill } from './figures.js'
import type { Report } from './results.js'

const documents = ['docs/comparison.md', 'docs/performance.md']
const source = 'bench/results/results.json'

const root = resolve(import.meta.dirname, '..')
const check = process.argv.includes('--check')
const report = JSON.parse(readFileSync(resolve(root, source), 'utf8')) as Report
for (const document of documents) {
  const filepath = resolve(root, document)
  const text = readFileSync(filepath, 'utf8')
  const filled = await format(fill(text, report), { ...(await resolveConfig(filepath)), filepath })
  if (filled === text) continue
  if (check) {
    process.exitCode = 1
    console.error(`${document} differs from ${source}; run npm run bench:docs`)
  } else writeFileSync(filepath, filled)
}
