import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { LabProcess } from './process.js'
import { killRemaining } from './topology.js'
import { patience } from './wait.js'

export interface SpawnOptions {
  /** Added to the runner's own environment. */
  env?: NodeJS.ProcessEnv
  /** Defaults to the top of the checkout. */
  cwd?: string
}

export interface RunOptions extends SpawnOptions {
  /** Standard input of the program; by default it reads end of file. */
  input?: string | Uint8Array
  /** Kills the program and rejects `run` after this many milliseconds; default 60,000. */
  timeout?: number
}

export interface RunResult {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

const root = fileURLToPath(new URL('..', import.meta.url))
const faithdCommand = fileURLToPath(new URL('../dist/cli/faithd.js', import.meta.url))
/** Adds the folders of sshd, nginx and sysctl in Debian, which an ordinary user's PATH lacks. */
const searchPath = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/local/sbin:/usr/sbin:/sbin`

/**
 * Has every faithd of the specs become this user, in an environment variable; without, it keeps its privileges. The suite
 * `user` sets it.
 */
const user = process.env['FAITHD_LAB_USER']
/** The arguments of faithd that do so. */
export const userArguments: readonly string[] = user === undefined ? [] : ['--user', user]

/** Keeps output in English and without colours, independent of the runner's terminal. */
const plainOutput = { LC_ALL: 'C', FORCE_COLOR: '0' }

/** A program and its arguments. */
export type Command = [program: string, args: string[]]

/** Gives the command that runs a file of the checkout, TypeScript or JavaScript. */
export function nodeCommand(file: string, args: readonly string[]): Command {
  const loader = file.endsWith('.ts') ? ['--import', '@oxc-node/core/register'] : []
  return [process.execPath, [...loader, file, ...args]]
}

/** One host of a lab: a network namespace and the processes started in it. */
export class Host {
  readonly #processes = new Set<LabProcess>()

  /** The host's role in the lab: `client`, `router` … */
  readonly role: string
  /** The name of its network namespace, as `ip netns` lists it. */
  readonly namespace: string

  constructor(role: string, namespace: string) {
    this.role = role
    this.namespace = namespace
  }

  /** Starts a program and returns at once. The lab ends the program when it closes, at the latest. */
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): LabProcess {
    // Has the kernel end the program when the runner is killed outright and cannot clean up.
    const inside = [`--net=/run/netns/${this.namespace}`, 'setpriv', '--pdeathsig=KILL', '--']
    const child = spawn('nsenter', [...inside, command, ...args], {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...plainOutput, PATH: searchPath, ...options.env },
      detached: true,
      stdio: 'pipe',
    })
    const started = new LabProcess(child, `${this.role}: ${[command, ...args].join(' ')}`)
    this.#processes.add(started)
    void started.exited.then(() => this.#processes.delete(started))
    return started
  }

  /** Starts a JavaScript or TypeScript file of the checkout; TypeScript is compiled on load. */
  node(file: string, args: readonly string[] = [], options: SpawnOptions = {}): LabProcess {
    return this.spawn(...nodeCommand(file, args), options)
  }

  /** Runs a program to its end. A non-zero exit is a result; exceeding the timeout is an error. */
  async run(
    command: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const { input, timeout = patience, ...spawnOptions } = options
    const started = this.spawn(command, args, spawnOptions)
    return await finish(started, input, timeout)
  }

  /** True if a TCP socket of this host listens on the port. */
  async listening(port: number): Promise<boolean> {
    const { stdout } = await this.run('ss', ['-Hltn', `sport = :${port}`])
    return stdout.trim() !== ''
  }

  /** Ends every program started here. */
  async stop(): Promise<void> {
    const processes = [...this.#processes]
    const stopped = Promise.all(processes.map((process) => process.stop()))
    await Promise.all(processes.map((process) => process.gone))
    killRemaining(this.namespace)
    await stopped
  }
}

async function finish(
  started: LabProcess,
  input: string | Uint8Array | undefined,
  timeout: number,
): Promise<RunResult> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    void started.stop('SIGKILL')
  }, timeout)
  started.stdin.end(input ?? '')
  const exit = await started.exited
  clearTimeout(timer)
  const { stdout, stderr } = started
  if (late)
    throw new Error(
      `${started.command}: still running after ${timeout} ms; it printed:\n${started.output}`,
    )
  return { ...exit, stdout, stderr }
}

/** The host in the middle, where faithd runs. */
export class Router extends Host {
  /** Arguments that most tests give faithd. The lab's addresses are TEST-NETs, which faithd refuses by default. */
  static readonly faithdArguments = [
    '-k',
    '-P',
    '64:ff9b::/96',
    '-i',
    'faith0',
    '--permit',
    '198.51.100.0/24',
  ]

  /**
   * Starts the built faithd and waits for its ready line. Labs share one file system, so it has a control socket only if
   * the arguments name one.
   */
  async faithd(
    args: readonly string[] = Router.faithdArguments,
    options: SpawnOptions = {},
  ): Promise<LabProcess> {
    const control = args.includes('--control') ? [] : ['--no-control']
    const command = [faithdCommand, ...control, ...userArguments, ...args]
    const faithd = this.spawn(process.execPath, command, options)
    if (user !== undefined) await faithd.line(/\bruns as \w+ \(uid \d+\), without capabilities/)
    await faithd.line(/\b(?:ready|captures)\b/)
    return faithd
  }
}
