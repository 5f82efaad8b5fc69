/** Finds the control socket that a command line names. */
import { CommandLineError, type Given } from './parse.js'

const FOLDER = '/run/faithd'
const USUAL = 'faithd'

/** Gives the path of the control socket. */
export function socketPath(given: Given): string {
  const path = given.text('control')
  const instance = given.text('instance')
  if (path !== undefined && instance !== undefined) {
    throw new CommandLineError('--control and --instance name a socket each; give one of them')
  }
  if (path === '') throw new CommandLineError('--control: the path is empty')
  if (instance !== undefined && !/^[^/\0]+$/.test(instance)) {
    throw new CommandLineError(
      `--instance: '${instance}' is not the name of an instance; --control takes a path`,
    )
  }
  return path ?? `${FOLDER}/${instance ?? USUAL}.sock`
}
