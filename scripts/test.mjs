// `npm test`: the whole test run. `npm test -- --help` lists its options.
//
// First it installs and builds the needs of all suites, one after the other. Then the suites whose tests depend on time
// run one after the other; beside them, at low priority, run the suites that read the sources or build packages.
//
// With CI set nothing is skipped: a skipped or ignored test fails its suite.
import { availableParallelism } from 'node:os'

import { bpfPrograms, ensurePrograms, ensureUnpacked, labPrograms } from './debian.mjs'
import { inLab, isMachineRoot } from './namespaces.mjs'
import { ensureNode, nodeProgram, otherNodes, outermostNodes } from './nodes.mjs'
import { ensureAioquic, ensureSchemathesis } from './pip.mjs'
import { checkTools, ensureBuilt, ensureNodeModules, ensureRustComponents } from './prepare.mjs'
import { checkCommand } from './release/toolchain.mjs'
import { ensureTools } from './release/tools.mjs'
import {
  Failure,
  attempt,
  bold,
  dim,
  duration,
  green,
  print,
  red,
  runScript,
  step,
} from './steps.mjs'
import { userSpecs } from './user-specs.mjs'

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {[string, ...string[]]} Command
 *
 * @typedef {object} Suite
 * @property {string} name
 * @property {string} covers
 * @property {readonly (() => Promise<unknown>)[]} needs preparations, in order
 * @property {boolean} [beside] runs beside the other suites, at low priority; its result depends on no time
 * @property {'in CI' | 'on request'} [runs] without being named, if not always
 * @property {string} [node] the version of Node that it runs on, if not this one
 * @property {() => Command} command
 * @property {(output: string) => Counts} [count] for suites of counted tests
 */

/** The fuzz targets are workspaces of their own, and have the flag of cargo-fuzz. */
const clippy = [
  'cargo clippy --workspace --all-targets -- -D warnings',
  ...['faith-dns', 'faith-dns64', 'faith-packet'].map(
    (name) =>
      `RUSTFLAGS='--cfg fuzzing' cargo clippy --manifest-path crates/${name}/fuzz/Cargo.toml ` +
      '--locked --target-dir target/fuzz -- -D warnings',
  ),
].join(' && ')
const addon = [ensureNodeModules, ensureBuilt]
const labTools = async () => {
  await ensurePrograms(labPrograms)
  await ensureUnpacked()
}
const ava = 'node_modules/.bin/ava'
/**
 * The number of spec files that run at a time in the lab. Specs load both ends of every connection and the path
 * between, but mostly wait: for the kernel to make and remove devices, and for timeouts. Three files keep two
 * processors busy. With more, programs that a spec expects to answer within a second may be late.
 */
const labFiles = Math.max(3, Math.floor(availableParallelism() / 4))
const labOptions = ['--timeout=3m', `--concurrency=${labFiles}`]
/** The time that a test of Rust may take, in seconds. The longest take half a minute on a busy machine. */
const testLimit = '300'
const specs = '__test__/*.spec.ts'
/** The specs of the library, which depend on Node. The command and the relay are the same on each Node. */
const librarySpecs = '__test__/net/library/*.spec.ts'
/**
 * Suites with the release tools, which are programs for x64. An arm64 machine compiles for itself in any case.
 *
 * @type {readonly Suite[]}
 */
const withReleaseTools = [
  {
    name: 'arm64',
    covers: 'every crate compiles for arm64 with glibc',
    beside: true,
    needs: [() => ensureTools(['rust', 'zig'], { newer: true })],
    command: () => checkCommand('aarch64-unknown-linux-gnu'),
  },
  {
    name: 'arm64-musl',
    covers: 'every crate compiles for arm64 with musl',
    beside: true,
    needs: [() => ensureTools(['rust', 'zig'], { newer: true })],
    command: () => checkCommand('aarch64-unknown-linux-musl'),
  },
  {
    name: 'packages',
    covers: 'the packages for x64: built unless unchanged, installed by name, relaying',
    beside: true,
    runs: 'in CI',
    needs: addon,
    command: () => ['npm', 'run', 'release', '--', '--rehearse', 'linux-x64-gnu', 'linux-x64-musl'],
  },
  {
    name: 'release',
    covers: 'the packages of every platform: built, installed by name, relaying',
    runs: 'on request',
    needs: addon,
    command: () => ['npm', 'run', 'release'],
  },
]

/**
 * Root of a user namespace of one user cannot become another.
 *
 * @type {Suite}
 */
const user = {
  name: 'user',
  covers: 'the specs of faithd as an ordinary user, in network namespaces',
  needs: [labTools, ensureAioquic, ...addon],
  command: () => ['env', 'FAITHD_LAB_USER=daemon', ...inLab([ava, ...labOptions, ...userSpecs()])],
  count: countAva,
}

/** @type {readonly Suite[]} */
const suites = [
  {
    name: 'format',
    covers: 'rustfmt',
    beside: true,
    needs: [ensureRustComponents],
    command: () => ['cargo', 'fmt', '--all', '--check'],
  },
  {
    name: 'lint',
    covers: 'prettier, oxlint, tsc, typedoc, the public API, circles of imports, links, words',
    beside: true,
    needs: addon,
    command: () => ['npm', 'run', 'lint'],
  },
  {
    name: 'clippy',
    covers: 'every crate and target, and the fuzz targets',
    beside: true,
    needs: [ensureRustComponents],
    command: () => ['sh', '-c', clippy],
  },
  {
    name: 'dependencies',
    covers:
      'licences, duplicates and sources of packages; advisories and signatures where the network answers',
    beside: true,
    needs: [ensureNodeModules],
    command: () => ['node', 'scripts/dependencies.mjs'],
  },
  {
    name: 'oldest-rust',
    covers: 'the workspace with the Rust that Cargo.toml names',
    beside: true,
    needs: [],
    command: () => ['node', 'scripts/oldest-rust.mjs'],
  },
  ...(process.arch === 'x64' ? withReleaseTools : []),
  {
    name: 'bpf',
    covers: 'the BPF objects match their sources',
    beside: true,
    needs: [() => ensurePrograms(bpfPrograms)],
    command: () => ['bpf/build.sh', '--check'],
  },
  {
    name: 'rust',
    covers: 'cargo test',
    // Builds before the lab starts: the build needs the network, which the lab lacks.
    needs: [labTools, () => step('Rust tests built', 'cargo', ['test', '--workspace', '--no-run'])],
    command: () =>
      inLab([
        'node',
        'scripts/libtest.mjs',
        testLimit,
        'cargo',
        '--offline',
        'test',
        '--workspace',
      ]),
    count: countCargo,
  },
  {
    name: 'specs',
    covers: 'ava, without a lab',
    needs: addon,
    command: () => [ava, specs],
    count: countAva,
  },
  {
    name: 'lab',
    covers: 'ava, in network namespaces',
    needs: [labTools, ensureAioquic, ensureSchemathesis, ...addon],
    command: () => inLab([ava, ...labOptions, '__test__/net/**/*.spec.ts']),
    count: countAva,
  },
  ...(isMachineRoot() ? [user] : []),
  {
    name: 'demo',
    covers: 'npm run demo, which checks what it shows',
    needs: [labTools, ...addon],
    command: () => ['npm', 'run', 'demo'],
  },
  ...otherNodes.flatMap((version) => [
    {
      name: `specs${major(version)}`,
      covers: `ava, without a lab, on Node ${version}`,
      node: version,
      needs: [() => ensureNode(version), ...addon],
      command: () => onNode(version, [specs]),
      count: countAva,
    },
    {
      name: `node${major(version)}`,
      covers: `the library on Node ${version}, in network namespaces`,
      node: version,
      needs: [() => ensureNode(version), labTools, ...addon],
      command: () => inLab(onNode(version, [...labOptions, librarySpecs])),
      count: countAva,
    },
  ]),
]

/** @param {string} version */
function major(version) {
  return version.split('.')[0]
}

/**
 * Runs ava on another Node.
 *
 * @param {string} version
 * @param {readonly string[]} args
 * @returns {Command}
 */
function onNode(version, args) {
  return [nodeProgram(version), 'node_modules/ava/entrypoints/cli.mjs', ...args]
}

/** @param {string} output @returns {Counts} */
function countCargo(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const [, passed, failed, ignored] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm,
  )) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
    counts.skipped += Number(ignored)
  }
  return counts
}

/** @param {string} output @returns {Counts} */
function countAva(output) {
  const count = (/** @type {RegExp} */ pattern) =>
    [...output.matchAll(pattern)].reduce((sum, [, number]) => sum + Number(number), 0)
  return {
    passed: count(/^\s*(\d+) tests? passed/gm),
    failed: count(
      /^\s*(\d+) (?:tests? failed|tests? remained pending|uncaught exceptions?|unhandled rejections?)/gm,
    ),
    skipped: count(/^\s*(\d+) (?:tests? skipped|tests? todo)/gm),
  }
}

/**
 * @typedef {object} Row
 * @property {Suite} suite
 * @property {string} [problem]
 * @property {Counts} [counts]
 * @property {number} seconds
 */

/**
 * Installs and builds the suites' needs, each once; returns the suites whose needs failed.
 *
 * @param {readonly Suite[]} chosen
 * @returns {Promise<Row[]>}
 */
async function prepare(chosen) {
  /** @type {Map<() => Promise<unknown>, string | undefined>} */
  const problems = new Map()
  const rows = []
  for (const suite of chosen) {
    const start = performance.now()
    for (const need of suite.needs) {
      if (!problems.has(need)) problems.set(need, await problemOf(need))
      const problem = problems.get(need)
      if (problem === undefined) continue
      print(`${red('✗')} ${suite.name}: ${problem}`)
      rows.push({ suite, seconds: (performance.now() - start) / 1000, problem })
      break
    }
  }
  return rows
}

/** @param {() => Promise<unknown>} need */
async function problemOf(need) {
  try {
    await need()
    return undefined
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return error.message
  }
}

/** @param {Suite} suite @param {readonly string[]} extra @returns {Promise<Row>} */
async function run(suite, extra) {
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  try {
    const command = suite.command()
    const [program, ...args] = suite.beside ? ['nice', '-n', '19', ...command] : command
    const { ok, output } = await attempt(suite.name, program, [...args, ...extra], {
      summary: (text) => describe(suite.count?.(text)),
    })
    const counts = suite.count?.(output)
    const problem = ok ? complaint(counts) : 'failed'
    if (ok && problem !== undefined) print(`${red('✗')} ${suite.name}: ${problem}\n${output}`)
    return { suite, seconds: seconds(), ...(problem && { problem }), ...(counts && { counts }) }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    print(`${red('✗')} ${suite.name}: ${error.message}`)
    return { suite, seconds: seconds(), problem: error.message }
  }
}

/** @param {readonly Suite[]} chosen @param {readonly string[]} extra @returns {Promise<Row[]>} */
async function runInTurn(chosen, extra) {
  const rows = []
  for (const suite of chosen) rows.push(await run(suite, extra))
  return rows
}

/** @param {Counts | undefined} counts */
function complaint(counts) {
  if (counts === undefined) return undefined
  if (counts.failed > 0) return `${counts.failed} failed`
  if (counts.passed === 0) return 'ran no test'
  if (process.env['CI'] && counts.skipped > 0)
    return `${counts.skipped} skipped, and in CI nothing may be`
  return undefined
}

/** @param {Counts | undefined} counts */
function describe(counts) {
  if (counts === undefined) return 'ok'
  // ava prints no number of passed tests when one failed.
  const parts = Object.entries(counts).filter(
    ([name, number]) => number > 0 || (name === 'passed' && counts.failed === 0),
  )
  return parts.map(([name, number]) => `${number} ${name}`).join(', ')
}

/** @param {readonly Row[]} rows */
function table(rows) {
  const name = Math.max(...rows.map(({ suite }) => suite.name.length))
  print('')
  for (const { suite, problem, counts, seconds } of rows) {
    const mark = problem === undefined ? green('ok    ') : red('FAILED')
    const said = [problem, counts && describe(counts)].filter(Boolean).join(': ') || suite.covers
    print(
      `  ${bold(suite.name.padEnd(name))}  ${mark}  ${duration(seconds).padStart(10)}  ${dim(said)}`,
    )
  }
}

function help() {
  const width = Math.max(...suites.map(({ name }) => name.length))
  return `npm test -- [--all-nodes] [SUITE …] [-- ARGUMENT …]

Installs and builds missing parts, and runs the named suites. Without a name it runs all of them but release, and but
packages unless CI is set:

${suites.map(({ name, covers }) => `  ${name.padEnd(width)}  ${covers}`).join('\n')}

  --all-nodes  use every supported line of Node; default: the oldest, the newest and the current one
  -- …         pass the following arguments to the suites' commands: npm test -- lab -- --match='*reset*'

With CI set, a skipped test fails its suite.`
}

/** @param {readonly string[]} names @param {boolean} allNodes */
function choose(names, allNodes) {
  const unknown = names.filter((name) => !suites.some((suite) => suite.name === name))
  if (unknown.length > 0) {
    throw new Failure(
      `no suite ${unknown.join(', ')}; there are ${suites.map(({ name }) => name).join(', ')}`,
    )
  }
  const usual = (/** @type {Suite} */ { node, runs }) =>
    (runs === undefined || (runs === 'in CI' && Boolean(process.env['CI']))) &&
    (node === undefined || allNodes || outermostNodes.includes(node))
  return suites.filter((suite) => (names.length > 0 ? names.includes(suite.name) : usual(suite)))
}

await runScript('test', async () => {
  const args = process.argv.slice(2)
  const end = args.indexOf('--')
  const own = end < 0 ? args : args.slice(0, end)
  const extra = end < 0 ? [] : args.slice(end + 1)
  if (own.includes('--help')) return print(help())
  const names = own.filter((argument) => argument !== '--all-nodes')
  const chosen = choose(names, names.length < own.length)
  checkTools()
  const unprepared = await prepare(chosen)
  const ready = chosen.filter((suite) => unprepared.every((row) => row.suite !== suite))
  const rows = await Promise.all([
    runInTurn(
      ready.filter(({ beside }) => !beside),
      extra,
    ),
    runInTurn(
      ready.filter(({ beside }) => beside),
      extra,
    ),
  ])
  const all = [...unprepared, ...rows.flat()]
  const places = new Map(suites.map((suite, place) => [suite, place]))
  table(all.toSorted((one, other) => (places.get(one.suite) ?? 0) - (places.get(other.suite) ?? 0)))
  return all.some(({ problem }) => problem !== undefined) ? 1 : 0
})
