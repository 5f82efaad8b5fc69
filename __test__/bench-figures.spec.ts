/** Checks how figures of a benchmark report are filled into documents. */
import test from 'ava'

import { fill } from '../bench/figures.js'
import type { Report, Sample } from '../bench/results.js'

const sample = (round: number, subject: string, rate: number): Sample => ({
  round,
  work: 'connections',
  subject,
  values: { rate },
  phases: [],
})

const report = {
  samples: [
    sample(1, 'faithd', 300),
    sample(1, 'haproxy', 200),
    sample(2, 'faithd', 400),
    sample(2, 'haproxy', 400),
    sample(3, 'faithd', 500),
    sample(3, 'haproxy', 400),
  ],
  works: [
    {
      name: 'connections',
      metrics: [{ key: 'rate', digits: 0, scores: { faithd: { median: 12_726.4 } } }],
    },
  ],
} as unknown as Report

const ask = (asked: string) => () => fill(`<!-- bench ${asked} --><!-- / -->`, report)

test('a figure is filled in, and the rest of the document is unchanged', (t) => {
  const before = 'It makes <!-- bench value connections rate faithd -->9<!-- / --> a second.\n'
  const after = 'It makes <!-- bench value connections rate faithd -->12,726<!-- / --> a second.\n'
  t.is(fill(before, report), after)
  t.is(fill(after, report), after)
})

test('a ratio is the median of the ratios within each round', (t) => {
  const figure = fill('<!-- bench ratio connections rate faithd/haproxy --><!-- / -->', report)
  t.is(figure, '<!-- bench ratio connections rate faithd/haproxy -->1.25<!-- / -->')
})

test('a figure that the report lacks is an error', (t) => {
  t.throws(ask('value connections p99 faithd'), { message: /no connections p99/ })
  t.throws(ask('ratio connections rate faithd/socat'), { message: /faithd\/socat/ })
  t.throws(ask('mean connections rate faithd'), { message: /bench mean/ })
})
