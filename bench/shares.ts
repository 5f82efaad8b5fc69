/**
 * CPU use of the load, the server and the relay, on average over a work item. It shows the bottleneck of a figure: a
 * relay with idle cores waits for something else, and a load at its own limit measures itself.
 */
import { parties } from './accounts.js'
import type { Report, WorkReport } from './results.js'
import type { Style } from './style.js'

const columns = [...parties, 'kernel'] as const

export function shareTable(report: Report, { bold, dim }: Style): string {
  const subjects = Object.keys(report.subjects)
  const titles = subjects.map((subject) => report.subjects[subject]?.title ?? subject)
  const nameWidth = Math.max(...titles.map((title) => title.length))
  const grid = report.works.map((work) => subjects.map((subject) => cell(report, work, subject)))
  const widths = report.works.map((work, index) =>
    Math.max(work.name.length, ...(grid[index] ?? []).map((text) => text.length)),
  )
  const line = (name: string, cells: readonly string[]) =>
    [name.padEnd(nameWidth), ...cells.map((text, index) => text.padStart(widths[index] ?? 0))]
      .join('   ')
      .trimEnd()
  const names = report.works.map(({ name }) => name)
  return [
    bold(`CPUs used, of ${report.machine.cores}: ${columns.join(' ')}`),
    dim(line('', names)),
    ...subjects.map((_, row) =>
      line(
        titles[row] ?? '',
        grid.map((cells) => cells[row] ?? ''),
      ),
    ),
  ].join('\n')
}

function cell({ samples }: Report, { name }: WorkReport, subject: string): string {
  const phases = samples
    .filter((sample) => sample.work === name && sample.subject === subject)
    .flatMap((sample) => sample.phases)
  const seconds = phases.reduce((sum, phase) => sum + phase.seconds, 0)
  if (seconds === 0) return '–'
  const used = columns.map((party) => {
    const known = phases.every(({ cpus }) => cpus[party] !== undefined)
    const time = phases.reduce(
      (sum, { cpus, seconds: length }) => sum + (cpus[party] ?? 0) * length,
      0,
    )
    return known ? (time / seconds).toFixed(1) : '?'
  })
  return used.join(' ')
}
