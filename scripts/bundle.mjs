// Bundles the packages that the command is built with, such as the TOML parser, into the files of dist/cli that import
// them. The package has no dependencies at run time, and its own files import each other as TypeScript compiled them.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { build } from 'esbuild'

import { root } from './steps.mjs'

const folder = join(root, 'dist', 'cli')

/** Tells if a file imports anything that is neither of this package nor of Node. @param {string} file */
function importsPackages(file) {
  const imports = readFileSync(file, 'utf8').matchAll(/(?:from|import) ?\(?'([^'.][^']*)'/g)
  return [...imports].some(([, name]) => !name?.startsWith('node:') && !name?.startsWith('faithd'))
}

const entryPoints = readdirSync(folder)
  .filter((name) => name.endsWith('.js'))
  .map((name) => join(folder, name))
  .filter(importsPackages)

await build({
  entryPoints,
  outdir: folder,
  allowOverwrite: true,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'es2022',
  logLevel: 'warning',
  legalComments: 'inline',
  plugins: [
    {
      name: 'own files stay files',
      setup: ({ onResolve }) => {
        onResolve({ filter: /^\.\.?\// }, ({ importer, path }) =>
          importer.startsWith(folder) ? { path, external: true } : undefined,
        )
      },
    },
  ],
})
