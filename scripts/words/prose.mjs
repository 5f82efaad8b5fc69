// Prose in Markdown, as documents and comments have it, cut into sentences and headings.
import { beginnings, textBeginnings, words } from './rules.mjs'
import { textsOf } from './sources.mjs'

/**
 * A finding: `word` stands on `line`, and `advice` says what to write instead.
 *
 * @typedef {{ line: number, word: string, advice: string }} Finding
 *
 * A block of prose: a paragraph, an item of a list, a cell of a table. Headings are pieces of a sentence by right.
 *
 * @typedef {{ line: number, text: string, heading: boolean }} Block
 */

/**
 * The findings in a file of any kind.
 *
 * @param {string} source
 * @param {string} ending of its file name
 * @returns {Finding[]}
 */
export function findingsIn(source, ending) {
  if (ending === 'md') return findingsInProse(source, 1, ending)
  return textsOf(source, ending).flatMap(({ kind, line, text }) => {
    if (kind === 'comment') return findingsInProse(text, line, ending)
    // One or two words are a name, such as that of a user.
    if (text.trim().split(/\s+/).length < 3) return []
    return findingsInBlock({ line, text, heading: false }, textBeginnings)
  })
}

/**
 * @param {string} text
 * @param {number} first its line
 * @param {string} ending of the file that has it
 */
function findingsInProse(text, first, ending) {
  const { blocks, code } = split(text, first, ending)
  return [
    ...blocks.flatMap((block) => findingsInBlock(block, beginnings)),
    ...code.flatMap(({ line: above, source, language }) =>
      findingsIn(source, language).map(({ line, word, advice }) => ({
        line: above + line - 1,
        word,
        advice,
      })),
    ),
  ].toSorted((a, b) => a.line - b.line)
}

/** The endings of files in the languages that a fenced block names. */
const fences = new Map(Object.entries({ js: 'mjs', javascript: 'mjs', rust: 'rs' }))
const item = /^\s*(?:[-*+]|\d+[.)])\s+/
const typed = /(?:\{[^}]*\}+\s+)?/.source
const tag = new RegExp(`^\\s*@(?:(?:param|property)\\s+${typed}\\S+(?:\\s+-)?|\\w+)\\s+${typed}`)

/**
 * @param {string} text
 * @param {number} first its line
 * @param {string} ending of the file that has it
 */
function split(text, first, ending) {
  /** @type {Block[]} */
  const blocks = []
  /** @type {{ line: number, source: string, language: string }[]} */
  const code = []
  /** @type {Block | undefined} */
  let open
  /** @type {{ line: number, source: string, language: string } | undefined} */
  let fence
  const lines = withoutCode(text).split('\n')
  for (const [index, whole] of lines.entries()) {
    const line = first + index
    const mark = /^\s*```+\s*(\w*)/.exec(whole)
    if (mark !== null) {
      if (fence === undefined) {
        // rustdoc takes code without a name for Rust. In a document it is output.
        const language = mark[1] || (ending === 'rs' ? 'rs' : 'txt')
        fence = { line: line + 1, source: '', language: fences.get(language) ?? language }
      } else {
        code.push(fence)
        fence = undefined
      }
      open = undefined
    } else if (fence !== undefined) {
      fence.source += `${whole}\n`
    } else if (/^\s*\|/.test(whole)) {
      const heading = /^\s*\|[\s:|-]+$/.test(lines[index + 1] ?? '')
      const cells = whole.split('|').map((cell) => ({ line, text: cell.trim(), heading }))
      blocks.push(...cells)
      open = undefined
    } else if (/^\s*$/.test(whole)) {
      open = undefined
    } else if (open === undefined || item.test(whole) || /^\s*(?:#|@\w)/.test(whole)) {
      const heading = /^\s*#+\s/.test(whole)
      const block = { line, text: whole.replace(item, '').replace(tag, '').trimStart(), heading }
      blocks.push(block)
      open = heading ? undefined : block
    } else open.text += `\n${whole}`
  }
  return { blocks, code }
}

/**
 * The same text with code spans and the addresses of links made unreadable, in the same lines.
 *
 * @param {string} text
 */
function withoutCode(text) {
  const unread =
    /(?<!`)(`{1,2})(?!`)(?:(?!\n\s*\n)[^])+?(?<!`)\1(?!`)|\]\([^)\s]*\)|https?:\/\/\S+/g
  return text.replaceAll(unread, (span) => span.replaceAll(/[^\n]/g, '_'))
}

/**
 * @param {Block} block
 * @param {readonly import('./rules.mjs').Rule[]} rules of its beginnings
 */
function findingsInBlock({ line, text, heading }, rules) {
  /** @type {Finding[]} */
  const found = []
  /** @param {number} at @param {string} word @param {string} advice */
  const add = (at, word, advice) =>
    found.push({ line: line + text.slice(0, at).split('\n').length - 1, word: word.trim(), advice })
  for (const { pattern, advice } of words) {
    for (const { 0: word, index } of text.matchAll(pattern)) add(index, word, advice)
  }
  if (heading) return found
  for (const { index, sentence } of sentences(text)) {
    if (sentence.endsWith('?')) continue
    const rule = rules.find(({ pattern }) => pattern.test(sentence))
    if (rule !== undefined)
      add(index, /^(?:how|that|of)\s+\S+|^\S+/i.exec(sentence)?.[0] ?? '', rule.advice)
  }
  return found
}

/**
 * The sentences of a block, without the marks before their first letter.
 *
 * @param {string} text
 */
function sentences(text) {
  /** @type {{ index: number, sentence: string }[]} */
  const found = []
  for (const { 0: whole, index } of text.matchAll(
    /(?:(?![.?!]["')*_]*\s+[*"'(]*[A-Z])[^])+(?:[.?!]["')*_]*)?/g,
  )) {
    const sentence = whole.replace(/^[\s*"'(—–-]+/, '')
    if (sentence !== '')
      found.push({
        index: index + whole.length - sentence.length,
        sentence: sentence.trim().replace(/["')*_]+$/, ''),
      })
  }
  return found
}
