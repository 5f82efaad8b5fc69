/** Prints the report as text: a table for each group of figures, then remarks. */
import type { MetricReport, Report, Score, WorkReport } from './results.js'
import { shareTable } from './shares.js'
import type { Style } from './style.js'

interface Column {
  head: string
  cells: Map<string, [value: string, spread: string, ratio: string]>
}

export function tables(report: Report, style: Style): string {
  const parts = report.works.flatMap((work) => [...workTables(report, work, style)])
  return [...parts, shareTable(report, style), remarks(report, style)].filter(Boolean).join('\n\n')
}

/** Formats a figure: `53,200`, `10.71`. */
export function format(value: number, digits: number): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

function* workTables(report: Report, work: WorkReport, style: Style): Generator<string> {
  const filled = work.metrics.filter(({ scores }) => Object.keys(scores).length > 0)
  for (const group of new Set(filled.map((metric) => metric.group))) {
    const metrics = filled.filter((metric) => metric.group === group)
    const title = `${work.title}: ${group}`
    yield* groupTables(report, work, title, metrics.map(column), style)
  }
}

function column({ title, unit, better, digits, scores }: MetricReport): Column {
  const cells = Object.entries(scores).map(
    ([subject, score]): [string, [string, string, string]] => [
      subject,
      [format(score.median, digits), spread(score, digits), ratio(score)],
    ],
  )
  const arrow = better === 'more' ? '↑' : '↓'
  return { head: [title, unit, arrow].filter(Boolean).join(' '), cells: new Map(cells) }
}

function spread({ least, most, rounds }: Score, digits: number): string {
  return rounds < 2 ? '' : `${format(least, digits)}–${format(most, digits)}`
}

function ratio(score: Score): string {
  return score.ratio === undefined ? '' : `×${score.ratio.toFixed(2)}`
}

function* groupTables(
  report: Report,
  work: WorkReport,
  title: string,
  columns: readonly Column[],
  style: Style,
): Generator<string> {
  const names = work.subjects.map((name) => report.subjects[name]?.title ?? name)
  const nameWidth = Math.max(...names.map((name) => name.length))
  const drawn = columns.map((each) => draw(each, work.subjects, style))
  let at = 0
  while (at < drawn.length) {
    let end = at + 1
    let width = nameWidth + 2 + (drawn[at]?.width ?? 0)
    while (end < drawn.length && width + 3 + (drawn[end]?.width ?? 0) <= style.width) {
      width += 3 + (drawn[end]?.width ?? 0)
      end += 1
    }
    const shown = drawn.slice(at, end)
    const head = `${' '.repeat(nameWidth)}  ${shown.map(({ head: text }) => text).join('   ')}`
    const rows = work.subjects.map((subject, index) => {
      const name = (names[index] ?? subject).padEnd(nameWidth)
      const label = subject === work.reference ? style.bold(name) : name
      return `${label}  ${shown.map(({ rows: cells }) => cells[index]).join('   ')}`
    })
    yield [style.bold(at === 0 ? title : `${title} (continued)`), style.dim(head), ...rows]
      .map((line) => line.trimEnd())
      .join('\n')
    at = end
  }
}

/** The lines of a column, all of one width: value, spread and ratio each aligned on the right. */
function draw({ head, cells }: Column, subjects: readonly string[], { dim }: Style) {
  const all = [...cells.values()]
  const widths = [0, 1, 2].map((part) => Math.max(...all.map((cell) => cell[part]?.length ?? 0)))
  const [value = 0, range = 0, factor = 0] = widths
  const gaps = (range > 0 ? 2 : 0) + (factor > 0 ? 2 : 0)
  const width = Math.max(value + range + factor + gaps, head.length)
  const rows = subjects.map((subject) => {
    const [median, least, times] = cells.get(subject) ?? ['–', '', '']
    const parts = [median.padStart(value + width - (value + range + factor + gaps))]
    if (range > 0) parts.push(dim(least.padStart(range)))
    if (factor > 0) parts.push(times.padStart(factor))
    return parts.join('  ')
  })
  return { head: head.padStart(width), rows, width }
}

function remarks(report: Report, { dim }: Style): string {
  const lines: string[] = []
  for (const name of new Set(report.works.map(({ reference }) => reference))) {
    if (report.subjects[name] === undefined) continue
    const works = report.works.filter(({ reference }) => reference === name)
    const title = report.subjects[name]?.title ?? name
    lines.push(`× is the ratio to ${title} (${works.map((work) => work.title).join(', ')}).`)
  }
  lines.push(
    `Medians of ${report.settings.rounds} ${report.settings.rounds === 1 ? 'round' : 'rounds'}, minimum to maximum beside them; ↑ more is better, ↓ less is.`,
    ...saturated(report),
    ...leftOut(report),
  )
  return lines.map(dim).join('\n')
}

function leftOut(report: Report): string[] {
  const reasons = new Map<string, string[]>()
  for (const { what, why } of report.leftOut) reasons.set(why, [...(reasons.get(why) ?? []), what])
  return [...reasons].map(([why, what]) => `Left out: ${what.join('; ')}: ${why}.`)
}

/** Notes figures limited by our own programs. */
function saturated(report: Report): string[] {
  const found = new Map<string, Set<string>>()
  for (const { work, subject, phases } of report.samples) {
    for (const { name, saturated: parties } of phases) {
      for (const party of parties) {
        const where = `${report.subjects[subject]?.title ?? subject}, ${work}, ${name}`
        found.set(party, (found.get(party) ?? new Set()).add(where))
      }
    }
  }
  return [...found].map(
    ([party, where]) =>
      `The ${party}'s own program was at its limit, so these are at least as fast: ${[...where].join('; ')}.`,
  )
}
