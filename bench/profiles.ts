/** Draws a flame graph for each phase of each sitting, from call stacks taken during it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { flameGraph } from './flame.js'
import type { Machine } from './machine.js'
import type { Sitting } from './plan.js'
import { Recording } from './stacks.js'

export class Profiles {
  readonly #folder: string
  readonly #machine: Machine
  /** Folder for perf's files. */
  readonly #scratch = mkdtempSync(join(tmpdir(), 'faithd-bench-'))

  /** @param folder - folder of the drawings */
  constructor(folder: string, machine: Machine) {
    this.#folder = folder
    this.#machine = machine
    mkdirSync(folder, { recursive: true })
    process.on('exit', () => rmSync(this.#scratch, { recursive: true, force: true }))
  }

  /** Starts recording a phase of a sitting; the returned function ends the recording. */
  async watch({ work, subject }: Sitting, phase: string): Promise<() => Promise<void>> {
    const recording = await Recording.start(this.#scratch)
    return async () => {
      const { root, seconds } = await recording.stop()
      const { cores, kernel } = this.#machine
      const note = `${root.samples} samples of ${cores} processors in ${seconds.toFixed(1)} s, perf record -a -g -e cpu-clock, Linux ${kernel}`
      const drawing = flameGraph(root, `${work.title}, ${phase}: ${subject.title}`, note)
      const name = `${work.name}-${phase}-${subject.name}`.replaceAll(/[^a-z0-9]+/gi, '-')
      writeFileSync(join(this.#folder, `${name}.svg`), drawing)
    }
  }
}
