/**
 * Finds what a runner left behind when it was killed outright. Each name carries the runner's process id, so the next
 * lab can tell that its owner is gone.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const prefix = 'faithd-lab-'

/** Prefix of the names of this process's namespaces and folders. */
export const mine = `${prefix}${process.pid}-`

/** Filters the names of labs whose process is gone. */
export function stale(names: readonly string[]): string[] {
  return names.filter((name) => {
    const [, pid] = /^faithd-lab-(\d+)-/.exec(name) ?? []
    return pid !== undefined && !exists(Number(pid))
  })
}

/** Removes this user's lab folders whose process is gone. */
export function removeStaleFolders(parent: string): void {
  for (const name of stale(readdirSync(parent))) {
    const folder = join(parent, name)
    const owner = lstatSync(folder, { throwIfNoEntry: false })?.uid
    if (owner === process.getuid?.()) rmSync(folder, { recursive: true, force: true })
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
