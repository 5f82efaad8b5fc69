// Bundles the packages that the command is built with, such as the TOML parser, into the files of dist/cli that import
// them, and writes the texts of their licences beside. The package has no dependencies at run time, and its own files
// import each other as TypeScript compiled them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { build } from 'esbuild'

import { root } from './steps.mjs'

const folder = join(root, 'dist', 'cli')

/** Tells if a file imports anything that is neither of this package nor of Node. @param {string} file */
function importsPackages(file) {
  const imports = readFileSync(file, 'utf8').matchAll(/(?:from|import) ?\(?'([^'.][^']*)'/g)
  return [...imports].some(([, name]) => !name?.startsWith('node:') && !name?.startsWith('faithd'))
}

const entryPoints = readdirSync(folder, { encoding: 'utf8', recursive: true })
  .filter((name) => name.endsWith('.js'))
  .map((name) => join(folder, name))
  .filter(importsPackages)

const { metafile } = await build({
  entryPoints,
  outdir: folder,
  // Files that import the same package share it.
  splitting: true,
  allowOverwrite: true,
  bundle: true,
  metafile: true,
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

/** The folder of the package that a file is of, if it is of another one. @param {string} file */
function packageOf(file) {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]
}

/** @param {string} path */
function licenceOf(path) {
  const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  const file = readdirSync(path).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name} has no text of its licence`)
  return `${name} ${version} (${license})\n\n${readFileSync(join(path, file), 'utf8').trim()}\n`
}

const packages = new Set(
  Object.keys(metafile.inputs)
    .map(packageOf)
    .filter((path) => path !== undefined),
)
const texts = [...packages].toSorted().map(licenceOf)
writeFileSync(
  join(folder, 'LICENSES-OF-BUNDLED-PACKAGES.txt'),
  texts.join(`\n${'-'.repeat(80)}\n\n`),
)
