/**
 * Draws the comparison: a panel for each of the most important figures, a bar for each subject, and a whisker from
 * the minimum to the maximum of the rounds. Colours follow the reader's theme.
 */
import { quiet } from './machine.js'
import type { MetricReport, Report, WorkReport } from './results.js'
import { format } from './table.js'
import { escape, round } from './xml.js'

/** The drawn figures: work item, figure, and panel title. */
const wanted: readonly [work: string, metric: string, title: string][] = [
  ['bulk', 'up_1', 'Bulk, 1 flow up'],
  ['bulk', 'down_1', 'Bulk, 1 flow down'],
  ['bulk', 'up_16', 'Bulk, 16 flows up'],
  ['bulk', 'down_16', 'Bulk, 16 flows down'],
  ['connections', 'rate', 'Short connections'],
  ['keepalive', 'rate', 'Requests on 64 kept connections'],
  ['keepalive', 'p99', 'Their 99th percentile'],
  ['latency', 'reply_added', 'Connect to reply, added to forwarding'],
  ['idle', 'memory', 'Resident memory of an idle session'],
  ['cost', 'down_all', 'CPU time of the whole path, per GB down'],
]

const panelWidth = 440
const gap = 24
const labels = 152
const numbers = 104
const bars = panelWidth - labels - numbers
const rowHeight = 20
const titleHeight = 44
const margin = 16

const css = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 13px; font-weight: 600 }
  .note { fill: #59636e; font-size: 11px }
  .own { font-weight: 600 }
  .faithd, .node, .rules { fill: #0969da }
  .peer { fill: #818b98 }
  .limit { fill: none; stroke: #818b98; stroke-dasharray: 3 2 }
  .whisker { stroke: #1f2328; stroke-width: 1.5 }
  .axis { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .note { fill: #9198a1 }
    .faithd, .node, .rules { fill: #4493f8 }
    .peer { fill: #656c76 }
    .limit { stroke: #9198a1 }
    .whisker { stroke: #f0f6fc }
    .axis { stroke: #3d444d }
  }`

interface Panel {
  title: string
  work: WorkReport
  metric: MetricReport
  /** Subjects that have the figure, in the order of the report. */
  subjects: string[]
}

export function draw(report: Report): string {
  const panels = wanted.flatMap(([name, key, title]) => panel(report, name, key, title))
  const rows = pairs(panels)
  let y = margin
  const drawn: string[] = []
  for (const row of rows) {
    row.forEach((each, column) => {
      drawn.push(drawPanel(report, each, margin + column * (panelWidth + gap), y))
    })
    y += Math.max(...row.map(height)) + gap
  }
  const width = 2 * margin + 2 * panelWidth + gap
  const notes = footer(report)
  const whole = y + notes.length * 16 + margin / 2
  const text = notes.map((note, index) => label(note, margin, y + 6 + index * 16, 'note'))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${whole}" viewBox="0 0 ${width} ${whole}" role="img">
<title>faithd beside its peers</title>
<style>${css}
</style>
${drawn.join('\n')}
${text.join('\n')}
</svg>
`
}

function panel(report: Report, name: string, key: string, title: string): Panel[] {
  const work = report.works.find((each) => each.name === name)
  const metric = work?.metrics.find((each) => each.key === key)
  if (work === undefined || metric === undefined) return []
  const subjects = work.subjects.filter((subject) => metric.scores[subject] !== undefined)
  return subjects.length === 0 ? [] : [{ title, work, metric, subjects }]
}

function pairs(panels: readonly Panel[]): Panel[][] {
  return panels.flatMap((_, index) => (index % 2 === 0 ? [panels.slice(index, index + 2)] : []))
}

const height = ({ subjects }: Panel) => titleHeight + subjects.length * rowHeight

function drawPanel(report: Report, { title, work, metric, subjects }: Panel, x: number, y: number) {
  const { unit, better, scores } = metric
  const most = Math.max(...subjects.map((subject) => scores[subject]?.most ?? 0), Number.MIN_VALUE)
  const note = [unit, better === 'more' ? 'more is better' : 'less is better']
  const axis = x + labels
  const end = y + titleHeight + subjects.length * rowHeight - 2
  return [
    label(title, x, y + 14, 'title'),
    label(note.filter(Boolean).join(', '), x, y + 30, 'note'),
    `<line class="axis" x1="${axis}" y1="${y + titleHeight - 4}" x2="${axis}" y2="${end}"/>`,
    ...subjects.map((subject, index) =>
      drawBar(
        report,
        work,
        metric,
        subject,
        bars / most,
        axis,
        y + titleHeight + index * rowHeight,
      ),
    ),
  ].join('\n')
}

function drawBar(
  report: Report,
  work: WorkReport,
  metric: MetricReport,
  subject: string,
  scale: number,
  x: number,
  y: number,
): string {
  const score = metric.scores[subject]
  const known = report.subjects[subject]
  if (score === undefined || known === undefined) return ''
  // The added time can be negative by chance.
  const at = (value: number) => round(x + Math.max(0, value) * scale)
  const own = subject === work.reference ? 'own' : ''
  const ratio = score.ratio === undefined || own ? '' : `  ×${score.ratio.toFixed(2)}`
  const middle = y + 8
  const width = round(at(score.median) - x)
  return [
    label(known.title, x - 8, y + 12, own, 'end'),
    `<rect class="${known.kind}" x="${x}" y="${y + 2}" width="${width}" height="12"/>`,
    score.rounds > 1
      ? `<line class="whisker" x1="${at(score.least)}" y1="${middle}" x2="${at(score.most)}" y2="${middle}"/>`
      : '',
    label(`${format(score.median, metric.digits)}${ratio}`, at(score.most) + 6, y + 12, own),
  ]
    .filter(Boolean)
    .join('\n')
}

function footer({ machine, settings, versions, date, leftOut }: Report): string[] {
  const rounds = settings.rounds === 1 ? '1 round' : `medians of ${settings.rounds} rounds`
  const others = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const lines = [
    `${rounds} on ${date}, with lines from minimum to maximum; × is the ratio to faithd. Dashed: limits, not relays for real use.`,
    `${machine.cores} cores (${machine.cpu}, ${machine.architecture}) for client, router and server together; ${machine.memoryGiB} GiB; Linux ${machine.kernel}, ${settings.congestion}.`,
    `${others.join(', ')}.`,
  ]
  if (machine.loadAverage > quiet) {
    lines.push(`The machine was not quiet: load average ${machine.loadAverage}.`)
  }
  if (leftOut.length > 0) lines.push(`Left out: ${leftOut.map(({ what }) => what).join(', ')}.`)
  return lines.flatMap((line) => wrap(line, 150))
}

function wrap(line: string, width: number): string[] {
  const lines: string[] = []
  for (const word of line.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

function label(text: string, x: number, y: number, kind: string, anchor = 'start'): string {
  const attributes = [kind && ` class="${kind}"`, anchor === 'end' && ' text-anchor="end"']
  return `<text x="${x}" y="${y}"${attributes.filter(Boolean).join('')}>${escape(text)}</text>`
}
