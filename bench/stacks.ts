/**
 * Samples call stacks: perf records all processors during a phase of a work item. Recording slows the machine, so
 * figures of such a run do not count.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

import { waitFor } from '../lab/index.js'

/** The owner of a frame's code. */
export type Owner = 'thread' | 'program' | 'kernel' | 'idle'

/** A frame, from the thread down to the innermost call, with the number of samples that hit it. */
export interface Frame {
  name: string
  owner: Owner
  samples: number
  calls: Map<string, Frame>
}

type Call = [name: string, owner: Owner]

/** Samples per second and processor, chosen so that it does not divide the kernel's own periods. */
const frequency = 3989
/** Matches the numbers of thread names; threads that differ only in them are merged. */
const numbered = /[-/:]?\d+(?::\S+)?$/
/** Matches an idle processor. Its work for packets is shown all the same. */
const idle = /idle|halt/
/** Matches the frames at the bottom of every system call. */
const sameForAll = /^(?:entry_SYSCALL_64_after_hwframe|do_syscall_64|\[unknown\])$/
/** The part of a Rust symbol that differs between builds. */
const hash = /::h[0-9a-f]{16}$/

/** Stacks of all processors, and the duration of the recording. */
export interface Stacks {
  root: Frame
  seconds: number
}

/** Records all processors until stopped. */
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

  /** @param folder - folder for perf's files */
  static async start(folder: string): Promise<Recording> {
    const file = join(folder, 'perf.data')
    rmSync(file, { force: true })
    const recording = new Recording(file)
    // perf writes a file header once it has everything it needs from the kernel.
    const begins = () => recording.#check() && existsSync(file) && statSync(file).size > 0
    await waitFor('perf to begin', begins)
    recording.#begun = performance.now()
    return recording
  }

  /** Ends the recording. */
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
  /** Innermost call first, as perf prints them. */
  let calls: Call[] = []
  for await (const line of createInterface({ input: script.stdout })) {
    const [, address, symbol, object] = /^\s+([0-9a-f]+) (.+) \((.*)\)$/.exec(line) ?? []
    if (address !== undefined && symbol !== undefined && object !== undefined) {
      const owner = /^ffff.{12}$/.test(address) ? 'kernel' : 'program'
      const name = symbol === '[unknown]' ? nameOf(object) : symbol.replace(hash, '')
      // Merges frames without symbols into one.
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

/** Names code without symbols by its file. perf looks up just-in-time code in `perf-PID.map`. */
function nameOf(object: string): string {
  return /perf-\d+\.map$/.test(object) ? 'compiled JavaScript' : basename(object)
}

function stack(thread: string, calls: readonly Call[]): Call[] {
  if (thread !== 'swapper') return [[thread, 'thread'], ...calls.toReversed()]
  if (idle.test(calls[0]?.[0] ?? '')) return [['idle', 'idle']]
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
