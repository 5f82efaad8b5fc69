/**
 * faithd on sockets that another program has made: the connection that inetd(8) passes as standard input, or the sockets
 * that a service manager passes as descriptors 3 and up (sd_listen_fds(3)). There is no faith interface, so neither
 * keepfaith nor a privilege is needed, and no control socket.
 *
 * The process that ends connections must have the only descriptor of them: a connection is reset when its last descriptor
 * closes. So the passed ones are closed as soon as the relay has its own.
 */
import { closeSync, fstatSync } from 'node:fs'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { extract, type FaithRefusal, type FaithRelay, relaySockets } from '../index.js'
import { unwrap } from '../lib/failure.js'
import { native } from '../lib/native.js'
import { logTo } from '../lib/relay-log.js'
import { reloadAccessList, tellRules } from './access-list.js'
import type { Checked } from './check.js'
import { contains } from './contains.js'
import type { InterfaceConfiguration, RelayConfiguration } from './configuration.js'
import { Exit, ExitError } from './exit.js'
import { milliseconds, socketsOptions } from './library-options.js'
import { environmentOf } from './local-services.js'
import type { Logger } from './log.js'
import { ownAddresses } from './meaning.js'
import type { ServiceManager } from './notify.js'
import type { LocalServer } from './options.js'
import { FIRST } from './passed.js'
import { reason } from './reason.js'
import type { Hangups } from './signals.js'

/** Keeps output and errors away from the client: what inetd(8) connects to it goes to syslog, or nowhere. */
export function shieldClient(): void {
  const { ino, dev } = fstatSync(0)
  for (const descriptor of [1, 2]) {
    const other = fstatSync(descriptor)
    if (other.ino !== ino || other.dev !== dev) continue
    unwrap(native.replaceStandard(descriptor, descriptor === 2))
  }
}

/** The circumstances of {@link serveGiven}. */
export interface Given {
  sockets: readonly number[]
  /** The local server, for a connection that is not to be relayed. */
  server: LocalServer | undefined
  checked: Checked
  manager: ServiceManager
  hangups: Hangups
  stopped: Promise<NodeJS.Signals>
}

/** Serves the sockets until they have ended, or until a signal, and gives the exit code. */
export async function serveGiven(given: Given, log: Logger): Promise<number> {
  const { sockets, server, checked } = given
  const ends = sockets.map((socket) => endsOf(socket))
  const { faith, relay: configuration } = theOnly(checked)
  const [first] = ends
  if (server !== undefined && first !== undefined && isLocal(first, faith, configuration)) {
    return await runServer(server, first, log)
  }
  const accessList = checked.accessLists.get(configuration)
  const relay = await relaySockets(
    logTo(log.thread, {
      ...socketsOptions(configuration),
      accessList: accessList?.text ?? '',
      prefixes: faith.prefixes,
      sockets,
    }),
  )
  for (const socket of sockets) {
    if (socket < FIRST) unwrap(native.replaceStandard(socket, false))
    else closeSync(socket)
  }
  return await follow(relay, configuration, ends, given, log)
}

/** Waits for the end of a relay on given sockets. */
async function follow(
  relay: FaithRelay,
  configuration: RelayConfiguration,
  ends: readonly Ends[],
  { checked, manager, hangups, stopped }: Given,
  log: Logger,
): Promise<number> {
  const listens = ends.filter(({ remoteAddress }) => remoteAddress === undefined)
  const places = ends.map(({ address, port }) => `[${address}]:${port}`).join(', ')
  if (listens.length > 0) {
    log.info({ sockets: places }, `serves ${places}`)
    const { acl } = configuration
    const rules = checked.accessLists.get(configuration)?.rules ?? 0
    if (acl.length > 0) tellRules(log, acl.join(', '), rules)
  }
  hangups.answerBy(() =>
    manager.reloading(async () => void (await reloadAccessList(relay, configuration, log))),
  )
  manager.ready(() => `serves ${places}`)
  const over = listens.length > 0 ? never() : allEnded(relay, ends.length)
  const end = await Promise.race([stopped, over])
  const drainMs = milliseconds(configuration.drain)
  manager.stopping(drainMs)
  if (typeof end === 'string') log.info({ signal: end, drainMs }, `${end}: draining`)
  await relay.close({ drainMs })
  return typeof end === 'number' ? end : Exit.ok
}

type Ends = NonNullable<ReturnType<typeof native.socketEnds>>

function endsOf(socket: number): Ends {
  const ends = native.socketEnds(socket)
  if (ends !== null) return ends
  throw new ExitError(
    Exit.usage,
    `descriptor ${socket} is not a TCP socket of IPv6; start faithd by inetd(8) or a .socket unit, with tcp6`,
  )
}

/** The relay of the configuration: given sockets say themselves which ports they serve. */
function theOnly({ configuration }: Checked) {
  const [faith, ...others] = configuration.interface
  const [relay, ...further] = faith?.relay ?? []
  if (faith !== undefined && relay !== undefined && others.length + further.length === 0) {
    return { faith, relay }
  }
  throw new ExitError(
    Exit.config,
    'given sockets are served by one relay, and the file has several; write a file with one for them, and name it with -c',
  )
}

/** Tells if a connection is for this host itself: outside the prefixes, or to an address of this host inside one. */
function isLocal(
  { address }: Ends,
  { prefixes }: InterfaceConfiguration,
  { mapping }: RelayConfiguration,
): boolean {
  const prefix = prefixes.find((one) => contains(one, address))
  if (prefix === undefined) return true
  // On a /96 both mappings agree.
  const isKnown = mapping === 'rfc6052' || prefix.endsWith('/96')
  const ipv4 = isKnown ? extract(address, prefix) : undefined
  return ipv4 !== undefined && ownAddresses().has(ipv4)
}

/**
 * Runs the local server with the connection, as inetd(8) would, and gives its exit code. If a signal ends it, that is 128
 * plus the signal's number, as with sh(1).
 */
async function runServer(
  { program, argv0, args }: LocalServer,
  client: Ends,
  log: Logger,
): Promise<number> {
  const from = `[${client.remoteAddress}]:${client.remotePort} to [${client.address}]:${client.port}`
  log.info({ program }, `local service: ${from}: ${program}`)
  const child = spawn(program, args, {
    argv0,
    env: { ...process.env, ...environmentOf(client) },
    stdio: [0, 0, 0],
  })
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals]>
  ended.catch(() => undefined)
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw new ExitError(Exit.unavailable, `local service failed: ${program}: ${reason(error)}`)
  }
  unwrap(native.replaceStandard(0, false))
  const [code, signal] = await ended
  return code ?? 128 + constants.signals[signal]
}

/** Waits until all given connections have ended, and gives the exit code for them. */
async function allEnded(relay: FaithRelay, count: number): Promise<number> {
  return await new Promise((resolve) => {
    let left = count
    let code: number = Exit.ok
    const ended = (exitCode: number): void => {
      left -= 1
      code = Math.max(code, exitCode)
      if (left === 0) resolve(code)
    }
    relay.on('session', () => ended(Exit.ok))
    relay.on('refused', (refusal: FaithRefusal) =>
      ended(refusal.reason === 'denied' ? Exit.permission : Exit.unavailable),
    )
  })
}

function never(): Promise<never> {
  return new Promise(() => {})
}
