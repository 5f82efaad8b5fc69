/**
 * The user that faithd becomes when its interfaces and relays are made. From then on it has no capability, except the two
 * threads of each interface that change routes, links and sockets (docs/privileges.md).
 */
import { accessSync, constants, readFileSync } from 'node:fs'
import { FaithError } from '../lib/errors.js'
import { unwrap } from '../lib/failure.js'
import { native } from '../lib/native.js'
import { closest } from '../lib/spelling.js'
import { userNames } from './accounts.js'
import type { Configuration, Path } from './configuration.js'
import { Exit, ExitError, explain } from './exit.js'
import type { Logger } from './log.js'

/** The lowest port of `privileged-source`. */
const LOWEST_SOURCE = 600
/** The pages of the large pipes that each worker of an interface may have (pipes.rs): 32 of 1 MiB. */
const PAGES_PER_WORKER = 32 * 256

/** Checks that the user exists and can do what the configuration asks for. */
export function checkUser(
  { user, local, interface: interfaces }: Configuration,
  complain: (path: Path, message: string) => void,
): void {
  if (user === undefined) return
  try {
    if (lookUp(user).uid === 0) {
      complain(['user'], `${user} is root, which owns the host; name a user that owns nothing`)
    }
  } catch (error) {
    complain(['user'], explain(error))
  }
  if (local.length > 0) {
    complain(
      ['user'],
      `a process of the user ${user} starts no program, and [[local]] asks for that; leave \`user\` out, or have the ` +
        'host\'s own listeners serve such connections with `local = "host"` of the relay',
    )
  }
  const unprivileged = sysctl('net/ipv4/ip_unprivileged_port_start') ?? 1024
  if (unprivileged <= LOWEST_SOURCE) return
  for (const [index, { relay }] of interfaces.entries()) {
    for (const [number, one] of relay.entries()) {
      if (!one['privileged-source']) continue
      complain(
        ['interface', index, 'relay', number, 'privileged-source'],
        `the user ${user} may not connect from ports below ${unprivileged}; ` +
          `sysctl -w net.ipv4.ip_unprivileged_port_start=${LOWEST_SOURCE} lets every user do so`,
      )
    }
  }
}

/**
 * Refuses a user that this process cannot become.
 *
 * @throws ExitError if it is neither root nor that user
 */
export function requireUser({ user }: Configuration): void {
  const own = process.geteuid?.()
  if (user === undefined || own === 0 || lookUp(user).uid === own) return
  throw new ExitError(
    Exit.permission,
    `only root can become the user ${user}, and faithd runs as uid ${own}; start it as root, or as ${user}`,
  )
}

/**
 * Becomes the user of the configuration on every thread, and logs what that user cannot do. It does nothing without one.
 *
 * @param files - the files that SIGHUP reads again
 * @param workers - the number of workers of all interfaces
 * @throws FaithError if the kernel refuses; then the process must end
 */
export function becomeUser(
  { user }: Configuration,
  { files, workers }: { files: readonly string[]; workers: number },
  log: Logger,
): void {
  if (user === undefined) return
  const found = lookUp(user)
  unwrap(found.dropPrivileges())
  log.info(
    { user, uid: found.uid },
    `runs as ${user} (uid ${found.uid}), without capabilities; each interface keeps two threads with some`,
  )
  for (const file of files) {
    if (isReadable(file)) continue
    log.warn(
      { file },
      `the user ${user} cannot read ${file}, so SIGHUP will keep what is in force; let it read the file and search ` +
        `its folder: chgrp, chmod g+r, chmod g+x`,
    )
  }
  const pages = sysctl('fs/pipe-user-pages-soft') ?? 0
  if (pages > 0 && workers * PAGES_PER_WORKER > pages) {
    log.warn(
      { pages },
      `the pipes of a user hold ${pages} pages, and bulk on ${workers} workers takes up to ${workers * PAGES_PER_WORKER}: ` +
        'beyond the limit it goes in smaller pieces; sysctl -w fs.pipe-user-pages-soft=0 lifts the limit',
    )
  }
}

/**
 * Finds a user.
 *
 * @throws FaithError `ENOENT` if this host has no such user
 */
export function lookUp(user: string) {
  const found = unwrap(native.findUser(user))
  if (found !== null) return found
  const meant = closest(user, userNames())
  const hint =
    meant === undefined
      ? `make it: useradd --system --user-group --no-create-home --shell /usr/sbin/nologin ${user}`
      : `did you mean ${meant}?`
  throw new FaithError('ENOENT', `this host has no user '${user}'`, { hint })
}

function sysctl(name: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/${name}`, 'utf8'))
  } catch {
    return undefined
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}
