/** Looks up the names of users and groups in the host's files. */
import { readFileSync } from 'node:fs'
import { Exit, ExitError } from './exit.js'

/** Gives the name of a user, or its number if /etc/passwd lacks it. */
export function userName(uid: number): string {
  return nameOf('/etc/passwd', uid)
}

/** Gives the name of a group, or its number if /etc/group lacks it. */
export function groupName(gid: number): string {
  return nameOf('/etc/group', gid)
}

/**
 * Gives the number of a group by its name or number.
 *
 * @param purpose - the use of the group, as it stands behind "for" in the error
 */
export function groupNumber(group: string, purpose: string): number {
  if (/^\d{1,10}$/.test(group)) return Number(group)
  const [, , gid] = entries('/etc/group').find(([name]) => name === group) ?? []
  if (gid !== undefined) return Number(gid)
  throw new ExitError(Exit.config, `there is no group '${group}' in /etc/group for ${purpose}`)
}

/** Gives the names of all users. */
export function userNames(): string[] {
  return entries('/etc/passwd').map(([name = '']) => name)
}

function nameOf(database: string, id: number): string {
  const [name] = entries(database).find(([, , number]) => number === String(id)) ?? []
  return name ?? String(id)
}

/** Reads the lines of a database, each as its fields. A host without the file has none. */
function entries(database: string): string[][] {
  try {
    const lines = readFileSync(database, 'utf8').trimEnd().split('\n')
    return lines.map((line) => line.split(':'))
  } catch {
    return []
  }
}
