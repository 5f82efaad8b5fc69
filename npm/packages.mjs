// The packages of npm: `faithd`, which is TypeScript's output alone and names the others as optional dependencies, and
// one package for each platform, which is its addon. npm installs the one that fits by `os`, `cpu` and `libc`.
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { root } from '../scripts/steps.mjs'
import { addonOf, targets } from './targets.mjs'

/** @typedef {import('./targets.mjs').Target} Target */
/** @typedef {Record<string, unknown> & { name: string, version: string, description: string }} Manifest */

const licences = ['LICENSE', 'LICENSE-APACHE', 'LICENSE-MIT']
/** The parts of package.json that only a checkout has a use for. */
const ofTheCheckout = new Set(['scripts', 'devDependencies', 'overrides', 'napi'])

/** @returns {Manifest} */
function manifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
}

/** @param {Target} target */
const nameOf = ({ platform }) => `faithd-${platform}`

/** Makes the folder that is published as `faithd`. @param {string} into */
export function stageMain(into) {
  const { version, ...rest } = manifest()
  for (const file of filesOfCheckout()) {
    if (file.endsWith('.node')) continue
    mkdirSync(dirname(join(into, file)), { recursive: true })
    copyFileSync(join(root, file), join(into, file))
  }
  const kept = Object.entries(rest).filter(([name]) => !ofTheCheckout.has(name))
  const optionalDependencies = Object.fromEntries(
    targets.map((target) => [nameOf(target), version]),
  )
  writeManifest(into, { version, ...Object.fromEntries(kept), optionalDependencies })
}

/**
 * Makes the folder that is published for a platform.
 *
 * @param {Target} target
 * @param {string} into
 * @param {{ addon?: string, thirdParty?: string }} contents a file, and a text of licences
 */
export function stagePlatform(target, into, { addon, thirdParty }) {
  const { version, license, engines, repository } = manifest()
  const { cpu, libc } = target
  const name = nameOf(target)
  const file = addonOf(target)
  mkdirSync(into, { recursive: true })
  writeManifest(into, {
    name,
    version,
    description: `The native addon of faithd for ${target.triple}`,
    license,
    ...(repository !== undefined && { repository }),
    engines,
    os: ['linux'],
    cpu: [cpu],
    libc: [libc],
    main: file,
    files: [file, ...licences, 'THIRD-PARTY-LICENSES'],
  })
  const text = `# ${name}\n\nThe native addon of faithd for ${target.triple}. Install \`faithd\`, which\nbrings the one for your machine.\n`
  writeFileSync(join(into, 'README.md'), text)
  for (const licence of licences) cpSync(join(root, licence), join(into, licence))
  if (thirdParty !== undefined) writeFileSync(join(into, 'THIRD-PARTY-LICENSES'), thirdParty)
  if (addon !== undefined) copyFileSync(addon, join(into, file))
}

/** Packs a folder; gives where the tarball is. @param {string} folder @param {string} into */
export function pack(folder, into) {
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', into]
  const [packed] = JSON.parse(npm(args, folder))
  return join(into, packed.filename)
}

/** The files of the checkout that `files` of package.json names, as npm understands it. @returns {string[]} */
function filesOfCheckout() {
  const [packed] = JSON.parse(npm(['pack', '--ignore-scripts', '--json', '--dry-run'], root))
  return packed.files.map((/** @type {{ path: string }} */ { path }) => path)
}

/** @param {readonly string[]} args @param {string} cwd */
function npm(args, cwd) {
  const options = { cwd, encoding: /** @type {const} */ ('utf8'), maxBuffer: 2 ** 26 }
  return execFileSync('npm', [...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** @param {string} into @param {Record<string, unknown>} contents */
function writeManifest(into, contents) {
  const { name, version, ...rest } = contents
  const ordered = { name, version, ...rest }
  writeFileSync(join(into, 'package.json'), `${JSON.stringify(ordered, undefined, 2)}\n`)
}

/** Starts a folder afresh. @param {string} folder */
export function emptied(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return folder
}
