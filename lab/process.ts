import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

import { removeAtExit } from './cleanup.js'
import { patience } from './wait.js'

/** The end of a process: by `code` or by `signal`. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

interface Waiter {
  pattern: RegExp
  found: (line: string) => void
}

/** A program that runs in one of the lab's hosts, with its output so far. */
export class LabProcess {
  /** Lines of standard output and standard error, in order of arrival. */
  readonly lines: string[] = []
  /** Standard output alone, byte for byte. */
  stdout = ''
  /** Standard error alone, byte for byte. */
  stderr = ''
  /** Settles when the process has ended and its output has been read to the end. */
  readonly exited: Promise<Exit>
  /** Settles when the process itself has ended; its children may still hold its output open. */
  readonly gone: Promise<void>
  /** The command as typed. */
  readonly command: string
  readonly pid: number

  readonly #child: ChildProcessWithoutNullStreams
  #closed = false
  readonly #waiters = new Set<Waiter>()

  /** @param child - spawned `detached`, as the leader of its own process group */
  constructor(child: ChildProcessWithoutNullStreams, command: string) {
    if (child.pid === undefined) throw new Error(`cannot start ${command}`)
    this.#child = child
    this.command = command
    this.pid = child.pid
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line)
        for (const waiter of this.#waiters) if (waiter.pattern.test(line)) waiter.found(line)
      })
    }
    // Ignores a program that ends without reading its input.
    child.stdin.on('error', () => undefined)
    const keep = removeAtExit(() => this.#killNow())
    this.gone = new Promise((resolve) => {
      child.on('exit', () => resolve())
    })
    this.exited = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.#closed = true
        keep()
        resolve({ code, signal })
      })
    })
  }

  /** The stream to the program's standard input. */
  get stdin(): NodeJS.WritableStream {
    return this.#child.stdin
  }

  /** True while the process runs. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The first matching line: of the lines printed so far, otherwise of those to come. */
  async line(pattern: RegExp, { timeout = patience }: { timeout?: number } = {}): Promise<string> {
    const already = this.lines.find((line) => pattern.test(line))
    if (already !== undefined) return already
    let waiter: Waiter | undefined
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<string>((found, reject) => {
        waiter = { pattern, found }
        this.#waiters.add(waiter)
        const giveUp = (why: string) =>
          reject(
            new Error(
              `${this.command}: ${why} without a line that matches ${pattern}; it printed:\n${this.output}`,
            ),
          )
        timer = setTimeout(() => giveUp(`${timeout} ms passed`), timeout)
        void this.exited.then(({ code, signal }) => giveUp(`ended with ${signal ?? code}`))
      })
    } finally {
      clearTimeout(timer)
      if (waiter) this.#waiters.delete(waiter)
    }
  }

  /** All lines printed so far. */
  get output(): string {
    return this.lines.map((line) => `  ${line}\n`).join('')
  }

  /** Sends a signal to this process alone, not to its children. */
  kill(signal: NodeJS.Signals): void {
    if (this.running) process.kill(this.pid, signal)
  }

  /** Sends `signal` to the process and its children, SIGKILL after `timeout` ms, and waits for the end. */
  async stop(
    signal: NodeJS.Signals = 'SIGTERM',
    { timeout = 5_000 }: { timeout?: number } = {},
  ): Promise<Exit> {
    this.#signalGroup(signal)
    const timer = setTimeout(() => {
      this.#signalGroup('SIGKILL')
      // Stops reading: a child that has left the group may hold the output open for ever.
      for (const stream of [this.#child.stdout, this.#child.stderr]) stream.destroy()
    }, timeout)
    const exit = await this.exited
    clearTimeout(timer)
    return exit
  }

  #signalGroup(signal: NodeJS.Signals): void {
    // Signals the group only while its output is open: some member still lives then, so the id is not reused.
    if (this.#closed) return
    try {
      process.kill(-this.pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  #killNow(): void {
    this.#signalGroup('SIGKILL')
    const deadline = performance.now() + 2_000
    while (alive(this.pid) && performance.now() < deadline) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
    }
  }
}

/** True if a process runs. A zombie does not. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
