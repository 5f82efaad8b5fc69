/** Explains a control socket that does not answer: the daemon does not run, runs without it, or does not let us in. */
import { lstatSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { groupName, userName } from '../accounts.js'
import { Exit, ExitError } from '../exit.js'

/** Makes the error of a failed connection. */
export function unreachable(error: unknown, path: string): ExitError {
  if (error instanceof ExitError) return error
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'ENOENT':
      return new ExitError(Exit.unavailable, `no daemon: ${path} does not exist; ${remedy()}`)
    case 'ECONNREFUSED':
      if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) {
        return new ExitError(
          Exit.unavailable,
          `${path} is no socket: --control takes the path of one`,
        )
      }
      return new ExitError(
        Exit.unavailable,
        `no daemon: no process listens on ${path}, which an earlier one left behind; ${remedy()}`,
      )
    case 'EACCES':
    case 'EPERM':
      return new ExitError(Exit.permission, `${path}: permission denied; ${admitted(path)}`)
    case 'ENOTSOCK':
    case 'EPROTOTYPE':
      return new ExitError(Exit.unavailable, `${path} is not the control socket of a daemon`)
    case 'ECONNRESET':
    case 'EPIPE':
      return new ExitError(
        Exit.unavailable,
        `the daemon at ${path} closed the connection before its answer was complete`,
      )
    default:
      return new ExitError(Exit.unavailable, `${path}: ${message}`)
  }
}

/** The most daemons that an error names. */
const MOST_SHOWN = 3

/** Says how to get a daemon that answers: a running one may have another socket, or none. */
function remedy(): string {
  const running = daemons()
  if (running.length === 0) {
    return "faithd does not run; start it with 'systemctl start faithd' or 'faithd -k'"
  }
  const shown = running.slice(0, MOST_SHOWN).map(elsewhere)
  const more = running.length - shown.length
  return [...shown, ...(more === 0 ? [] : [`${more} more run`])].join('; ')
}

function elsewhere({ pid, args }: { pid: number; args: readonly string[] }): string {
  const who = `faithd runs with pid ${pid}`
  const inline = args.find((arg) => arg.startsWith('--control='))?.slice('--control='.length)
  const at = args.indexOf('--control')
  const socket = inline ?? (at === -1 ? undefined : args[at + 1])
  if (args.includes('--no-control') || socket === '') {
    return `${who}, without a control socket (--no-control)`
  }
  if (socket !== undefined) return `${who}, and listens on another: faithctl --control ${socket}`
  return `${who}; its configuration may name another socket or none, and its log says so`
}

/** Finds processes of this network namespace that call themselves faithd. */
function daemons(): { pid: number; args: string[] }[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && readOr(`/proc/${name}/comm`).trim() === 'faithd')
      .filter((name) => networkOf(name) === networkOf('self'))
      .map((name) => ({ pid: Number(name), args: readOr(`/proc/${name}/cmdline`).split('\0') }))
  } catch {
    return []
  }
}

/** Says which users may use a socket. */
function admitted(path: string): string {
  try {
    const { mode, gid, uid } = statSync(path)
    const owner = userName(uid)
    if ((mode & 0o060) === 0) {
      return `only ${owner} may use it; faithd's --control-group admits a group`
    }
    const group = groupName(gid)
    return `${owner} and the group ${group} may use it: usermod -aG ${group} USER, and log in again`
  } catch {
    return 'only root may look into its folder; try as root'
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Names the network namespace of a process. One that has ended, or is another user's, has none. */
function networkOf(process: string): string | undefined {
  try {
    return readlinkSync(`/proc/${process}/ns/net`)
  } catch {
    return undefined
  }
}
