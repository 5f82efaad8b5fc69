// `npm run release`: builds the addon of every platform, packs the packages of npm, and proves each one.
//
// `npm run release -- --help` says what it takes; docs/releasing.md says how a version comes out.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

import { ensurePrograms, releasePrograms } from './debian.mjs'
import { checkTools, ensureBuilt, ensureNodeModules } from './prepare.mjs'
import { makeAddon } from './release/addons.mjs'
import { linkedCrates, standardCrates } from './release/crates.mjs'
import { proveDebs } from './release/deb-proof.mjs'
import { buildDeb, debianPackages } from './release/deb.mjs'
import { sumOf } from './release/lock.mjs'
import { emptied, pack, stageMain, stagePlatform } from '../npm/packages.mjs'
import { install, proveInChroot, proveInMachine, proveOnHost } from './release/proof.mjs'
import { repeat } from './release/repeat.mjs'
import { billOfMaterials } from './release/sbom.mjs'
import { targets } from '../npm/targets.mjs'
import { thirdPartyLicences } from './release/third-party.mjs'
import { ensureTools } from './release/tools.mjs'
import { Failure, bold, duration, print, root, runScript } from './steps.mjs'

/** @typedef {import('./release/addons.mjs').Addon} Addon */
/** @typedef {import('./release/proof.mjs').Proof} Proof */
/** @typedef {import('../npm/targets.mjs').Target} Target */

const staging = join(root, 'target/staging')
const output = join(root, 'target/packages')

const help = `npm run release -- [--rehearse] [--unproved] [--twice] [PLATFORM …]

Builds the addons, packs what is published into target/packages, Debian packages too, and proves that each package relays on a real Node of
its platform. Root is needed for the proofs: they make network namespaces and chroots.

  PLATFORM …   these alone: ${targets.map(({ platform }) => platform).join(', ')}
  --rehearse   takes the addons of an earlier run, if what they are built of is unchanged, and newer tools where Debian
               has dropped those of tools.lock: enough to test, and not to publish
  --unproved   without the proofs
  --twice      once more from a copy of the sources in another folder, which must give the same bytes

FAITHD_RELEASE_CACHE names the folder for the tools and the addons of earlier runs, instead of target`

await runScript('release', async () => {
  const args = process.argv.slice(2)
  if (args.includes('--help')) return print(help)
  const start = performance.now()
  const names = args.filter((argument) => !argument.startsWith('--'))
  const chosen = choose(names)
  const proved = !args.includes('--unproved')
  const rehearsed = args.includes('--rehearse')
  checkTools()
  if (proved && process.getuid?.() !== 0) {
    throw new Failure('the proofs need root; or run with --unproved')
  }
  await ensureTools(['rust', 'zig'], { newer: rehearsed })
  await ensureNodeModules()
  await ensureBuilt()

  const folder = emptied(join(root, 'target/addons'))
  /** @type {Addon[]} */
  const addons = []
  for (const target of chosen) addons.push(await makeAddon(target, folder, { cached: rehearsed }))
  const folders = stage(addons)
  if (proved) await ensureProofTools(chosen, { newer: rehearsed })
  const all = chosen.length === targets.length
  const debs = all || proved ? await buildDebs(chosen) : []
  if (all) publishable(folders, debs)
  const proofs = proved ? await prove(chosen, folders) : new Map()
  if (proved && debs.length > 0) await proveDebs(debs)
  table(addons, proofs)
  if (args.includes('--twice')) await repeat(names, output)
  print(`\n${bold(`release ${version()}`)} in ${duration((performance.now() - start) / 1000)}`)
})

/** @param {readonly string[]} names */
function choose(names) {
  const unknown = names.filter((name) => targets.every(({ platform }) => platform !== name))
  if (unknown.length > 0) throw new Failure(`no platform ${unknown.join(', ')}; see --help`)
  return targets.filter(({ platform }) => names.length === 0 || names.includes(platform))
}

/** Makes the folders that are published. @param {readonly Addon[]} addons */
function stage(addons) {
  emptied(staging)
  const crates = linkedCrates().filter(ofOthers)
  const thirdParty = thirdPartyLicences([...crates, ...standardCrates()])
  const main = join(staging, 'faithd')
  stageMain(main)
  const platforms = addons.map(({ target, file }) => {
    const folder = join(staging, target.platform)
    stagePlatform(target, folder, { addon: file, thirdParty })
    return folder
  })
  return [main, ...platforms]
}

/** Makes the Debian packages that have an addon of these. @param {readonly Target[]} chosen */
async function buildDebs(chosen) {
  const platforms = new Set(chosen.map(({ platform }) => platform))
  const folder = emptied(join(root, 'target/debs'))
  const debs = []
  for (const which of debianPackages.filter(({ platform }) => platforms.has(platform))) {
    await ensureTools([which.tool])
    debs.push(await buildDeb(which, staging, folder))
  }
  return debs
}

/**
 * Packs the folders for npm, and writes what goes with them and with the Debian packages.
 *
 * @param {readonly string[]} folders
 * @param {readonly string[]} debs
 */
function publishable(folders, debs) {
  emptied(output)
  const tarballs = folders.map((folder) => pack(folder, output))
  const packed = tarballs.map((tarball, index) => {
    const { name, version: own } = manifestOf(folders[index] ?? '')
    return { name, version: own, sha256: sumOf(tarball) }
  })
  const [main, ...platforms] = packed
  if (main === undefined) throw new Failure('nothing was packed')
  const bill = join(output, `faithd-${main.version}.cdx.json`)
  writeFileSync(bill, billOfMaterials(main, platforms, linkedCrates(), standardCrates()))
  for (const deb of debs) copyFileSync(deb, join(output, basename(deb)))
  const sums = [...tarballs, ...debs, bill].map((file) => `${sumOf(file)}  ${basename(file)}\n`)
  writeFileSync(join(output, 'SHA256SUMS'), sums.join(''))
}

/** @param {readonly Target[]} chosen @param {{ newer: boolean }} options of ensureTools */
async function ensureProofTools(chosen, options) {
  await ensurePrograms(releasePrograms)
  await ensureTools(
    chosen.map(({ platform }) => platform),
    options,
  )
  if (chosen.some(({ cpu }) => cpu === 'arm64')) await ensureTools(['emulator', 'guest'], options)
}

/** @param {readonly Target[]} chosen @param {readonly string[]} folders */
async function prove(chosen, folders) {
  /** @type {Map<Target, Proof>} */
  const proofs = new Map()
  for (const target of chosen) {
    const project = join(root, 'target/proofs', `${target.platform}-project`)
    await install(target, folders, project)
    if (target.platform === 'linux-x64-gnu') await proveOnHost(target, project)
    const proof = target.cpu === 'x64' ? proveInChroot : proveInMachine
    proofs.set(target, await proof(target, project))
  }
  return proofs
}

/** @param {readonly Addon[]} addons @param {Map<Target, Proof>} proofs */
function table(addons, proofs) {
  const head = ['target', 'bytes', 'needs', 'loaded by', 'relayed', 'steering', 'shortcut']
  const rows = addons.map(({ target, bytes, needs }) => {
    const proof = proofs.get(target)
    const told = proof && [
      `Node ${proof.node}, ${proof.libc}`,
      `${proof.relayed}`,
      proof.steering,
      proof.shortcut ? 'active' : 'none',
    ]
    return [target.triple, bytes.toLocaleString('en'), needs, ...(told ?? ['', '', '', ''])]
  })
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  )
  print('')
  for (const row of [head, ...rows]) {
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  }
}

/** @param {string} folder @returns {{ name: string, version: string }} */
function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** The version, and the commit that it is built from. */
function version() {
  const changed = git('status', '--porcelain') === '' ? '' : ', with changes that are not committed'
  return `${manifestOf(root).version} of commit ${git('rev-parse', '--short', 'HEAD')}${changed}`
}

/** @param {string[]} args */
function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
}

/** @param {import('./release/crates.mjs').Crate} crate */
function ofOthers({ sha256 }) {
  return sha256 !== undefined
}
