import test from 'ava'
import { FaithError } from '../lib/errors.js'
import { formatPorts, parsePorts } from '../lib/ports.js'

const legal: [spec: unknown, ranges: string][] = [
  [22, '22'],
  ['22', '22'],
  ['8000-8999', '8000-8999'],
  ['1-65535', 'all'],
  ['all', 'all'],
  [[22, '80', '8000-8999'], '22,80,8000-8999'],
]

for (const [spec, ranges] of legal) {
  test(`${JSON.stringify(spec)} is read as ${ranges}`, (t) => {
    t.is(formatPorts(parsePorts(spec)), ranges)
  })
}

const illegal: [spec: unknown, complaint: RegExp][] = [
  [0, /out of range/],
  [65_536, /out of range/],
  [-1, /out of range/],
  [80.5, /out of range/],
  [Number.NaN, /out of range/],
  ['70000', /out of range/],
  ['1-70000', /out of range/],
  ['90-80', /ends before it begins/],
  ['http', /not a port/],
  ['80 ', /not a port/],
  ['', /not a port/],
  [null, /not a port/],
  [undefined, /not a port/],
  [[22, 'x'], /'x' is not a port/],
  [[], /empty/],
]

for (const [spec, complaint] of illegal) {
  test(`${JSON.stringify(spec)} (${typeof spec}, ${String(spec)}) is refused as ports`, (t) => {
    const error = t.throws(() => parsePorts(spec), { instanceOf: FaithError, message: complaint })
    t.is(error.code, 'ERR_FAITH_PORT')
  })
}
