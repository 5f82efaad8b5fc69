// Debian packages for a folder of the project's: APT with a configuration, lists and a cache of its own, so that the
// machine's packages stay as they are and no foreign architecture is added to it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { Failure, step } from '../steps.mjs'

/** @typedef {'bullseye' | 'bookworm' | 'trixie'} Suite */
/** @typedef {{ name: string, arch: string, version: string }} Package */

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
/**
 * Packages that every machine has on which faithd is built, a C compiler's among them. A tool's folder needs none of
 * them, nor what they depend on.
 */
const givenPackages = ['apt', 'dpkg', 'gcc', 'libc6-dev', 'libstdc++6', 'python3-minimal']

export class Archive {
  /** @type {string} */
  #folder
  /** @type {Suite} */
  #suite

  /** @param {Suite} suite @param {string} folder */
  constructor(suite, folder) {
    this.#suite = suite
    this.#folder = join(folder, suite)
  }

  /** Fetches the lists of packages. */
  async update() {
    const folder = this.#folder
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'log']) {
      mkdirSync(join(folder, part), { recursive: true })
    }
    const { archive, security } = mirrors()
    const sources = [`${archive} ${this.#suite}`]
    if (this.#suite === 'bookworm') sources.push(`${security} bookworm-security`)
    const lines = sources.map((source) => `deb [signed-by=${keyring}] ${source} main\n`)
    writeFileSync(join(folder, 'sources.list'), lines.join(''))
    writeFileSync(join(folder, 'status'), '')
    writeFileSync(join(folder, 'apt.conf'), configuration(folder))
    await step(`lists of Debian ${this.#suite}`, 'apt-get', ['-q', 'update'], { env: this.#env() })
  }

  /** The newest versions of these packages. @param {readonly string[]} names @param {string} arch */
  newest(names, arch) {
    return names.map((name) => {
      const shown = this.#run('apt-cache', ['show', '--no-all-versions', `${name}:${arch}`])
      const version = /^Version: (.+)$/m.exec(shown)?.[1]
      if (version === undefined) throw new Failure(`Debian ${this.#suite} has no ${name} (${arch})`)
      return { name, arch, version }
    })
  }

  /**
   * The newest versions of these packages and of everything that they need on a machine that has a C compiler.
   *
   * @param {readonly string[]} names
   * @returns {Package[]}
   */
  newestWithNeeds(names) {
    const given = new Set(this.#closure(givenPackages).map(({ name }) => name))
    return this.#closure(names).filter(({ name }) => !given.has(name))
  }

  /** The package that a package stands for, which has a version in its name. @param {string} name @param {string} arch */
  meaning(name, arch) {
    const needs = this.#run('apt-cache', ['depends', `${name}:${arch}`])
    const meant = /Depends: (linux-image-[^ :\n]*)/.exec(needs)?.[1]
    if (meant === undefined) throw new Failure(`Debian ${this.#suite} has no ${name} (${arch})`)
    return meant
  }

  /** @param {readonly Package[]} packages @param {string} into @param {string} title */
  async download(packages, into, title) {
    mkdirSync(into, { recursive: true })
    const names = packages.map(({ name, arch, version }) => `${name}:${arch}=${version}`)
    const script = 'cd "$0" && exec apt-get -q download "$@"'
    await step(title, 'sh', ['-c', script, into, ...names], { env: this.#env() })
  }

  /** Tells if the archive still has a version. @param {Package} wanted */
  has({ name, arch, version }) {
    const shown = spawnSync('apt-cache', ['show', `${name}:${arch}`], {
      encoding: 'utf8',
      env: { ...process.env, ...this.#env() },
      maxBuffer: 2 ** 26,
    })
    return shown.stdout.split('\n').includes(`Version: ${version}`)
  }

  /** @param {readonly string[]} names */
  #closure(names) {
    const args = ['-s', '-q', '--no-install-recommends', 'install', ...names]
    const packages = []
    for (const [, name = '', version = '', arch = ''] of this.#run('apt-get', args).matchAll(
      /^Inst ([^ :]+)(?::\w+)? \(([^ ]+) .*\[(\w+)\]\)/gm,
    )) {
      // Packages of data are for all; APT downloads them as those of the machine.
      packages.push({ name, arch: arch === 'all' ? 'amd64' : arch, version })
    }
    return packages
  }

  /** @param {string} program @param {readonly string[]} args */
  #run(program, args) {
    const { status, stdout, stderr } = spawnSync(program, args, {
      encoding: 'utf8',
      env: { ...process.env, ...this.#env() },
      maxBuffer: 2 ** 26,
    })
    if (status !== 0) throw new Failure(`${[program, ...args].join(' ')} failed: ${stderr}`)
    return stdout
  }

  #env() {
    return { APT_CONFIG: join(this.#folder, 'apt.conf') }
  }
}

/** @param {string} folder */
function configuration(folder) {
  return `APT::Architecture "amd64"; APT::Architectures {"amd64";"arm64";};
APT::Sandbox::User "root"; APT::Get::Assume-Yes "true"; APT::Default-Release ""; APT::Install-Recommends "false";
Dir::State "${folder}/state"; Dir::State::status "${folder}/status";
Dir::Cache "${folder}/cache"; Dir::Log "${folder}/log";
Dir::Etc::sourcelist "${folder}/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::parts "/dev/null";
Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::Default-Enabled "false";
`
}

/** Where this machine gets Debian's packages from, and their security updates. */
function mirrors() {
  const uris = []
  for (const file of ['/etc/apt/sources.list', ...inFolder('/etc/apt/sources.list.d')]) {
    for (const line of linesOf(file)) {
      const [, uri] = /^(?:URIs:|deb\s+(?:\[.*?\])?)\s*(http\S+)/.exec(line) ?? []
      if (uri !== undefined) uris.push(uri)
    }
  }
  const archive = uris.find((uri) => /\/debian\/?$/.test(uri))
  const security = uris.find((uri) => /\/debian-security\/?$/.test(uri))
  if (archive === undefined || security === undefined) {
    throw new Failure(
      'the release tools are Debian packages; build releases on Debian 12, with its security updates in /etc/apt',
    )
  }
  return { archive, security }
}

/** @param {string} folder */
function inFolder(folder) {
  try {
    return readdirSync(folder).map((name) => join(folder, name))
  } catch {
    return []
  }
}

/** @param {string} file */
function linesOf(file) {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}
