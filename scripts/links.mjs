// Fails on links of documents that lead to no file or heading, and on addresses that are none. Links to this repository
// on GitHub count as links to its files. Nothing is asked of the network; `--list` prints each address once.
//
//   node scripts/links.mjs [--list] [FOLDER]
import { existsSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'

import { filesBelow } from './files.mjs'
import { root } from './steps.mjs'

const top = resolve(process.argv.slice(2).find((argument) => argument !== '--list') ?? root)
const own = /^https:\/\/github\.com\/faithd\/faithd\/(?:blob|raw|tree)\/\w+\//
const code = /^( *)```[^]*?^\1```|`[^`\n]+`/gm
const links =
  /(?<=\]\(<?|^\[[^\]\n]+\]:\s+<?|<(?:img|a)\s[^>]*?(?:src|href)=")[^)\s">]+|(?<=<)https?:[^>\s]*(?=>)/gm
/** @type {Set<string>} */
const addresses = new Set()

/** The anchors that GitHub gives the headings of a document. @param {string} file */
function anchors(file) {
  const text = readFileSync(file, 'utf8').replaceAll(/^( *)```[^]*?^\1```/gm, '')
  const slugs = [...text.matchAll(/^#+\s+(.*?)\s*$/gm)].map(([, title = '']) =>
    title
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
  const before = (/** @type {number} */ end, /** @type {string} */ slug) =>
    slugs.slice(0, end).filter((each) => each === slug).length
  return slugs.map((slug, at) => (before(at, slug) > 0 ? `${slug}-${before(at, slug)}` : slug))
}

/** The fault of a link, or undefined. @param {string} file @param {string} link */
function fault(file, link) {
  if (/^[a-z][a-z+.-]*:/i.test(link)) {
    addresses.add(link)
    if (!URL.canParse(link) || !/^(?:https?|mailto):/.test(link)) return 'not an address'
    if (!own.test(link)) return undefined
  }
  const [path = '', anchor] = link.replace(own, '').split('#')
  const target = path === '' ? file : resolve(own.test(link) ? top : dirname(file), decodeURI(path))
  if (!existsSync(target)) return 'no such file'
  if (anchor === undefined || !target.endsWith('.md')) return undefined
  return anchors(target).includes(anchor) ? undefined : 'no such heading'
}

for (const file of filesBelow(top, /\.md$/)) {
  const text = readFileSync(file, 'utf8').replaceAll(code, (span) => span.replaceAll(/[^\n]/g, '_'))
  for (const { 0: link, index } of text.matchAll(links)) {
    const problem = fault(file, link)
    if (problem === undefined) continue
    const line = text.slice(0, index).split('\n').length
    console.error(`${relative(process.cwd(), file)}:${line}: ${link}: ${problem}`)
    process.exitCode = 1
  }
}
if (process.argv.includes('--list')) console.log([...addresses].toSorted().join('\n'))
