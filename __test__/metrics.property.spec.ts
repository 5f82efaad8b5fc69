/** Any counts and any names of interfaces give text that Prometheus reads as it was meant. */
import * as fc from 'fast-check'
import test from 'ava'
import { METRICS, type MetricsSnapshot, metricsText } from '../cli/control/metrics.js'
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

test('the buckets of a histogram never fall, and the last one is the count', (t) => {
  const bounds = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]
  const durations = fc.array(fc.double({ min: 0, max: 20_000, noNaN: true }), { maxLength: 100 })
  fc.assert(
    fc.property(durations, (all) => {
      const inBucket = (ms: number) => bounds.findIndex((upTo) => ms <= upTo)
      const buckets = bounds.map((upToMs, at) => ({
        upToMs,
        count: all.filter((ms) => inBucket(ms) === at).length,
      }))
      const snapshot = idleSnapshot('faith0')
      for (const { relay } of snapshot.interfaces) {
        relay.connectDurations = { buckets, count: all.length, sumMs: 0 }
      }
      const family = families(metricsText(snapshot)).find(({ type }) => type === 'histogram')
      for (const { name, labels, value } of family?.samples ?? []) {
        if (!name.endsWith('_bucket')) continue
        const upToMs = labels['le'] === '+Inf' ? Infinity : Number(labels['le']) * 1000
        t.is(value, all.filter((ms) => ms <= upToMs + 1e-9).length)
      }
    }),
    { ...cases, numRuns: Math.min(cases.numRuns, 300) },
  )
})
