/** Takes the path of the control socket: replaces one that a dead faithd left, and leaves one that is in use. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { request, type Server } from 'node:http'
import { dirname } from 'node:path'
import { Exit, ExitError } from '../exit.js'
import { reason } from '../reason.js'

/** Time for another faithd to tell its process. */
const PATIENCE_MS = 1000

/** The path of a socket, and the programs that may use it. */
export interface Place {
  path: string
  /** The group that may use the socket beside its owner. */
  group: string | undefined
  /** The user that removes the socket at the end, if it is not the present one. */
  remover: number | undefined
}

/**
 * Has a server listen at a path. The socket is its owner's alone, or that of a group too.
 *
 * @throws ExitError that says what is in the way
 */
export async function takePath(server: Server, { path, group, remover }: Place): Promise<void> {
  const gid = group === undefined ? undefined : groupNumber(group)
  try {
    const isNew = makeFolder(dirname(path))
    if (isNew && remover !== undefined) chownSync(dirname(path), remover, -1)
    await listen(server, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error
      await removeStale(path)
      await listen(server, path)
    })
    if (gid !== undefined) {
      chownSync(path, -1, gid)
      chmodSync(path, 0o660)
    }
  } catch (error) {
    if (error instanceof ExitError) throw error
    const { code = '' } = error as NodeJS.ErrnoException
    const exit = ['EACCES', 'EPERM', 'EROFS'].includes(code) ? Exit.permission : Exit.config
    throw new ExitError(exit, `cannot make the control socket ${path}: ${reason(error)}`)
  }
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

/** Removes a socket to which nothing listens any more. */
async function removeStale(path: string): Promise<void> {
  if (!lstatSync(path).isSocket()) {
    throw new ExitError(Exit.config, `${path} exists and is no socket, so faithd leaves it alone`)
  }
  const answer = await askProcess(path)
  if (answer === 'nothing listens') return rmSync(path, { force: true })
  const who = answer === undefined ? 'another program' : `another faithd (process ${answer})`
  throw new ExitError(Exit.config, `${who} listens at the control socket ${path}`)
}

/** Asks the program behind a socket for its process. Gives `undefined` if it does not tell. */
function askProcess(path: string): Promise<number | 'nothing listens' | undefined> {
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
    asked.on('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ECONNREFUSED' || code === 'ENOENT' ? 'nothing listens' : undefined),
    )
    asked.end()
  })
}

function processIn(text: string): number | undefined {
  const [, pid] = /"pid":(\d{1,10})\b/.exec(text) ?? []
  return pid === undefined ? undefined : Number(pid)
}

/** Gives the number of a group by group(5). */
function groupNumber(group: string): number {
  if (/^\d{1,10}$/.test(group)) return Number(group)
  const groups = readFileSync('/etc/group', 'utf8').split('\n')
  const [, , gid] = groups.map((line) => line.split(':')).find(([name]) => name === group) ?? []
  if (gid !== undefined) return Number(gid)
  throw new ExitError(
    Exit.config,
    `there is no group '${group}' in /etc/group for the control socket`,
  )
}
