// Debian packages: faithd with a Node of its own, for operators who have none.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { Failure, root, step } from '../steps.mjs'
import { emptied } from '../../npm/packages.mjs'
import { toolPath } from './tools.mjs'

/** @typedef {import('../../npm/targets.mjs').Target} Target */

/** For each architecture of Debian, the npm platform whose addon it has, and the tool that has its Node. */
export const debianPackages = /** @type {const} */ ([
  { architecture: 'amd64', platform: 'linux-x64-gnu', tool: 'node-amd64' },
  { architecture: 'arm64', platform: 'linux-arm64-gnu', tool: 'linux-arm64-gnu' },
])

const packaging = join(root, 'packaging/debian')
const library = 'usr/lib/faithd'
const documents = 'usr/share/doc/faithd'
const commands = ['faithctl', 'faithd']

/**
 * Makes the package of an architecture.
 *
 * @param {(typeof debianPackages)[number]} which
 * @param {string} staging the folder of what npm's packages are packed from
 * @param {string} output the folder for the package
 * @param {string} [version] another than that of the checkout
 * @returns {Promise<string>} its file
 */
export async function buildDeb({ architecture, platform, tool }, staging, output, version) {
  const { version: own } = JSON.parse(readFileSync(join(staging, 'faithd/package.json'), 'utf8'))
  const tree = emptied(join(root, 'target/deb', architecture))
  const put = (/** @type {string} */ from, /** @type {string} */ to) => {
    mkdirSync(dirname(join(tree, to)), { recursive: true })
    copyFileSync(from, join(tree, to))
  }
  const compressed = (/** @type {string | Buffer} */ text, /** @type {string} */ name) => {
    mkdirSync(join(tree, documents), { recursive: true })
    // Without the time, which would differ in each build.
    writeFileSync(join(tree, documents, `${name}.gz`), gzipSync(text, { level: 9 }))
  }
  put(toolPath(tool, 'package/bin/node'), `${library}/node`)
  for (const name of commands) put(join(packaging, name), `usr/sbin/${name}`)
  put(join(packaging, 'default'), 'etc/default/faithd')
  for (const unit of ['faithd.service', 'faithd@.service']) {
    put(join(packaging, '..', unit), `lib/systemd/system/${unit}`)
  }
  put(join(packaging, '../sysusers.conf'), 'usr/lib/sysusers.d/faithd.conf')
  put(join(packaging, 'lintian-overrides'), 'usr/share/lintian/overrides/faithd')
  for (const page of readdirSync(join(root, 'man'))) {
    const folder = join(tree, 'usr/share/man', `man${page.at(-1)}`)
    mkdirSync(folder, { recursive: true })
    const text = readFileSync(join(root, 'man', page))
    writeFileSync(join(folder, `${page}.gz`), gzipSync(text, { level: 9 }))
  }
  addModules(staging, platform, join(tree, library, 'node_modules'))
  addCompletions(join(staging, 'faithd/dist/cli/faithctl.js'), tree)
  for (const name of ['README.md', 'CHANGELOG.md']) {
    compressed(readFileSync(join(root, name)), name)
  }
  compressed(changelog(version ?? own), 'changelog')
  compressed(readFileSync(join(staging, platform, 'THIRD-PARTY-LICENSES')), 'THIRD-PARTY-LICENSES')
  compressed(readFileSync(toolPath(tool, 'package/LICENSE')), 'LICENSE.node')
  writeFileSync(join(tree, documents, 'copyright'), copyright())
  writeControl(tree, { version: version ?? own, architecture })
  normalise(tree)

  const file = join(output, `faithd_${version ?? own}_${architecture}.deb`)
  const args = ['--root-owner-group', '-Zxz', '-z2', '--build', tree, file]
  const env = { SOURCE_DATE_EPOCH: commitTime() }
  await step(`Debian package for ${architecture}`, 'dpkg-deb', args, { env })
  return file
}

/** faithd and its addon, as npm would install them. @param {string} staging @param {string} platform @param {string} into */
function addModules(staging, platform, into) {
  const unneeded = /(\.d\.c?ts|\.md|\/LICENSE[^/]*|THIRD-PARTY-LICENSES|\/faithd\/man)$/
  for (const [folder, name] of [
    ['faithd', 'faithd'],
    [platform, `faithd-${platform}`],
  ]) {
    cpSync(join(staging, folder ?? ''), join(into, name ?? ''), {
      recursive: true,
      filter: (path) => !unneeded.test(path),
    })
  }
}

/** The completions of each command, as faithctl prints them. @param {string} faithctl @param {string} tree */
function addCompletions(faithctl, tree) {
  for (const command of commands) {
    for (const [shell, file] of [
      ['bash', `usr/share/bash-completion/completions/${command}`],
      ['zsh', `usr/share/zsh/vendor-completions/_${command}`],
      ['fish', `usr/share/fish/vendor_completions.d/${command}.fish`],
    ]) {
      const path = join(tree, file ?? '')
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(
        path,
        execFileSync(process.execPath, [faithctl, 'completion', shell ?? '', command]),
      )
    }
  }
}

function copyright() {
  const indented = readFileSync(join(root, 'LICENSE-MIT'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => ` ${line || '.'}`)
    .join('\n')
  return readFileSync(join(packaging, 'copyright'), 'utf8').replace('@mit@', indented)
}

/** Debian's form of a changelog; the one for users is beside it. @param {string} version */
function changelog(version) {
  const date = new Date(Number(commitTime()) * 1000).toUTCString().replace('GMT', '+0000')
  const maintainer = /^Maintainer: (.*)$/m.exec(controlText())?.[1]
  return `faithd (${version}) unstable; urgency=medium\n\n  * CHANGELOG.md.gz says what changed.\n\n -- ${maintainer}  ${date}\n`
}

function controlText() {
  return readFileSync(join(packaging, 'control'), 'utf8')
}

/** @param {string} tree @param {{ version: string, architecture: string }} values */
function writeControl(tree, values) {
  const control = join(tree, 'DEBIAN')
  const size = String(Math.ceil(sizeOf(tree) / 1024))
  mkdirSync(control)
  const text = Object.entries({ ...values, size }).reduce(
    (filled, [name, value]) => filled.replace(`@${name}@`, value),
    controlText(),
  )
  writeFileSync(join(control, 'control'), text)
  writeFileSync(join(control, 'conffiles'), '/etc/default/faithd\n')
  const files = filesIn(tree).filter((file) => !file.startsWith('DEBIAN/'))
  const sums = execFileSync('md5sum', files, { cwd: tree, encoding: 'utf8', maxBuffer: 2 ** 24 })
  writeFileSync(join(control, 'md5sums'), sums)
  for (const script of ['postinst', 'prerm', 'postrm']) {
    copyFileSync(join(packaging, script), join(control, script))
  }
}

/** Gives every file and folder the mode that it should have, whatever the umask. @param {string} tree */
function normalise(tree) {
  execFileSync('find', [tree, '-type', 'd', '-exec', 'chmod', '755', '{}', '+'])
  const programs = new Set([`${library}/node`, ...commands.map((name) => `usr/sbin/${name}`)])
  for (const file of filesIn(tree)) {
    const script = /^DEBIAN\/(pre|post)/.test(file)
    chmodSync(join(tree, file), script || programs.has(file) ? 0o755 : 0o644)
  }
}

/** @param {string} folder @returns {string[]} */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}

/** @param {string} tree */
function sizeOf(tree) {
  return filesIn(tree).reduce((sum, file) => sum + statSync(join(tree, file)).size, 0)
}

/** When the commit was made, which dates the files of a package. */
function commitTime() {
  const args = ['log', '-1', '--format=%ct']
  const time = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  if (!/^\d+$/.test(time)) throw new Failure('git knows no commit that dates the packages')
  return time
}
