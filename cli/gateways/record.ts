/**
 * The log of gateways: failures, and records of the connections that a server makes to a client through a gateway, such as data of active FTP. They belong to a
 * session, whose own record a relay writes, and keep to the same settings of the log.
 */
import type { FaithSpliceEnd } from '../../index.js'
import { explain } from '../exit.js'
import type { Logger } from '../log.js'

/** Logs that a gateway failed at something, with the reason. */
export function logFailure(log: Logger, level: 'warn' | 'debug', what: string, error: unknown) {
  log[level](`${what}: ${explain(error)}`)
}

/** The ends of such a connection. */
interface Made {
  /** The name of the gateway. */
  name: 'ftp' | 'rsh'
  /** The use of the connection, in a word or two. */
  use: string
  client: { address: string; port: number }
  server: { address: string; port: number }
}

function factsOf(log: Logger, { name, use, client, server }: Made) {
  const ends = {
    client: { ...client },
    ...(log.namesDestinations ? { server: { ...server } } : {}),
  }
  return { name, ends, told: `${use} to [${client.address}]:${client.port}` }
}

/** Records a connection that has ended. */
export function recordEnd(log: Logger, made: Made, ended: FaithSpliceEnd): void {
  if (log.form.records !== 'sessions') return
  const { name, ends, told } = factsOf(log, made)
  log.info({ [name]: { ...ends, ...ended } }, `${told}: ${ended.reason}`)
}

/** Records that a connection was not made, or was lost. */
export function recordFailure(log: Logger, made: Made, error: unknown): void {
  const { name, ends, told } = factsOf(log, made)
  log.info({ [name]: ends }, `${told} failed: ${explain(error)}`)
}
