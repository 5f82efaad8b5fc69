// Proves the Debian package: lintian finds no error, and in a minimal Debian it is installed, used, upgraded, removed
// and purged as an operator expects.
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Failure, root, step } from '../steps.mjs'
import { emptied } from '../../npm/packages.mjs'
import { kept } from './kept.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const configuration = 'etc/default/faithd'
const address = '198.51.100.2'
/** Those of a container of docs/containers.md; chroot needs the last. */
const capabilities = ['+net_admin', '+sys_admin', '+bpf', '+net_raw', '+sys_chroot']

/** Lints packages, and uses the one for this machine. @param {readonly string[]} packages */
export async function proveDebs(packages) {
  const lint = ['--allow-root', '--fail-on', 'error']
  await step('lintian', 'lintian', [...lint, ...packages])
  const amd64 = packages.find((file) => file.endsWith('_amd64.deb'))
  if (amd64 !== undefined) await useThroughout(amd64)
}

/** Installs, uses, upgrades, removes and purges a package. @param {string} amd64 */
async function useThroughout(amd64) {
  const system = join(root, 'target/proofs/debian')
  await minimalDebian(system)
  const version = field(amd64, 'Version')
  const before = filesIn(system)

  const older = olderVersion(amd64, join(root, 'target/proofs/older'))
  copyFileSync(older, join(system, 'root/older.deb'))
  copyFileSync(amd64, join(system, 'root/newer.deb'))
  copyFileSync(join(here, 'deb-smoke.mjs'), join(system, 'root/smoke.mjs'))
  await dpkg('installs an older version', system, '--install', '/root/older.deb')
  // An operator's own line must survive an upgrade and a removal.
  appendFileSync(join(system, configuration), '# mine\n')
  await dpkg('upgrades it', system, '--install', '/root/newer.deb')
  expectLine(system)
  await use(system, version)
  await dpkg('removes it', system, '--remove', 'faithd')
  expectLine(system)
  if (existsSync(join(system, 'usr/lib/faithd'))) throw new Failure('files stay after a removal')
  await dpkg('purges it', system, '--purge', 'faithd')
  for (const name of ['older.deb', 'newer.deb', 'smoke.mjs']) rmSync(join(system, 'root', name))
  const known = new Set(before)
  const left = filesIn(system).filter((file) => !known.has(file))
  if (left.length > 0) throw new Failure(`files stay after a purge: ${left.join(', ')}`)
}

/** Copies a minimal Debian 12, which is fetched once. @param {string} into */
async function minimalDebian(into) {
  const debian = kept('minimal-debian')
  if (!existsSync(debian)) {
    const partial = emptied(`${debian}.partial`)
    const args = ['--variant=minbase', 'bookworm', partial]
    await step('a minimal Debian 12', 'debootstrap', args)
    renameSync(partial, debian)
  }
  emptied(into)
  execFileSync('cp', ['-a', `${debian}/.`, into])
}

/** Makes a package of the version 0.0.1 with the same contents. @param {string} deb @param {string} folder */
function olderVersion(deb, folder) {
  emptied(folder)
  const tree = join(folder, 'tree')
  const file = join(folder, 'older.deb')
  execFileSync('dpkg-deb', ['-R', deb, tree])
  const control = join(tree, 'DEBIAN/control')
  const text = readFileSync(control, 'utf8')
  writeFileSync(control, text.replace(/^Version: .*$/m, 'Version: 0.0.1'))
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', tree, file])
  return file
}

/** @param {string} title @param {string} system @param {string[]} args */
async function dpkg(title, system, ...args) {
  await step(`dpkg ${title}`, 'chroot', [system, 'dpkg', ...args], {
    env: { DEBIAN_FRONTEND: 'noninteractive', PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
  })
}

/**
 * Uses the package as in a container: with the capabilities that docs/containers.md names and no others, and without a
 * way to write sysctls.
 *
 * @param {string} system
 * @param {string} version
 */
async function use(system, version) {
  const script = `set -e
    ip link set lo up; ip -6 addr add 2001:db8::1/128 dev lo; ip addr add ${address}/32 dev lo
    mount -t proc proc "$0/proc"; mount -t sysfs sysfs "$0/sys"; mount --rbind /dev "$0/dev"
    mount --bind "$0/proc/sys" "$0/proc/sys"; mount -o remount,ro,bind "$0/proc/sys"
    exec setpriv --bounding-set=-all,${capabilities.join()} --inh-caps=-all \
      chroot "$0" /usr/lib/faithd/node /root/smoke.mjs ${address} ${version}`
  const title = 'faithd of the package relays as in a container'
  await step(title, 'unshare', ['-n', '-m', '--', 'sh', '-c', script, system])
}

/** @param {string} system */
function expectLine(system) {
  const text = readFileSync(join(system, configuration), 'utf8')
  if (!text.includes('# mine'))
    throw new Failure(`the operator's line in /${configuration} is lost`)
}

/** @param {string} deb @param {string} name */
function field(deb, name) {
  return execFileSync('dpkg-deb', ['--field', deb, name], { encoding: 'utf8' }).trim()
}

/** Lists the files of the folders in which a package may leave some. @param {string} system */
function filesIn(system) {
  const folders = ['etc', 'lib', 'usr', 'var/lib/faithd', 'root'].filter((name) =>
    existsSync(join(system, name)),
  )
  const output = execFileSync(
    'find',
    folders.map((name) => `${name}/`),
    {
      cwd: system,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    },
  )
  return output.trim().split('\n')
}
