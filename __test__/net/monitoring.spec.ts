/** Prometheus reads the queries of the dashboard and the alerts of docs/, and the alerts fire when they should. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { promtool } from '../fixtures/promtool.js'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))

/** A folder of the test. */
function folder(t: { teardown(remove: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'faithd-alerts-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('promtool finds nothing wrong with the alerts', async (t) => {
  t.is(await promtool(['check', 'rules', '--lint-fatal', join(docs, 'alerts.yml')]), '')
})

test('the alerts fire when they should', async (t) => {
  t.is((await promtool(['test', 'rules', join(docs, 'alerts.test.yml')])).trim(), '')
})

test('an alert that fires too late or too soon is found', async (t) => {
  const path = folder(t)
  copyFileSync(join(docs, 'alerts.test.yml'), join(path, 'alerts.test.yml'))
  const rules = readFileSync(join(docs, 'alerts.yml'), 'utf8')
  for (const [from, to] of [
    ['process_max_fds > 0.9', 'process_max_fds > 0.99'],
    ['process_max_fds > 0.9', 'process_max_fds > 0.5'],
    ['and on (job, instance) faithd_build_info', ''],
    ['for: 2m', 'for: 1m'],
  ] as const) {
    t.true(rules.includes(from))
    writeFileSync(join(path, 'alerts.yml'), rules.replace(from, to))
    t.regex(await promtool(['test', 'rules', join(path, 'alerts.test.yml')]), /FAILED/)
  }
})

test('Prometheus understands each query of the dashboard', async (t) => {
  const dashboard = readFileSync(join(docs, 'grafana-dashboard.json'), 'utf8')
  const strings = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)]
  const queries = strings.map(([, string = '']) => JSON.parse(string) as string)
  t.true(queries.length >= 25)
  const path = folder(t)
  const check = async (all: readonly string[]) => {
    const rules = all.map((expr, at) => ({
      record: `query:${at}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }))
    const file = join(path, 'queries.yml')
    // JSON is YAML too.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
    return await promtool(['check', 'rules', file])
  }
  t.is(await check(queries), '')
  t.regex(await check([...queries, 'sum by (']), /parse error/)
})
