/**
 * Where CPU time goes, by call stacks: perf takes every processor's, many times a second, while a phase of a
 * work item goes on. Figures that are taken meanwhile are those of a machine that is being watched.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

import { waitFor } from '../lab/index.js'

/** Whose code a frame is. */
export type Owner = 'thread' | 'program' | 'kernel' | 'nobody'

/** What was running, from the thread down to the innermost call, and how many samples found it so. */
export interface Frame {
  name: string
  owner: Owner
  samples: number
  calls: Map<string, Frame>
}

type Call = [name: string, owner: Owner]

/** Samples a second and processor; not a divisor of what the kernel does at regular times. */
const frequency = 3989
/** Names of threads that differ by a number only are one. */
const numbered = /[-/:]?\d+(?::\S+)?$/
/** A processor that has nothing to do; what it does for packets meanwhile is shown. */
const idle = /idle|halt/
/** Below every system call. */
const sameForAll = /^(?:entry_SYSCALL_64_after_hwframe|do_syscall_64|\[unknown\])$/
/** The part of a Rust symbol that tells builds of the same function apart. */
const hash = /::h[0-9a-f]{16}$/

/** Stacks of all processors, and how long they were taken. */
export interface Stacks {
  root: Frame
  seconds: number
}

/** Records all processors until it is told to stop. */
export class Recording {
  readonly #file: string
  readonly #perf: ChildProcessByStdio<null, null, Readable>
  readonly #ended: Promise<unknown>
  readonly #kill = () => this.#perf.kill()
  #complaint = ''
  #begun = 0

  private constructor(file: string) {
    this.#file = file
    const what = ['-a', '-g', '-e', 'cpu-clock', '-F', String(frequency), '-o', file]
    this.#perf = spawn('perf', ['record', '-q', ...what], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#perf.stderr.setEncoding('utf8').on('data', (text: string) => (this.#complaint += text))
    this.#ended = once(this.#perf, 'close')
    process.on('exit', this.#kill)
  }

  /** @param folder - for what perf writes */
  static async start(folder: string): Promise<Recording> {
    const file = join(folder, 'perf.data')
    rmSync(file, { force: true })
    const recording = new Recording(file)
    // It writes a head into the file once it has what it needs of the kernel.
    const begins = () => recording.#check() && existsSync(file) && statSync(file).size > 0
    await waitFor('perf to begin', begins)
    recording.#begun = performance.now()
    return recording
  }

  /** Ends it. */
  async stop(): Promise<Stacks> {
    this.#check()
    const seconds = (performance.now() - this.#begun) / 1000
    this.#perf.kill('SIGINT')
    await this.#ended
    process.off('exit', this.#kill)
    return { root: await stacks(this.#file), seconds }
  }

  #check(): true {
    if (this.#perf.exitCode === null) return true
    throw new Error(`perf: ${this.#complaint.trim()}`)
  }
}

async function stacks(file: string): Promise<Frame> {
  const script = spawn('perf', ['script', '-i', file, '-F', 'comm,ip,sym,dso', '--no-inline'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const root: Frame = { name: 'all', owner: 'thread', samples: 0, calls: new Map() }
  let thread = ''
  /** The innermost first, as perf prints them. */
  let calls: Call[] = []
  for await (const line of createInterface({ input: script.stdout })) {
    const [, address, symbol, object] = /^\s+([0-9a-f]+) (.+) \((.*)\)$/.exec(line) ?? []
    if (address !== undefined && symbol !== undefined && object !== undefined) {
      const owner = /^ffff.{12}$/.test(address) ? 'kernel' : 'program'
      const name = symbol === '[unknown]' ? nameOf(object) : symbol.replace(hash, '')
      // What has no symbols is one frame, however many its calls look like.
      if (!sameForAll.test(name) && calls.at(-1)?.[0] !== name) calls.push([name, owner])
    } else if (line.trim() === '') {
      if (thread !== '') add(root, stack(thread, calls))
      thread = ''
      calls = []
    } else {
      thread = line.trim().replace(numbered, '')
    }
  }
  return root
}

/** Code without symbols, by the file it is from: perf looks for what was compiled at run time in `perf-PID.map`. */
function nameOf(object: string): string {
  return /perf-\d+\.map$/.test(object) ? 'compiled JavaScript' : basename(object)
}

function stack(thread: string, calls: readonly Call[]): Call[] {
  if (thread !== 'swapper') return [[thread, 'thread'], ...calls.toReversed()]
  if (idle.test(calls[0]?.[0] ?? '')) return [['nobody', 'nobody']]
  return [['idle, interrupted', 'thread'], ...calls.toReversed()]
}

function add(root: Frame, calls: readonly Call[]): void {
  let frame = root
  frame.samples += 1
  for (const [name, owner] of calls) {
    const key = `${owner} ${name}`
    const next = frame.calls.get(key) ?? { name, owner, samples: 0, calls: new Map() }
    frame.calls.set(key, next)
    frame = next
    frame.samples += 1
  }
}
