/**
 * Removes the control socket when faithd ends, and the folder if faithd made it.
 *
 * A faithd that gives up its privileges may be able to remove neither: both are in folders of root's. So before that it
 * starts a shell, which keeps them, waits on a pipe for the end of faithd (SIGKILL closes the pipe too), and then removes
 * both.
 * The shell keeps the listening socket open. So a faithd that starts at that moment finds the path in use until it is
 * free, and never takes one that the shell is about to remove.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmdirSync, rmSync } from 'node:fs'
import type { Server } from 'node:http'

/** The remains of a faithd. */
export interface Remains {
  path: string
  /** The folder, if faithd made it. */
  folder: string | undefined
}

/**
 * Has the remains removed when the process ends. The returned function removes them earlier, when the server is closed.
 *
 * @param givesUp - true if the process gives up the privileges by which it made them
 */
export function removeAtEnd(
  server: Server,
  remains: Remains,
  givesUp: boolean,
): () => Promise<void> {
  const shell = givesUp ? startShell(server, remains) : undefined
  if (shell !== undefined) return () => finish(shell)
  // Node closes the server at exit without removing its path.
  const remove = (): void => {
    attempt(() => rmSync(remains.path))
    removeFolder(remains)
  }
  process.once('exit', remove)
  return () => {
    process.off('exit', remove)
    // The server removed the socket when it was closed. Another faithd may have the path by now.
    removeFolder(remains)
    return Promise.resolve()
  }
}

/** Removes the folder, unless other sockets are in it. */
function removeFolder({ folder }: Remains): void {
  if (folder !== undefined) attempt(() => rmdirSync(folder))
}

const SCRIPT = `trap '' HUP INT TERM; read -r line; rm -f -- "$1"; [ -z "$2" ] || rmdir -- "$2"`

/** Starts the shell. A host without one keeps the remains; the next faithd of root replaces them. */
function startShell(server: Server, { path, folder = '' }: Remains): ChildProcess | undefined {
  // oxlint-disable-next-line eslint/no-underscore-dangle -- Node names its internals so
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'faithd-removal', path, folder], {
    cwd: '/',
    // Signals to the terminal or to the process group of faithd are not for the shell.
    detached: true,
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore', fd],
  })
  shell.on('error', () => {})
  if (shell.pid === undefined) return undefined
  shell.unref()
  // The pipe must not keep the process running.
  ;(shell.stdin as unknown as { unref(): void }).unref()
  return shell
}

async function finish(shell: ChildProcess): Promise<void> {
  if (shell.exitCode !== null || shell.signalCode !== null) return
  const ended = once(shell, 'exit')
  shell.ref()
  shell.stdin?.end()
  await ended
}

function attempt(remove: () => void): void {
  try {
    remove()
  } catch {
    // It has gone already, is in use, or another user removed the privilege.
  }
}
