/** The dashboard and the alerts of docs/ name only metrics, labels and values that faithd has. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { METRICS } from '../cli/control/metrics.js'
import { FREE, idleSnapshot } from '../scripts/metrics-table.js'
import { namesOf } from './fixtures/promql.js'

const text = (path: string) => readFileSync(new URL(`../docs/${path}`, import.meta.url), 'utf8')

interface Target {
  expr: string
  legendFormat: string
}

interface Dashboard {
  panels: {
    id: number
    title: string
    targets?: Target[]
    gridPos: Record<'x' | 'y' | 'w' | 'h', number>
  }[]
  templating: { list: { name: string; query: string | { query: string } }[] }
  annotations: { list: { expr: string }[] }
}

const dashboard = JSON.parse(text('grafana-dashboard.json')) as Dashboard
const targets = dashboard.panels.flatMap((panel) => panel.targets ?? [])
const rules = text('alerts.yml')

/** The expressions of the rules, also those of several lines. */
const alerts = [...rules.matchAll(/^ +expr: (?:>-\n)?((?:.|\n)*?)\n +(?:for|labels):/gm)].map(
  ([, expression = '']) => expression,
)

const SCRAPED = ['job', 'instance']

/** The labels of a metric of the table, or of a part of its histogram. */
function labelsOf(name: string): readonly string[] | undefined {
  if (name === 'up') return SCRAPED
  const [, base = name, part] = /^(.*)_(bucket|sum|count)$/.exec(name) ?? []
  if (METRICS[base]?.type === 'histogram') {
    if (part === undefined) return undefined
    return [...METRICS[base].labels, ...SCRAPED, ...(part === 'bucket' ? ['le'] : [])]
  }
  const metric = METRICS[name]
  return metric === undefined ? undefined : [...metric.labels, ...SCRAPED]
}

/** The values of a label that faithd chooses, or `undefined` for any. */
function valuesOf(name: string, label: string): Set<string> | undefined {
  if (SCRAPED.includes(label) || FREE.has(label) || label === 'le') return undefined
  const samples = METRICS[name]?.read(idleSnapshot('faith0')) ?? []
  return new Set(samples.map(({ labels }) => Reflect.get(labels, label) as string))
}

/** Names of an expression that faithd does not have. */
function unknown(expression: string): string[] {
  const { selectors, grouping } = namesOf(expression)
  const known = new Set(selectors.flatMap(({ metric }) => labelsOf(metric) ?? []))
  const ofMetrics = selectors.flatMap(({ metric, matchers }) => {
    const labels = labelsOf(metric)
    if (labels === undefined) return [metric]
    return matchers.flatMap(({ label, values }) => {
      if (!labels.includes(label)) return [`${metric}{${label}}`]
      const legal = valuesOf(metric, label)
      return values.filter((value) => legal?.has(value) === false)
    })
  })
  return [...ofMetrics, ...grouping.filter((label) => !known.has(label))]
}

test('names that do not exist are found', (t) => {
  t.deepEqual(unknown('sum by (interface, le) (rate(faithd_sessions{job="x"}[5m]))'), ['le'])
  t.deepEqual(unknown('faithd_session / on (job) faithd_sessions'), ['faithd_session'])
  t.deepEqual(unknown('rate(faithd_bytes_total{way="up"}[5m]) > 0'), ['faithd_bytes_total{way}'])
  t.deepEqual(unknown('rate(faithd_bytes_total{direction=~"up|across"}[5m])'), ['across'])
  t.deepEqual(unknown('faithd_connect_duration_seconds'), ['faithd_connect_duration_seconds'])
  t.deepEqual(unknown('faithd_connect_duration_seconds_count{le="1"}'), [
    'faithd_connect_duration_seconds_count{le}',
  ])
})

test('each query of the dashboard names what there is', (t) => {
  t.true(targets.length >= 25)
  const annotations = dashboard.annotations.list.map(({ expr }) => expr)
  for (const expression of [...targets.map(({ expr }) => expr), ...annotations]) {
    t.true(namesOf(expression).selectors.length > 0, expression)
    t.deepEqual(unknown(expression), [], expression)
  }
})

test('each legend of the dashboard names labels that its query leaves', (t) => {
  for (const { expr, legendFormat } of targets) {
    const { selectors, grouping } = namesOf(expr)
    const isGrouped = /\bby\b/.test(expr)
    const left = isGrouped ? grouping : (labelsOf(selectors[0]?.metric ?? '') ?? [])
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      t.true(left.includes(label), `${legendFormat} of ${expr}`)
    }
  }
})

test('each variable of the dashboard is one that it has, and lists labels that exist', (t) => {
  const { list } = dashboard.templating
  const names = new Set([...list.map(({ name }) => name), '__rate_interval', '__all'])
  for (const [, name = ''] of JSON.stringify(dashboard).matchAll(/\$\{?(\w+)/g)) {
    t.true(names.has(name), name)
  }
  const queries = list.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query]))
  t.is(queries.length, 2)
  for (const query of queries) {
    const [, metric = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? []
    t.deepEqual(unknown(metric), [])
    t.true(labelsOf(namesOf(metric).selectors[0]?.metric ?? '')?.includes(label))
  }
})

test('no two panels of the dashboard overlap', (t) => {
  const { panels } = dashboard
  for (const [at, { title, gridPos: one }] of panels.entries()) {
    t.true(one.x + one.w <= 24, title)
    const over = panels
      .slice(at + 1)
      .find(
        ({ gridPos: other }) =>
          one.x < other.x + other.w &&
          other.x < one.x + one.w &&
          one.y < other.y + other.h &&
          other.y < one.y + one.h,
      )
    t.is(over, undefined, `${title} lies over ${over?.title}`)
  }
  t.is(new Set(panels.map(({ id }) => id)).size, panels.length)
})

test('each alert names what there is, and its texts name labels that it has', (t) => {
  t.is(alerts.length, [...rules.matchAll(/- alert:/g)].length)
  for (const expression of alerts) t.deepEqual(unknown(expression), [], expression)
  for (const rule of rules.split('- alert:').slice(1)) {
    const { selectors } = namesOf(rule.split(/\n +labels:/)[0] ?? '')
    const labels = new Set(selectors.flatMap(({ metric }) => labelsOf(metric) ?? []))
    for (const [, label = ''] of rule.matchAll(/\$labels\.(\w+)/g)) t.true(labels.has(label), rule)
  }
})

test('each alert has a test in which it fires and one in which it does not', (t) => {
  const tests = text('alerts.test.yml')
  for (const [, name] of rules.matchAll(/- alert: (\w+)/g)) {
    t.regex(tests, new RegExp(`alertname: ${name}\\n +exp_alerts:\\n +- exp_labels:`))
    t.regex(tests, new RegExp(`alertname: ${name} \\}`))
  }
})
