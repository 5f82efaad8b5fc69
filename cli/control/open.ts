/** Opens the control socket that the configuration asks for. */
import { Exit, ExitError } from '../exit.js'
import type { Logger } from '../log.js'
import { CONTROL_SOCKET } from '../settings/process.js'
import { lookUp } from '../user.js'
import type { Context } from './route.js'
import { ControlServer, type Parts } from './server.js'

/**
 * Opens the control socket. One that the configuration names is needed. faithd does without the default one where
 * another faithd has it, or the privilege is missing.
 *
 * @returns the server, unless faithd goes on without
 * @throws ExitError if the socket that the configuration names cannot be had
 */
export async function openControl(
  context: Context,
  log: Logger,
): Promise<ControlServer | undefined> {
  const { control: asked, 'control-group': group, user } = context.daemon.configuration
  if (asked === '') return undefined
  const path = asked ?? CONTROL_SOCKET
  try {
    const becomes = user === undefined ? undefined : lookUp(user).uid
    const server = await ControlServer.listen({ path, group, user: becomes }, context, load, log)
    // The user may not read the files of faithd.
    if (user !== undefined) await load()
    log.info({ control: path }, `control socket: ${path}`)
    return server
  } catch (error) {
    if (asked !== undefined || group !== undefined || !(error instanceof ExitError)) throw error
    // A user without root has no folder in /run, and did not ask for a socket.
    const level = error.exitCode === Exit.permission ? 'info' : 'warn'
    const remedy = '--control PATH names another one'
    log[level](`${error.message}; faithd goes on without a control socket; ${remedy}`)
    return undefined
  }
}

let parts: Promise<Parts> | undefined

/** Loads the routes and their schemas, once. */
function load(): Promise<Parts> {
  parts ??= (async () => ({
    ...(await import('./routes.js')),
    ...(await import('./router.js')),
    ...(await import('./asked.js')),
  }))()
  return parts
}
