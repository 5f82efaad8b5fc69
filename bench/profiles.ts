/** A flame graph for each phase of each sitting, drawn from the call stacks that are taken meanwhile. */
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
  /** For what perf writes. */
  readonly #scratch = mkdtempSync(join(tmpdir(), 'faithd-bench-'))

  /** @param folder - where the drawings go */
  constructor(folder: string, machine: Machine) {
    this.#folder = folder
    this.#machine = machine
    mkdirSync(folder, { recursive: true })
    process.on('exit', () => rmSync(this.#scratch, { recursive: true, force: true }))
  }

  /** Begins with a phase of a sitting; what is returned ends with it. */
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
