/**
 * Fills the figures of documents from a report of the benchmark. A figure stands between two comments; the first
 * names the figure:
 *
 *   <!-- bench value bulk up_1 faithd -->34.05<!-- / -->               the median of the rounds
 *   <!-- bench ratio bulk up_1,down_1 faithd/haproxy -->1.20 to 1.54<!-- / -->  the ratio, or minimum to maximum of several
 *   <!-- bench run --> … <!-- / -->                                     time and machine of the run
 *   <!-- bench table --> … <!-- / -->                                   the comparison
 */
import { median } from './results.js'
import type { MetricReport, Report } from './results.js'
import { format } from './table.js'

/** The rows of the comparison. */
const rows: readonly [work: string, metric: string, title: string][] = [
  ['bulk', 'up_1', 'bulk, 1 flow up'],
  ['bulk', 'down_1', 'bulk, 1 flow down'],
  ['bulk', 'up_4', 'bulk, 4 flows up'],
  ['bulk', 'down_4', 'bulk, 4 flows down'],
  ['bulk', 'up_16', 'bulk, 16 flows up'],
  ['bulk', 'down_16', 'bulk, 16 flows down'],
  ['bulk', 'both_4', 'bulk, 4 flows, both ways at once'],
  ['connections', 'rate', 'short connections'],
  ['connections', 'p99', 'their 99th percentile'],
  ['keepalive', 'rate', 'requests on 64 kept connections'],
  ['keepalive', 'p99', 'their 99th percentile'],
  ['latency', 'reply', 'one connection alone, connect to reply'],
  ['latency', 'exchange', 'one exchange alone, kept connection'],
  ['distance', 'up_10', '10 MB up, client 20 ms away'],
  ['idle', 'memory', 'resident memory of an idle session'],
  ['cost', 'up_all', 'CPU time of the whole path, per GB up'],
  ['cost', 'down_all', 'CPU time of the whole path, per GB down'],
  ['cost', 'connections_all', 'CPU time of the whole path, per 1,000 connections'],
]

/** The columns of the comparison, by subject. Ratios are to the first. */
const columns: Readonly<Record<string, string>> = {
  faithd: 'faithd',
  'faithd-accept-first': 'faithd, accept first',
  haproxy: 'HAProxy',
  nginx: 'nginx',
  socat: 'socat',
  tayga: 'TAYGA',
  'splice-relay': 'bare relay',
  forwarding: 'forwarding',
}
const reference = 'faithd'

const marker = /<!-- bench ([^>]*?) -->[^]*?<!-- \/ -->/g

/** Returns the document with its figures filled in from the report. */
export function fill(text: string, report: Report): string {
  return text.replaceAll(marker, (_, asked: string) => {
    const figure = answer(asked.split(' '), report)
    const apart = figure.includes('\n') ? '\n\n' : ''
    return `<!-- bench ${asked} -->${apart}${figure.trimEnd()}${apart}<!-- / -->`
  })
}

function answer([kind = '', work = '', keys = '', subject = '']: string[], report: Report): string {
  switch (kind) {
    case 'table':
      return table(report)
    case 'run':
      return run(report)
    case 'value': {
      const metric = metricOf(report, work, keys)
      return format(scoreOf(metric, subject).median, metric.digits)
    }
    case 'ratio': {
      const ratios = keys.split(',').map((key) => ratio(report, work, key, subject))
      const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map((each) =>
        each.toFixed(2),
      )
      return least === most ? `${least}` : `${least} to ${most}`
    }
    default:
      throw new Error(`bench ${kind}: not one of table, run, value, ratio`)
  }
}

function table(report: Report): string {
  const body = rows.map(([work, key, title]) => {
    const metric = metricOf(report, work, key)
    const cells = Object.keys(columns).map((subject) => cell(metric, subject))
    return line([[title, metric.unit].filter(Boolean).join(', '), ...cells])
  })
  const head = ['', ...Object.values(columns)]
  return line(head) + line(head.map((_, index) => (index === 0 ? '---' : '--:'))) + body.join('')
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`
}

function cell(metric: MetricReport, subject: string): string {
  const score = metric.scores[subject]
  if (score === undefined) return ''
  const figure = format(score.median, metric.digits)
  if (subject === reference) return `**${figure}**`
  return score.ratio === undefined ? figure : `${figure} (${score.ratio.toFixed(2)})`
}

function run({ date, settings, machine, versions }: Report): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return (
    `${settings.rounds} rounds of ${settings.seconds} s each on ${date}; ${machine.cores} cores (${machine.cpu}) for ` +
    `client, router and server together, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${settings.congestion}, ` +
    `load average ${machine.loadAverage} at the start; ${programs.join(', ')}.`
  )
}

function metricOf(report: Report, work: string, key: string): MetricReport {
  const metrics = report.works.find(({ name }) => name === work)?.metrics
  const metric = metrics?.find((each) => each.key === key)
  if (metric === undefined) throw new Error(`the report has no ${work} ${key}`)
  return metric
}

function scoreOf(metric: MetricReport, subject: string) {
  const score = metric.scores[subject]
  if (score === undefined) throw new Error(`the report has no ${metric.key} of ${subject}`)
  return score
}

/** The median over the rounds of one subject's figure divided by another's. */
function ratio(report: Report, work: string, key: string, subjects: string): number {
  const [one = '', other = ''] = subjects.split('/')
  const figures = (subject: string) =>
    report.samples.filter((sample) => sample.work === work && sample.subject === subject)
  const ratios = figures(one).flatMap(({ round, values }) => {
    const below = figures(other).find((sample) => sample.round === round)?.values[key]
    const above = values[key]
    return above === undefined || !below ? [] : [above / below]
  })
  if (ratios.length === 0) throw new Error(`the report has no ${work} ${key} of ${subjects}`)
  return median(ratios)
}
