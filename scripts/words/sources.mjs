// The texts of a source file that people read: its comments, and its strings as far as they are sentences.

/**
 * A text with the line that it begins on. A `comment` is prose in Markdown; a `string` is one text.
 *
 * @typedef {{ kind: 'comment' | 'string', line: number, text: string }} Text
 */

const regexp =
  /(?<=(?:^|[(,=:[!&|?{};]|=>|\breturn)\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//
const double = /"(?:\\[^]|[^"\\])*"/
const oneLine = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/
const slashes = /\/\/[^\n]*|\/\*[^]*?\*\//
const hash = /(?<=^|\s)#[^\n]*/

/** @param {...RegExp} parts */
const anyOf = (...parts) => new RegExp(parts.map(({ source }) => source).join('|'), 'gm')

const javascript = anyOf(slashes, oneLine, /`(?:\\[^]|[^`\\])*`/, regexp)
const c = anyOf(slashes, double, /'(?:\\[^\n]+?|[^'\\\n])'/)
const shell = anyOf(hash, /'[^']*'/, double)
/** The tokens of each language that are comments or literals; code is all that they leave. */
const languages = {
  ts: javascript,
  mjs: javascript,
  cjs: javascript,
  js: javascript,
  rs: anyOf(slashes, /\bb?r(#*)"[^]*?"\1/, double, /'(?:\\[^\n]+?|[^'\\\n])'/),
  c,
  h: c,
  sh: shell,
  py: anyOf(/"""[^]*?"""/, hash, oneLine),
  toml: anyOf(hash, /"""[^]*?"""/, oneLine),
  yml: anyOf(hash),
  yaml: anyOf(hash),
}

/** Endings of the files that hold texts, without the dot. */
export const endings = [...Object.keys(languages), 'md']

/**
 * The texts of a source in one of `languages`. Comments on lines below each other are one text.
 *
 * @param {string} source
 * @param {string} ending of its file name
 * @returns {Text[]}
 */
export function textsOf(source, ending) {
  const tokens = languages[/** @type {keyof typeof languages} */ (ending)]
  if (tokens === undefined) return []
  /** @type {(Text & { end: number, alone: boolean })[]} */
  const texts = []
  let line = 1
  let counted = 0
  for (const { 0: token, index } of source.matchAll(tokens)) {
    line += newlines(source.slice(counted, index))
    counted = index
    const end = line + newlines(token)
    const start = source.slice(source.lastIndexOf('\n', index) + 1, index)
    const alone = start.trim() === ''
    const previous = texts.at(-1)
    if (/^(?:\/[/*]|#|""")/.test(token)) {
      const text = comment(token)
      const block = token.startsWith('/*') || token.startsWith('"""')
      if (
        !block &&
        alone &&
        previous?.alone &&
        previous.kind === 'comment' &&
        previous.end === line - 1
      ) {
        previous.text += `\n${text}`
        previous.end = line
      } else texts.push({ kind: 'comment', line, text, end, alone: alone && !block })
    } else if (!token.startsWith('/')) {
      // A string after "+" goes on with a sentence, so its first word begins nothing.
      const continued = /\+\s*$/.test(source.slice(0, index))
      texts.push({
        kind: 'string',
        line,
        text: `${continued ? '… ' : ''}${string(token)}`,
        end,
        alone: false,
      })
    }
  }
  return texts
}

/** @param {string} text */
const newlines = (text) => text.split('\n').length - 1

/**
 * The text of a comment, without its marks.
 *
 * @param {string} token
 */
function comment(token) {
  if (token.startsWith('/*')) return token.slice(2, -2).replaceAll(/^[ \t]*[*!]*/gm, '')
  if (token.startsWith('"""')) return token.slice(3, -3)
  return token.replace(/^(?:\/\/[/!]?|#+!?)/, '')
}

/**
 * The text of a literal, without its quotes; its escapes and substitutions become blanks of the same length.
 *
 * @param {string} token
 */
function string(token) {
  return token
    .replaceAll(/^(?:b?r?#*)["'`]|["'`]#*$/g, '')
    .replaceAll(/\\[^\n]|\$\{[^}]*\}/g, (escape) => escape.replaceAll(/[^\n]/g, ' '))
}
