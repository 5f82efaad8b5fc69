// Prepares a fresh clone: required tools, npm's packages, the build. Each part does nothing when there is nothing to
// do.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

import { found } from './debian.mjs'
import { Failure, root, step } from './steps.mjs'

/** Checks Node, cargo and a C compiler: faithd is built with them and cannot install them. */
export function checkTools() {
  checkNode()
  checkCargo()
  if (!['cc', 'gcc', 'clang'].some(found)) {
    throw new Failure('no C compiler; install one (in Debian: apt-get install gcc libc6-dev)')
  }
}

function checkNode() {
  const wanted = /** @type {{ engines: { node: string } }} */ (json('package.json')).engines.node
  const current = process.versions.node
  const fits = wanted.split('||').some((range) => satisfies(current, range.trim()))
  if (!fits) throw new Failure(`Node ${current} is not one that faithd runs on; it needs ${wanted}`)
}

/**
 * Checks a version against the two forms that `engines` uses: ^1.2.3 and >=1.2.3.
 *
 * @param {string} version
 * @param {string} range
 */
function satisfies(version, range) {
  const least = range.replace(/^(\^|>=)/, '')
  const [major, ...rest] = numbers(version)
  const [leastMajor, ...leastRest] = numbers(least)
  if (major === undefined || leastMajor === undefined) return false
  if (major !== leastMajor) return range.startsWith('>=') && major > leastMajor
  return compare(rest, leastRest) >= 0
}

function checkCargo() {
  // Adds the folder where rustup puts cargo; some shells do not have it on the path.
  const cargoHome = process.env['CARGO_HOME'] ?? join(homedir(), '.cargo')
  process.env['PATH'] = `${process.env['PATH'] ?? ''}${delimiter}${join(cargoHome, 'bin')}`
  const advice = 'install Rust from https://rustup.rs'
  const { stdout, status } = spawnSync('cargo', ['--version'], { encoding: 'utf8', cwd: root })
  if (status !== 0) throw new Failure(`cargo not found; ${advice}`)
  const wanted =
    /^rust-version = "(.+)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))?.[1] ?? '0'
  const current = /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? '0'
  if (compare(numbers(current), numbers(wanted)) < 0) {
    throw new Failure(
      `cargo ${current} is too old; faithd needs ${wanted}: ${advice}, or run rustup update`,
    )
  }
}

/** Installs rustfmt and clippy, which a minimal toolchain lacks. */
export async function ensureRustComponents() {
  const missing = ['fmt', 'clippy'].filter(
    (tool) => spawnSync('cargo', [tool, '--version'], { stdio: 'ignore', cwd: root }).status !== 0,
  )
  if (missing.length === 0) return
  const components = missing.map((tool) => (tool === 'fmt' ? 'rustfmt' : tool))
  if (!found('rustup')) throw new Failure(`${components.join(' and ')} not found; install them`)
  await step(`rustup component add ${components.join(' ')}`, 'rustup', [
    'component',
    'add',
    ...components,
  ])
}

/** Installs npm's packages from the lock file. */
export async function ensureNodeModules() {
  const installed = time('node_modules/.package-lock.json')
  if (installed >= time('package-lock.json') && installed > 0) return
  await step('npm ci', 'npm', ['ci', '--no-audit', '--no-fund'])
}

/**
 * The parts of the build. A part is out of date when an output is missing or a source is newer than its stamp. The
 * stamp carries the time when the last build *began*, so an edit during the build counts.
 */
const parts = {
  native: {
    title: 'native addon',
    command: ['npm', 'run', 'build:native'],
    sources: ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'crates', 'bpf', 'package.json'],
    outputs: ['native.d.cts'],
  },
  typescript: {
    title: 'TypeScript',
    command: ['npm', 'run', 'build:ts'],
    sources: [
      'index.ts',
      'lib',
      'cli',
      'tsconfig.json',
      'tsconfig.build.json',
      'package.json',
      'native.d.cts',
    ],
    outputs: ['dist/index.js', 'dist/cli/faithctl.js', 'dist/cli/faithd.js'],
  },
}

/** Builds parts that are missing or older than their sources; with `force`, all parts. */
export async function ensureBuilt({ force = false } = {}) {
  for (const [name, { title, command, sources, outputs }] of Object.entries(parts)) {
    const stamp = join('target', `faithd-${name}.stamp`)
    const complete =
      outputs.every((output) => existsSync(join(root, output))) && (name !== 'native' || hasAddon())
    if (!force && complete && time(stamp) > Math.max(...sources.map(newest))) continue
    const began = new Date()
    const [program = '', ...args] = command
    await step(title, program, args)
    mkdirSync(join(root, 'target'), { recursive: true })
    writeFileSync(join(root, stamp), '')
    utimesSync(join(root, stamp), began, began)
  }
}

function hasAddon() {
  return readdirSync(root).some((name) => name.endsWith('.node'))
}

/**
 * Returns the time of the last change of a file, or of anything in a folder.
 *
 * @param {string} path
 * @returns {number}
 */
function newest(path) {
  const full = join(root, path)
  if (!existsSync(full)) return 0
  const { mtimeMs } = statSync(full)
  if (!statSync(full).isDirectory()) return mtimeMs
  return Math.max(mtimeMs, ...readdirSync(full).map((name) => newest(join(path, name))))
}

/** @param {string} path */
function time(path) {
  const full = join(root, path)
  return existsSync(full) ? statSync(full).mtimeMs : 0
}

/** @param {string} path @returns {unknown} */
function json(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'))
}

/** @param {string} version */
function numbers(version) {
  return version.split('.').map(Number)
}

/** @param {number[]} one @param {number[]} other */
function compare(one, other) {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
