/**
 * Local services: programs that serve connections to this host's own addresses, as inetd(8) starts them.
 *
 * The connection is the program's standard input, output and error, a blocking socket. This process keeps no descriptor of
 * it, so the program's end is the connection's end. Each program has a session (setsid(2)) and a process group of its own,
 * by which all of it is ended.
 */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import type { FaithInterface, FaithLocalService, FaithSocket } from '../index.js'
import { contains } from './contains.js'
import type { Configuration, LocalConfiguration, RelayConfiguration } from './configuration.js'
import { explain } from './exit.js'
import { groupNumber } from './accounts.js'
import { milliseconds } from './library-options.js'
import type { Logger } from './log.js'
import { hasPort } from './ports.js'
import { reason } from './reason.js'
import { lookUp } from './user.js'

/** The path by which programs find others. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** The time between SIGTERM and SIGKILL, and after that for the last bytes. */
const GRACE_MS = 1000
const MINUTE_MS = 60_000

/** A program that runs. */
interface Running {
  faith: FaithInterface
  service: LocalConfiguration
  /** The client's address. */
  client: string
  child: ChildProcess
}

/** A program that began, for the limit of new ones. */
interface Begun extends Pick<Running, 'service' | 'client'> {
  at: number
}

/** Gives the places of services to a relay. */
function placesOf(local: readonly LocalConfiguration[]): FaithLocalService[] {
  return local.map(({ port = '', address }) => ({
    ports: port.split(','),
    ...(address === undefined ? {} : { address }),
  }))
}

/** The local services of faithd, and their programs. */
export class LocalServices {
  #local: readonly LocalConfiguration[]
  readonly #log: Logger
  readonly #running = new Set<Running>()
  /** The programs that began within the last minute. */
  #begun: Begun[] = []

  constructor({ local }: Pick<Configuration, 'local'>, log: Logger) {
    this.#local = local
    this.#log = log
  }

  /** Serves by another configuration from now on. Programs that run go on. */
  configure({ local }: Pick<Configuration, 'local'>): void {
    this.#local = local
  }

  /** Their places, for relays. */
  get places(): FaithLocalService[] {
    return placesOf(this.#local)
  }

  /** Starts the program of a connection. */
  take(faith: FaithInterface, socket: FaithSocket, relay: RelayConfiguration): void {
    // The client may reset at any time, and then the program notices.
    socket.on('error', () => socket.destroy())
    const { ipv4, ipv4Port, port } = socket.destination
    const service = this.#local.find((one) => fits(one, ipv4, ipv4Port ?? port))
    const dialled = this.#log.namesDestinations ? ` to ${ipv4} port ${port}` : ''
    const from = `[${socket.remoteAddress}]:${socket.remotePort}${dialled}`
    // The configuration may have changed since the relay decided.
    if (service === undefined) return void socket.resetAndDestroy()
    const full = this.#isFull(service, `${socket.remoteAddress}/${relay['client-prefix-length']}`)
    if (full !== undefined) {
      this.#log.warn({ limit: full }, `local service refused: ${from}: ${full} is reached`)
      return void socket.resetAndDestroy()
    }
    // A client that is gone without a word, or a faithd that was killed, must not leave its program behind.
    socket.setKeepAlive(true, Math.max(1000, milliseconds(relay['keep-alive'] / 2)))
    this.#start(faith, service, socket, from)
  }

  /**
   * Waits until the programs of an interface have ended, for at most `drainMs`. It then ends them, and gives the time in
   * milliseconds that their clients may take for the last bytes.
   */
  async drain(faith: FaithInterface, drainMs: number): Promise<number> {
    const own = [...this.#running].filter((running) => running.faith === faith)
    const ended = Promise.all(own.map(({ child }) => exited(child)))
    const signal = async (name: NodeJS.Signals, afterMs: number): Promise<void> => {
      await within(ended, afterMs)
      for (const { child } of own) if (isAlive(child)) signalGroup(child, name)
    }
    await signal('SIGTERM', drainMs)
    await signal('SIGKILL', GRACE_MS)
    await ended
    return own.length === 0 ? 0 : GRACE_MS
  }

  /** Names the limit that is reached for a client, given as the network of those that count as one. */
  #isFull(service: LocalConfiguration, client: string): string | undefined {
    const isSame = (one: Pick<Running, 'client'>): boolean => contains(client, one.client)
    const all = [...this.#running].filter((running) => running.service === service)
    if (over(service['max-processes'], all.length)) return 'max-processes'
    if (over(service['max-processes-per-client'], all.filter(isSame).length)) {
      return 'max-processes-per-client'
    }
    if (service['max-rate-per-client'] === 0) return undefined
    const now = performance.now()
    this.#begun = this.#begun.filter(({ at }) => now - at < MINUTE_MS)
    const begun = this.#begun.filter((one) => one.service === service && isSame(one))
    if (over(service['max-rate-per-client'], begun.length)) return 'max-rate-per-client'
    this.#begun.push({ service, client: client.split('/', 1)[0] ?? '', at: now })
    return undefined
  }

  #start(
    faith: FaithInterface,
    service: LocalConfiguration,
    socket: FaithSocket,
    from: string,
  ): void {
    const [program = '', ...args] = service.command
    const failed = (error: unknown): void => {
      this.#log.error(`local service failed: ${from}: ${program}: ${reason(error)}`)
      socket.resetAndDestroy()
    }
    let child: ChildProcess
    try {
      child = spawn(program, args, {
        ...identityOf(service),
        argv0: service.argv0 ?? program,
        cwd: '/',
        detached: true,
        env: environmentOf(socket),
        stdio: [socket, socket, socket],
      })
    } catch (error) {
      return failed(error)
    }
    child.once('error', failed)
    const { pid } = child
    if (pid === undefined) return
    // The program has descriptors of its own.
    socket.destroy()
    const running = { faith, service, client: socket.remoteAddress, child }
    this.#running.add(running)
    const facts = { client: socket.remoteAddress, program, pid }
    this.#log.info(facts, `local service: ${from}: ${program}, pid ${pid}`)
    child.once('exit', (code, signal) => {
      this.#running.delete(running)
      const how = signal === null ? `exit code ${code}` : signal
      this.#log.info(
        { ...facts, code, signal },
        `local service ended: ${program}, pid ${pid}: ${how}`,
      )
    })
  }
}

/** Gives the user and the group of a service as spawn() takes them. */
function identityOf({ user, group }: LocalConfiguration): Pick<SpawnOptions, 'uid' | 'gid'> {
  const found = user === undefined ? undefined : lookUp(user)
  const gid = group === undefined ? found?.gid : groupNumber(group, 'a local service')
  return {
    ...(found === undefined ? {} : { uid: found.uid }),
    ...(gid === undefined ? {} : { gid }),
  }
}

/** The environment of a program: a path, and the client as systemd gives it to services with `Accept=yes`. */
export function environmentOf(client: { remoteAddress?: string; remotePort?: number }) {
  const { remoteAddress = '', remotePort = 0 } = client
  return { PATH, REMOTE_ADDR: remoteAddress, REMOTE_PORT: String(remotePort) }
}

/** Complains about a service that cannot be started. */
export function faultsOf(
  service: LocalConfiguration,
): [key: keyof LocalConfiguration, message: string][] {
  const faults: [keyof LocalConfiguration, string][] = []
  const [program = ''] = service.command
  if (service.port === undefined) faults.push(['port', 'a local service needs its `port`'])
  if (!program.startsWith('/')) {
    faults.push([
      'command',
      `a local service needs a program by its whole path, such as /usr/sbin/sshd, not '${program}'`,
    ])
  }
  try {
    identityOf(service)
  } catch (error) {
    faults.push([service.user === undefined ? 'group' : 'user', explain(error)])
  }
  return faults
}

function fits(
  { port = '', address }: LocalConfiguration,
  ipv4: string | undefined,
  dialled: number,
) {
  return hasPort(port, dialled) && (address === undefined || address === ipv4)
}

/** Tells if a limit is reached; 0 is no limit. */
function over(limit: number, count: number): boolean {
  return limit > 0 && count >= limit
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function exited(child: ChildProcess): Promise<void> {
  if (!isAlive(child)) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // The program has just ended.
  }
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)))
  await Promise.race([work, late])
  clearTimeout(timer)
}
