/**
 * A runner that is killed outright cannot clean up. What it made carries its process id in its name, so
 * that the next lab can tell what is nobody's any more.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const prefix = 'faithd-lab-'

/** How names of this process's namespaces and folders begin. */
export const mine = `${prefix}${process.pid}-`

/** Of these names, those of labs whose process is gone. */
export function stale(names: readonly string[]): string[] {
  return names.filter((name) => {
    const [, pid] = /^faithd-lab-(\d+)-/.exec(name) ?? []
    return pid !== undefined && !exists(Number(pid))
  })
}

/** Removes this user's folders of labs whose process is gone. */
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
