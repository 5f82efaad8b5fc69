// `npm run version -- minor`: writes the next version where versions are, dates the changelog, commits and tags. Documents
// may name the files and packages of a version, such as faithd_1.2.3_amd64.deb, and what was measured stays as it is.
//
// It refuses where the commit would not be what a reader of the changelog expects: uncommitted changes, or no entry.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { Failure, print, root, runScript } from './steps.mjs'

// The fuzz targets are a workspace of their own.
const cargoLocks = [
  'Cargo.lock',
  'crates/faith-dns/fuzz/Cargo.lock',
  'crates/faith-dns64/fuzz/Cargo.lock',
  'crates/faith-packet/fuzz/Cargo.lock',
]
const documents = ['README.md', 'SECURITY.md', 'docs', 'examples', 'packaging']
const kinds = ['major', 'minor', 'patch']

await runScript('version', async () => {
  const [kind = ''] = process.argv.slice(2)
  if (!kinds.includes(kind)) throw new Failure(`npm run version -- ${kinds.join('|')}`)
  if (git('status', '--porcelain') !== '') {
    throw new Failure('there are changes that are not committed: commit them, or put them away')
  }
  const { version } = JSON.parse(read('package.json'))
  const next = following(version, kind)
  const edited = {
    'CHANGELOG.md': dated(read('CHANGELOG.md'), next),
    'package.json': replaced('package.json', `"version": "${version}"`, `"version": "${next}"`),
    'package-lock.json': lockOf(next),
    'Cargo.toml': replaced('Cargo.toml', `version = "${version}"`, `version = "${next}"`),
    ...Object.fromEntries(cargoLocks.map((file) => [file, cargoLockOf(file, version, next)])),
    ...Object.fromEntries(documentsOf(version, next)),
  }
  for (const [file, text] of Object.entries(edited)) writeFileSync(join(root, file), text)
  git('commit', '--quiet', '--message', `Release ${next}`, ...Object.keys(edited))
  git('tag', '--annotate', '--message', `faithd ${next}`, `v${next}`)
  print(`${version} → ${next}: committed and tagged as v${next}`)
})

/** @param {string} version @param {string} kind */
function following(version, kind) {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (kind === 'major') return `${major + 1}.0.0`
  return kind === 'minor' ? `${major}.${minor + 1}.0` : `${major}.${minor}.${patch + 1}`
}

/** The changelog with what is unreleased under the version. @param {string} text @param {string} version */
function dated(text, version) {
  const [, entries = ''] = /^## Unreleased\n(.*?)(?=^## |(?![^]))/ms.exec(text) ?? []
  if (entries.trim() === '') {
    throw new Failure('CHANGELOG.md says nothing under "Unreleased": write what users will notice')
  }
  const today = new Date().toISOString().slice(0, 10)
  return text.replace('## Unreleased\n', `## Unreleased\n\n## ${version} (${today})\n`)
}

/** @param {string} version */
function lockOf(version) {
  const lock = JSON.parse(read('package-lock.json'))
  lock.version = version
  lock.packages[''].version = version
  return `${JSON.stringify(lock, undefined, 2)}\n`
}

/** @param {string} file @param {string} from @param {string} to */
function cargoLockOf(file, from, to) {
  const own = new RegExp(
    `(name = "faith(?:d|-\\w+)"\nversion = )"${from.replaceAll('.', '\\.')}"`,
    'g',
  )
  return read(file).replaceAll(own, `$1"${to}"`)
}

/** Documents that name what has a version in its name. @param {string} from @param {string} to */
function documentsOf(from, to) {
  const name = new RegExp(
    `(\\bfaithd(?:-\\w+)*[-@_])${from.replaceAll('.', '\\.')}(?!\\d|\\.\\d)`,
    'g',
  )
  return git('ls-files', ...documents)
    .split('\n')
    .map((file) => /** @type {const} */ ([file, read(file).replaceAll(name, `$1${to}`)]))
    .filter(([file, text]) => text !== read(file))
}

/** A file with one place of it changed. @param {string} file @param {string} from @param {string} to */
function replaced(file, from, to) {
  const text = read(file)
  if (!text.includes(from)) throw new Failure(`${file} has no ${from}`)
  return text.replace(from, to)
}

/** @param {string} file */
function read(file) {
  return readFileSync(join(root, file), 'utf8')
}

/** @param {string[]} args */
function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
}
