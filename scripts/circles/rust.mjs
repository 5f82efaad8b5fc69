// Finds the imports among the files of one Rust crate: `use` of `crate::…`, `super::…`, `self::…` and child modules,
// and the same paths in code. A path leads through re-exports to the file that defines its name. Declaring a module
// (`mod x;`) is no import.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A module: a file, or an inline `mod x { … }` in one.
 *
 * @typedef {object} Module
 * @property {string} file
 * @property {string[]} path
 * @property {Set<string>} children
 * @property {Map<string, string[]>} names brought in by `use`, as paths from the root of the crate
 */

/**
 * A path in the source; `name` is the name that `as` gives it.
 *
 * @typedef {{ segments: string[], name?: string | undefined, offset: number }} Reference
 */

/**
 * @param {string} root
 * @param {string} folder the crate's `src`
 * @param {readonly string[]} files relative to `root`, all below `folder`
 * @returns {import('./graph.mjs').Import[]}
 */
export function rustImports(root, folder, files) {
  /** @type {Map<string, Module>} */
  const modules = new Map()
  const sources = files.map((file) => {
    const text = blank(readFileSync(join(root, file), 'utf8'))
    return { file, text, spans: declareModules(modules, file, modulePath(folder, file), text) }
  })
  const references = sources.map(({ file, text, spans }) => ({
    file,
    text,
    found: referencesIn(modules, text, spans),
  }))
  return references.flatMap(({ file, text, found }) =>
    found.flatMap(({ segments, offset }) => {
      const to = definer(modules, segments)
      if (to === undefined || to === file) return []
      const line = text.slice(0, offset).split('\n').length
      return [{ from: file, line, to, text: ['crate', ...segments].join('::') }]
    }),
  )
}

/**
 * Replaces comments and literals of the source with spaces, so that offsets and lines stay.
 *
 * @param {string} source
 */
function blank(source) {
  const skipped =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|\bb?r(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^\n]+?|[^'\\\n])'/g
  return source.replace(skipped, (text) => text.replace(/[^\n]/g, ' '))
}

/**
 * Gives the module of a file: `src/a/b.rs` and `src/a/b/mod.rs` are `a::b`.
 *
 * @param {string} folder
 * @param {string} file
 */
function modulePath(folder, file) {
  const path = file.slice(folder.length + 1, -'.rs'.length).split('/')
  if (path.at(-1) === 'mod' || (path.length === 1 && path[0] === 'lib')) path.pop()
  return path
}

/**
 * Records a file's modules, and returns where each begins and ends in the file, outer ones first.
 *
 * @param {Map<string, Module>} modules
 * @param {string} file
 * @param {string[]} path
 * @param {string} text
 */
function declareModules(modules, file, path, text) {
  const add = (/** @type {string[]} */ own) => {
    /** @type {Module} */
    const module = { file, path: own, children: new Set(), names: new Map() }
    modules.set(own.join('::'), module)
    return module
  }
  const spans = [{ module: add(path), start: 0, end: text.length }]
  for (const { 1: name = '', 2: sign, index } of text.matchAll(/\bmod\s+(\w+)\s*([;{])/g)) {
    const around = innermost(spans, index)
    around.children.add(name)
    if (sign === ';') continue
    const module = add([...around.path, name])
    spans.push({ module, start: index, end: endOfBlock(text, text.indexOf('{', index)) })
  }
  return spans
}

/**
 * @param {readonly { module: Module, start: number, end: number }[]} spans
 * @param {number} offset
 */
function innermost(spans, offset) {
  const span = spans.findLast(({ start, end }) => start <= offset && offset < end)
  return /** @type {{ module: Module }} */ (span ?? spans[0]).module
}

/**
 * @param {string} text
 * @param {number} start where the block's `{` is
 */
function endOfBlock(text, start) {
  let depth = 0
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1
    if (text[at] === '}') depth -= 1
    if (depth === 0) return at
  }
  return text.length
}

/**
 * Returns a file's paths as paths from the crate's root, and records the names that `use` brings into its modules.
 *
 * @param {Map<string, Module>} modules
 * @param {string} text
 * @param {readonly { module: Module, start: number, end: number }[]} spans
 */
function referencesIn(modules, text, spans) {
  /** @type {Reference[]} */
  const found = []
  const rest = text.replace(
    /\buse\s+([^;]+);/g,
    (statement, /** @type {string} */ tree, /** @type {number} */ offset) => {
      const module = innermost(spans, offset)
      const start = offset + statement.indexOf(tree)
      for (const leaf of leaves(tree, start)) {
        const segments = fromRoot(module, leaf.segments)
        if (segments === undefined) continue
        // A glob imports the module itself.
        if (segments.at(-1) === '*') segments.pop()
        else module.names.set(leaf.name ?? segments.at(-1) ?? '', segments)
        found.push({ segments, offset: leaf.offset })
      }
      return statement.replace(/[^\n]/g, ' ')
    },
  )
  for (const { 0: path, index } of rest.matchAll(/(?<![\w:])\w+(?:\s*::\s*\w+)+/g)) {
    const module = innermost(spans, index)
    const segments = fromRoot(module, path.split(/\s*::\s*/))
    if (segments !== undefined) found.push({ segments, offset: index })
  }
  return found
}

/**
 * Lists the paths of a `use` tree: `a::{b, c::d as e}` has `a::b` and `a::c::d`.
 *
 * @param {string} tree
 * @param {number} offset
 * @param {string[]} before
 * @returns {Reference[]}
 */
function leaves(tree, offset, before = []) {
  const open = tree.indexOf('{')
  if (open < 0) {
    const [path = '', name] = tree.trim().split(/\s+as\s+/)
    const segments = path.split('::').map((segment) => segment.trim())
    // `a::{self}` is `a`.
    if (segments.at(-1) === 'self' && before.length > 0) segments.pop()
    const indent = tree.length - tree.trimStart().length
    return [{ segments: [...before, ...segments], name, offset: offset + indent }]
  }
  const head = tree.slice(0, open).split('::')
  const path = [...before, ...head.map((segment) => segment.trim()).filter(Boolean)]
  const found = []
  let depth = 0
  let start = open + 1
  for (let at = start; at < tree.length; at += 1) {
    const end = depth === 0 && (tree[at] === ',' || tree[at] === '}')
    if (end && tree.slice(start, at).trim() !== '')
      found.push(...leaves(tree.slice(start, at), offset + start, path))
    if (end) start = at + 1
    if (tree[at] === '{') depth += 1
    if (tree[at] === '}') depth -= 1
  }
  return found
}

/**
 * Rewrites a path to start at the crate's root; undefined if it leads out of the crate.
 *
 * @param {Module} module
 * @param {readonly string[]} segments
 * @returns {string[] | undefined}
 */
function fromRoot(module, segments) {
  const [first = '', ...others] = segments
  if (first === 'crate') return others
  if (module.children.has(first)) return [...module.path, ...segments]
  if (first !== 'super' && first !== 'self') return undefined
  const ups = segments.findIndex((segment) => segment !== 'super' && segment !== 'self')
  const prefix = ups < 0 ? segments : segments.slice(0, ups)
  const levels = prefix.filter((segment) => segment === 'super').length
  return [...module.path.slice(0, module.path.length - levels), ...segments.slice(prefix.length)]
}

/**
 * Finds the file that defines the name at the end of a path.
 *
 * @param {Map<string, Module>} modules
 * @param {readonly string[]} segments from the crate's root
 * @param {Set<string>} seen paths that lead here by re-exports
 * @returns {string | undefined}
 */
function definer(modules, segments, seen = new Set()) {
  let length = segments.length
  while (length > 0 && !modules.has(segments.slice(0, length).join('::'))) length -= 1
  const module = modules.get(segments.slice(0, length).join('::'))
  const name = segments[length]
  if (module === undefined || name === undefined) return module?.file
  const key = segments.join('::')
  if (seen.has(key)) return undefined
  seen.add(key)
  const bound = module.names.get(name)
  if (bound !== undefined) {
    return definer(modules, [...bound, ...segments.slice(length + 1)], seen) ?? module.file
  }
  return module.file
}
