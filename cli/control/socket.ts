/** Takes the path of the control socket: replaces one that a dead faithd left, and leaves one that is in use. */
import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { request, type Server } from 'node:http'
import { dirname } from 'node:path'
import { groupNumber, userName } from '../accounts.js'
import { Exit, ExitError } from '../exit.js'
import { reason } from '../reason.js'
import { removeAtEnd } from './removal.js'

/** Time for another faithd to tell its process. */
const PATIENCE_MS = 5000

/** Tries to take the path, while other processes remove their sockets and folders. */
const MOST_TRIES = 5

/** The path of a socket, and the programs that may use it. */
export interface Place {
  path: string
  /** The group that may use the socket beside its owner. */
  group: string | undefined
  /** The user that faithd becomes later, if it does. */
  user: number | undefined
}

/**
 * Has a server listen at a path. The socket is its owner's alone, or that of a group too. It is removed when the process
 * ends.
 *
 * @returns a function to call after the server is closed: it removes the rest
 * @throws ExitError that says what is in the way
 */
export async function takePath(
  server: Server,
  { path, group, user }: Place,
): Promise<() => Promise<void>> {
  const gid = group === undefined ? undefined : groupNumber(group, 'the control socket')
  const own = process.geteuid?.() ?? 0
  const trusted = new Set([0, own, user ?? own])
  try {
    const folder = await listenAt(server, path, trusted)
    const isAnother = user !== undefined && user !== own
    // A process that begins as its user made the folder in one of another user by a capability, which it gives up.
    const byPrivilege = folder !== undefined && statSync(dirname(folder)).uid !== own
    const givesUp = isAnother || (user !== undefined && byPrivilege)
    const remove = removeAtEnd(server, { path, folder }, givesUp)
    if (gid !== undefined) {
      chownSync(path, -1, gid)
      chmodSync(path, 0o660)
    }
    return remove
  } catch (error) {
    if (error instanceof ExitError) throw error
    const { code = '' } = error as NodeJS.ErrnoException
    const exit = ['EACCES', 'EPERM', 'EROFS'].includes(code) ? Exit.permission : Exit.config
    throw new ExitError(exit, `cannot make the control socket ${path}: ${reason(error)}`)
  }
}

/** Listens at a path as soon as it is free. Gives the folder if it is new. */
async function listenAt(
  server: Server,
  path: string,
  trusted: ReadonlySet<number>,
): Promise<string | undefined> {
  const folder = dirname(path)
  let isNew = false
  for (let tries = 1; ; tries += 1) {
    isNew = makeFolder(folder) || isNew
    requireOwner(folder, statSync(folder).uid, trusted)
    try {
      await listen(server, path)
      return isNew ? folder : undefined
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Another faithd that ended removed the folder, or its socket is in the way.
      if (tries === MOST_TRIES || (code !== 'ENOENT' && code !== 'EADDRINUSE')) throw error
      if (code === 'EADDRINUSE') await removeStale(path, trusted, tries + 1 < MOST_TRIES)
    }
  }
}

/** Refuses a folder or a socket whose owner could put another socket in its place. */
function requireOwner(path: string, owner: number, trusted: ReadonlySet<number>): void {
  if (trusted.has(owner)) return
  throw new ExitError(
    Exit.config,
    `${path} belongs to the user ${userName(owner)}, who could answer in the place of faithd; remove it, or give it ` +
      `to ${userName(process.geteuid?.() ?? 0)}`,
  )
}

/** Tells if the folder is new. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o755 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

/** Listens with a socket that only its owner can use from the first moment on. */
async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      // bind(2) happens in this call, so the mask need not wait for the answer.
      server.listen(path, () => {
        server.off('error', reject)
        resolve()
      })
      process.umask(before)
    })
  } finally {
    process.umask(before)
  }
}

/** Removes a socket to which nothing listens any more. Leaves one whose program ends now, if it may be `passing`. */
async function removeStale(
  path: string,
  trusted: ReadonlySet<number>,
  passing: boolean,
): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new ExitError(Exit.config, `${path} exists and is no socket, so faithd leaves it alone`)
  }
  requireOwner(path, found.uid, trusted)
  const answer = await askProcess(path)
  if (answer === 'nothing listens') return rmSync(path, { force: true })
  if (answer === 'ended' && passing) return
  const who = typeof answer === 'number' ? `another faithd (process ${answer})` : 'another program'
  throw new ExitError(Exit.config, `${who} listens at the control socket ${path}`)
}

/** Asks the program behind a socket for its process. Gives `undefined` if it does not tell. */
function askProcess(path: string): Promise<number | 'nothing listens' | 'ended' | undefined> {
  return new Promise((resolve) => {
    const asked = request(
      { socketPath: path, path: '/v1/status', agent: false, timeout: PATIENCE_MS },
      (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (piece: string) => {
          text += piece
          if (text.length > 1 << 20) answer.destroy()
        })
        answer.on('close', () => resolve(processIn(text)))
      },
    )
    asked.on('timeout', () => asked.destroy())
    asked.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(SILENCES[code]))
    asked.end()
  })
}

/** The meaning of an error in the place of an answer. */
const SILENCES: Readonly<Record<string, 'nothing listens' | 'ended'>> = {
  ECONNREFUSED: 'nothing listens',
  ENOENT: 'ended',
  ECONNRESET: 'ended',
}

function processIn(text: string): number | undefined {
  const [, pid] = /"pid":(\d{1,10})\b/.exec(text) ?? []
  return pid === undefined ? undefined : Number(pid)
}
