/** Any counts and any names of interfaces give text that Prometheus reads as it was meant. */
import * as fc from 'fast-check'
import test from 'ava'
import type { MetricsSnapshot } from '../cli/control/metric-kinds.js'
import { METRICS, metricsText } from '../cli/control/metrics.js'
import { idleSnapshot } from '../scripts/metrics-table.js'
import { cases } from './fixtures/cases.js'
import { families } from './fixtures/exposition.js'

const count = fc.oneof(fc.nat(10), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }))
const names = fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 15 }), {
  minLength: 1,
  maxLength: 3,
})

/** Snapshots with these counts in place of every number. */
function filled(interfaces: readonly string[], counts: readonly number[]): MetricsSnapshot {
  let next = 0
  const fill = (value: unknown, key = ''): unknown => {
    if (typeof value === 'number')
      return key === 'upToMs' ? value : (counts[(next += 1) % counts.length] ?? 0)
    if (Array.isArray(value)) return value.map((each) => fill(each))
    if (value === null || typeof value !== 'object' || value instanceof Date) return value
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fill(each, name)]))
  }
  return fill(idleSnapshot(...interfaces)) as MetricsSnapshot
}

test('every line is read back, with its labels as they were', (t) => {
  fc.assert(
    fc.property(names, fc.array(count, { minLength: 1, maxLength: 50 }), (interfaces, counts) => {
      const snapshot = filled(interfaces, counts)
      for (const { name, samples, type } of families(metricsText(snapshot))) {
        const metric = METRICS[name]
        const labels: readonly string[] = metric?.labels ?? []
        for (const sample of samples) {
          const used = Object.keys(sample.labels).filter((label) => label !== 'le')
          t.deepEqual(used, [...labels])
          if (labels.includes('interface'))
            t.true(interfaces.includes(sample.labels['interface'] ?? ''))
        }
        if (type === 'histogram') continue
        const values = metric?.read(snapshot).map(({ value }) => value)
        t.deepEqual(
          samples.map(({ value }) => value),
          values as number[],
        )
      }
    }),
    { ...cases, numRuns: Math.min(cases.numRuns, 300) },
  )
})
