/** Finds the process that has an interface, when faithd cannot make one of that name. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { FaithError } from '../lib/errors.js'

/** Adds the process to the error of an interface whose name is taken. Other errors stay as they are. */
export function namingHolder(error: unknown, device: string): unknown {
  if (!(error instanceof FaithError) || error.code !== 'EEXIST') return error
  const holder = holderOf(device)
  if (holder === undefined) return error
  const { pid, program } = holder
  return new FaithError('EEXIST', `${error.message}; process ${pid} (${program}) has it`, {
    hint: 'choose another name, or end that process',
    cause: error,
  })
}

/** Finds the process, in this network namespace, that has a TUN or TAP device open. Others' processes show to root alone. */
function holderOf(device: string): { pid: number; program: string } | undefined {
  const processes = entries('/proc').filter((name) => /^\d+$/.test(name))
  const network = linkOf('/proc/self/ns/net')
  const pid = processes.find(
    (name) => linkOf(`/proc/${name}/ns/net`) === network && holds(name, device),
  )
  if (pid === undefined || Number(pid) === process.pid) return undefined
  return { pid: Number(pid), program: textOf(`/proc/${pid}/comm`).trim() }
}

/** Tells if a process has the device open: the kernel names it beside the descriptor (proc_pid_fdinfo(5)). */
function holds(pid: string, device: string): boolean {
  return entries(`/proc/${pid}/fd`).some(
    (fd) =>
      linkOf(`/proc/${pid}/fd/${fd}`)?.endsWith('tun') === true &&
      textOf(`/proc/${pid}/fdinfo/${fd}`).includes(`iff:\t${device}\n`),
  )
}

function entries(folder: string): string[] {
  return attempt(() => readdirSync(folder)) ?? []
}

function linkOf(path: string): string | undefined {
  return attempt(() => readlinkSync(path))
}

function textOf(path: string): string {
  return attempt(() => readFileSync(path, 'utf8')) ?? ''
}

/** Reads a part of /proc. The process may have ended, or be another user's. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
