// Decides where a lab can live. Root uses the machine's namespaces. Other users get a user namespace, in which they are
// root over private networks and mounts and nothing else.
import { spawnSync } from 'node:child_process'
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs'

import { Failure } from './steps.mjs'

/** Prepares a new namespace: `ip netns` keeps its names in a private /run, and the loopback starts down. */
const prepare = 'mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && exec "$@"'

/**
 * Returns the command that starts `command` where a lab can be made; throws a Failure with the reason if none can.
 *
 * @param {readonly [string, ...string[]]} command
 * @returns {[string, ...string[]]}
 */
export function inLab(command) {
  requireTun()
  if (isMachineRoot() && writable('/run') && probe('-nm')) return [...command]
  // Root of an existing user namespace (for example from `unshare -Urnm npm test`) needs no second one.
  const options = process.getuid?.() === 0 && probe('-nm') ? '-nm' : '-Urnm'
  if (!probe(options)) throw new Failure(`cannot make the lab: ${whyNot()}`)
  return ['unshare', options, '--', 'sh', '-c', prepare, 'sh', ...command]
}

/** True for root of the machine or of a container; false in a user namespace with a single user. */
export function isMachineRoot() {
  const [, , users] = (read('/proc/self/uid_map') ?? '').split(/\s+/)
  return process.getuid?.() === 0 && Number(users) > 1
}

/** @param {string} options */
function probe(options) {
  return (
    spawnSync('unshare', [options, '--', 'sh', '-c', prepare, 'sh', 'true'], { stdio: 'ignore' })
      .status === 0
  )
}

function whyNot() {
  if (spawnSync('unshare', ['--version'], { stdio: 'ignore' }).error)
    return 'unshare not found; install util-linux'
  for (const [path, bad, advice] of /** @type {const} */ ([
    ['/proc/sys/user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=10000'],
    [
      '/proc/sys/kernel/unprivileged_userns_clone',
      '0',
      'sysctl kernel.unprivileged_userns_clone=1',
    ],
    [
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
      '1',
      'sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    ],
  ])) {
    if (read(path) === bad)
      return `this user may not make user namespaces; run as root, or as root: ${advice}`
  }
  return 'no user namespaces here (unshare -Urnm fails); run as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN'
}

function requireTun() {
  try {
    closeSync(openSync('/dev/net/tun', 'r+'))
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error)
    const reason =
      code === 'EACCES'
        ? 'permission denied; run as root, or as root: chmod 666 /dev/net/tun'
        : code === 'ENOENT'
          ? 'there is none; as root: mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200'
          : `${code}; as root: modprobe tun`
    throw new Failure(`cannot make the lab: /dev/net/tun: ${reason}`)
  }
}

/** @param {string} path */
function writable(path) {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
