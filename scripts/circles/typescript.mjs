// Finds the imports among TypeScript and JavaScript files: `import`, `export … from` and `import()`, also of types.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

import typescript from 'typescript'

/**
 * @param {string} root
 * @param {readonly string[]} files relative to `root`
 * @returns {import('./graph.mjs').Import[]}
 */
export function typescriptImports(root, files) {
  return files.flatMap((from) => {
    const source = readFileSync(join(root, from), 'utf8')
    return typescript.preProcessFile(source, true, true).importedFiles.flatMap((reference) => {
      if (!reference.fileName.startsWith('.')) return []
      const to = sourceOf(root, normalize(join(dirname(from), reference.fileName)))
      if (to === undefined) return []
      const line = source.slice(0, reference.pos).split('\n').length
      return [{ from, line, to, text: `'${reference.fileName}'` }]
    })
  })
}

/**
 * Finds the repository file that an import names: `x.js` is compiled from `x.ts`.
 *
 * @param {string} root
 * @param {string} path
 */
function sourceOf(root, path) {
  const candidates = [path.replace(/\.js$/, '.ts'), path]
  return candidates.find((candidate) => existsSync(join(root, candidate)))
}
