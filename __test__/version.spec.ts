/** `npm run version` in a repository of its own. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { root } from '../scripts/steps.mjs'
import { temporary } from './fixtures/installed.js'

const fuzz = ['faith-dns', 'faith-dns64', 'faith-packet'].map((crate) => `crates/${crate}/fuzz`)
const files = [
  'package.json',
  'package-lock.json',
  'Cargo.toml',
  'Cargo.lock',
  ...fuzz.map((folder) => `${folder}/Cargo.lock`),
]

/** A repository at version 1.2.3 with this changelog. */
function repository(t: ExecutionContext, changelog: string) {
  const folder = temporary('faithd-version-')
  t.teardown(() => rmSync(folder, { recursive: true }))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  for (const one of fuzz) mkdirSync(join(folder, one), { recursive: true })
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8')
    writeFileSync(join(folder, file), text.replaceAll(`"${version}"`, '"1.2.3"'))
  }
  mkdirSync(join(folder, 'scripts'))
  for (const file of ['scripts/version.mjs', 'scripts/steps.mjs']) {
    cpSync(join(root, file), join(folder, file))
  }
  writeFileSync(join(folder, 'CHANGELOG.md'), changelog)
  mkdirSync(join(folder, 'docs'))
  writeFileSync(join(folder, 'docs/installing.md'), document('1.2.3'))
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' }).trim()
  git('init', '--quiet')
  git('config', 'user.name', 'Test')
  git('config', 'user.email', 'test@example.org')
  git('add', '.')
  git('commit', '--quiet', '--message', 'Begin')
  const run = (kind: string) =>
    spawnSync(process.execPath, ['scripts/version.mjs', kind], { cwd: folder, encoding: 'utf8' })
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  return { folder, git, run, read }
}

/** A document that names the packages of a version, and what else looks like it. */
function document(version: string) {
  const names = `apt install ./faithd_${version}_amd64.deb, npm install faithd@${version}`
  const tarballs = `faithd-${version}.tgz and faithd-linux-x64-gnu-${version}.tgz.`
  return `${names}\n${tarballs}\nmeasured: faithd 1.2.3, not faithd@1.2.30 or 1.2.3.4\n`
}

const changelog =
  '# Changelog\n\n## Unreleased\n\n- Something new.\n\n## 1.2.3 (2026-01-01)\n\n- Old.\n'

test('it writes the version everywhere, dates the changelog, commits and tags', (t) => {
  const { git, run, read } = repository(t, changelog)
  const { status, stderr } = run('minor')
  t.is(status, 0, stderr)
  t.is(git('describe'), 'v1.3.0')
  t.is(git('status', '--porcelain'), '')
  for (const file of files) {
    t.true(read(file).includes('"1.3.0"'), file)
  }
  t.is(read('docs/installing.md'), document('1.3.0'))
  t.regex(read('Cargo.lock'), /name = "faith-packet"\nversion = "1\.3\.0"/)
  t.regex(read('Cargo.lock'), /name = "faithd"\nversion = "1\.3\.0"/)
  t.regex(
    read('CHANGELOG.md'),
    /## Unreleased\n\n## 1\.3\.0 \(\d{4}-\d\d-\d\d\)\n\n- Something new/,
  )
})

test('it refuses a tree with changes, and changes nothing', (t) => {
  const { folder, git, run } = repository(t, changelog)
  writeFileSync(join(folder, 'more'), '')
  const { status, stderr } = run('patch')
  t.is(status, 1)
  t.regex(stderr, /changes that are not committed/)
  t.is(git('tag'), '')
  t.is(git('status', '--porcelain'), '?? more')
})

test('it refuses a changelog without an entry', (t) => {
  const { git, run } = repository(t, changelog.replace('- Something new.\n\n', ''))
  const { status, stderr } = run('patch')
  t.is(status, 1)
  t.regex(stderr, /says nothing under "Unreleased"/)
  t.is(git('status', '--porcelain'), '')
})
