/** The parts of the control interface that need no faithd: sorting, addresses, routes, and the OpenAPI document. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import test from 'ava'

import { addressKey, within } from '../cli/control/networks.js'
import { Ranking } from '../cli/control/ranking.js'
import { find } from '../cli/control/router.js'
import { openapi, routes } from '../cli/control/routes.js'
import { cases } from './fixtures/cases.js'

test('a ranking gives the first entries of all, as a stable sort does', (t) => {
  const keys = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 6000, size: 'max' })
  const limits = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constantFrom(2048, 2049, 100_000))
  fc.assert(
    fc.property(
      keys,
      limits,
      fc.constantFrom('asc' as const, 'desc' as const),
      (all, limit, order) => {
        const ranking = new Ranking<number>(limit, order)
        for (const [index, key] of all.entries()) ranking.add(key, index)
        const sign = order === 'asc' ? 1 : -1
        const sorted = all
          .map((key, index) => ({ key, index }))
          .toSorted((one, other) => sign * (one.key - other.key))
          .slice(0, limit)
        t.deepEqual(
          [...ranking.inOrder()],
          sorted.map(({ index }) => index),
        )
        t.is(ranking.added, all.length)
      },
    ),
    { ...cases, numRuns: Math.min(cases.numRuns ?? 100, 200) },
  )
})

test('addresses sort by their bits', (t) => {
  const sorted = [
    '9.0.0.0',
    '10.0.0.0',
    '::',
    '::1',
    '64:ff9b::192.0.2.1',
    '64:ff9b::c000:202',
    '2001:db8::',
    'fe80::1:2',
  ]
  t.deepEqual(
    sorted.toReversed().toSorted((one, other) => (addressKey(one) < addressKey(other) ? -1 : 1)),
    sorted,
  )
  t.is(addressKey('64:ff9b::192.0.2.1'), addressKey('64:ff9b:0:0:0:0:c000:201'))
})

test('an address is in a network of its own family', (t) => {
  t.true(within('2001:db8::/32')('2001:db8:1::1'))
  t.false(within('2001:db8::/32')('2001:db9::1'))
  t.true(within('198.51.100.7/24')('198.51.100.1'))
  t.false(within('::/0')('198.51.100.1'))
  t.true(within('64:ff9b::192.0.2.1')('64:ff9b::c000:201'))
  t.false(within('::ffff:0:0/96')('198.51.100.1'))
})

for (const [method, path, at] of [
  ['GET', '/v1/sessions/1-2', { id: '1-2' }],
  ['GET', '/v1/access-lists/test', {}],
  ['DELETE', '/v1/interfaces/faith%2F0', { name: 'faith/0' }],
  ['DELETE', '/v1/interfaces/f/prefixes/64:ff9b::/96', { name: 'f', prefix: '64:ff9b::/96' }],
  ['DELETE', '/v1/interfaces/f/prefixes/64:ff9b::%2f96', { name: 'f', prefix: '64:ff9b::/96' }],
] as const) {
  test(`${method} ${path} has its route`, (t) => {
    const found = find(routes, method, path)
    t.deepEqual(found.at, at)
    t.is(found.route.method, method)
  })
}

test('the document of the repository is that of the routes', (t) => {
  const path = new URL('../docs/openapi.json', import.meta.url)
  t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), JSON.parse(JSON.stringify(openapi())))
})

test('every operation has a name of its own, and every reference leads to a schema', (t) => {
  const document = openapi() as unknown as {
    paths: Record<string, Record<string, { operationId: string }>>
    components: { schemas: Record<string, object> }
  }
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))
  t.is(operations.length, routes.length)
  t.is(new Set(operations.map(({ operationId }) => operationId)).size, routes.length)
  const { schemas } = document.components
  const references = JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)
  for (const [, name = ''] of references) t.true(Object.hasOwn(schemas, name), name)
  const ajv = new Ajv2020({ strict: false, logger: false })
  ajv.addSchema({ $id: 'document', ...document }, 'document')
  for (const name of Object.keys(schemas)) {
    t.notThrows(() => ajv.compile({ $ref: `document#/components/schemas/${name}` }))
  }
})
