/** The metrics as text, and the server that gives them to Prometheus. */
import { once } from 'node:events'
import { connect } from 'node:net'
import test from 'ava'
import { ExitError } from '../cli/exit.js'
import type { MetricsSnapshot } from '../cli/control/metric-kinds.js'
import { METRICS, metricsText } from '../cli/control/metrics.js'
import { MetricsServer } from '../cli/control/metrics-server.js'
import { total } from '../cli/total.js'
import type { FaithRelayStats } from '../index.js'
import { idleSnapshot } from '../scripts/metrics-table.js'
import { families, sumOf } from './fixtures/exposition.js'

test('each metric has its help, its type and its values together', (t) => {
  const text = metricsText(idleSnapshot('faith0', 'faith1'))
  t.regex(
    text,
    /^# HELP faithd_sessions Sessions that go on\.\n# TYPE faithd_sessions gauge\nfaithd_sessions\{interface="faith0"\} 0\nfaithd_sessions\{interface="faith1"\} 0\n#/m,
  )
  t.deepEqual(
    families(text).map(({ name, type, help }) => ({ name, type, help })),
    Object.entries(METRICS).map(([name, { type, help }]) => ({ name, type, help })),
  )
})

test('counters are in base units, and their names end in _total', (t) => {
  for (const [name, { type }] of Object.entries(METRICS)) {
    t.is(name.endsWith('_total'), type === 'counter', name)
    t.notRegex(name, /milliseconds|_ms\b|kilobytes|percent/)
  }
})

test('an attempt is counted by its outcome, and a refusal by its cause too', (t) => {
  const text = metricsText(
    changed((one) => {
      one.relay.sessions.begun = 7
      one.relay.sessions.active = 2
      one.relay.sessions.ended.closed = 5
      one.relay.refused.byReason.denied = 4
      one.relay.refused.byCause = { 'denied-by-rule': 3, 'special-purpose': 1 }
    }),
  )
  const opened = (outcome: string) => sumOf(text, 'faithd_sessions_opened_total', { outcome })
  const refused = (reason: string) => sumOf(text, 'faithd_refusals_total', { reason })
  t.deepEqual([opened('session'), opened('denied'), opened('refused')], [7, 4, 0])
  t.deepEqual(
    [refused('denied-by-rule'), refused('special-purpose'), refused('loopback')],
    [3, 1, 0],
  )
  t.is(sumOf(text, 'faithd_sessions'), 2)
  t.is(sumOf(text, 'faithd_sessions_ended_total', { reason: 'closed' }), 5)
})

test('a histogram is in seconds, and its last bucket is the count', (t) => {
  const buckets = [
    { upToMs: 1, count: 2 },
    { upToMs: 2.5, count: 2 },
    { upToMs: 10_000, count: 5 },
  ]
  const text = metricsText(
    changed((one) => (one.relay.connectDurations = { buckets, count: 6, sumMs: 20_500 })),
  )
  const lines = text.split('\n').filter((line) => line.startsWith('faithd_connect_duration'))
  t.deepEqual(lines, [
    'faithd_connect_duration_seconds_bucket{interface="faith0",le="0.001"} 2',
    'faithd_connect_duration_seconds_bucket{interface="faith0",le="0.0025"} 2',
    'faithd_connect_duration_seconds_bucket{interface="faith0",le="10"} 5',
    'faithd_connect_duration_seconds_bucket{interface="faith0",le="+Inf"} 6',
    'faithd_connect_duration_seconds_sum{interface="faith0"} 20.5',
    'faithd_connect_duration_seconds_count{interface="faith0"} 6',
  ])
})

test('an absent limit, control socket or histogram has no line', (t) => {
  const without = changed((one) => {
    one.limits.maxSessions = 0
    Reflect.deleteProperty(one.relay, 'connectDurations')
  })
  delete without.control
  const names = new Set(families(metricsText(without)).map(({ name }) => name))
  t.deepEqual(
    Object.keys(METRICS).filter((name) => !names.has(name)),
    [
      'faithd_sessions_limit',
      'faithd_connect_duration_seconds',
      'faithd_control_connections',
      'faithd_control_connections_refused_total',
    ],
  )
})

test('an interface may have any legal name', (t) => {
  const text = metricsText(idleSnapshot('a"b\\c'))
  t.true(text.includes('faithd_sessions{interface="a\\"b\\\\c"} 0\n'), text)
})

/** The statistics of a relay that had so many connections of at most 5 ms, and one more. */
function relayWith(count: number): FaithRelayStats {
  const [one] = idleSnapshot('faith0').interfaces
  const buckets = [
    { upToMs: 5, count },
    { upToMs: 10, count: count + 1 },
  ]
  const connectDurations = { buckets, count: count + 1, sumMs: count }
  return { ...one?.relay, connectDurations } as unknown as FaithRelayStats
}

test('the sum over relays adds the counts of buckets, and keeps their bounds', (t) => {
  const sum = total([2, 3, 4].map(relayWith))
  t.deepEqual(Reflect.get(sum, 'connectDurations'), {
    buckets: [
      { upToMs: 5, count: 9 },
      { upToMs: 10, count: 12 },
    ],
    count: 12,
    sumMs: 9,
  })
})

/** The snapshot of one interface with some values of its own. */
function changed(change: (one: MetricsSnapshot['interfaces'][number]) => void): MetricsSnapshot {
  const snapshot = idleSnapshot('faith0')
  for (const one of snapshot.interfaces) change(one)
  return snapshot
}

/** Listens on a port of the kernel's choice. */
async function serving(text?: () => string, patienceMs?: number): Promise<MetricsServer> {
  const server = await MetricsServer.listen({ host: '127.0.0.1', port: 0 }, patienceMs)
  if (text !== undefined) server.answerBy(text)
  return server
}

async function ask(server: MetricsServer, path: string, options: RequestInit = {}) {
  return await fetch(`http://127.0.0.1:${server.port}${path}`, options)
}

test('the server gives the metrics as they are at the request', async (t) => {
  let asked = 0
  await using server = await serving(() => `asked ${(asked += 1)}\n`)
  const first = await ask(server, '/metrics')
  t.is(first.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  t.is(await first.text(), 'asked 1\n')
  t.is(await (await ask(server, '/metrics?name=x')).text(), 'asked 2\n')
  t.regex(await (await ask(server, '/')).text(), /href="\/metrics"/)
})

test('the server answers nothing else', async (t) => {
  await using server = await serving(() => 'text\n')
  t.is((await ask(server, '/metrics/')).status, 404)
  t.is((await ask(server, '/v1/status')).status, 404)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await ask(server, '/metrics', { method })
    t.is(answer.status, 405)
    t.is(answer.headers.get('allow'), 'GET, HEAD')
  }
  t.is(await (await ask(server, '/metrics', { method: 'HEAD' })).text(), '')
})

test('before faithd captures, the server says that it starts', async (t) => {
  await using server = await serving()
  t.is((await ask(server, '/metrics')).status, 503)
})

test('a taken port is an error that names it', async (t) => {
  await using server = await serving()
  const error = await t.throwsAsync(
    MetricsServer.listen({ host: '127.0.0.1', port: server.port }),
    {
      instanceOf: ExitError,
    },
  )
  t.is(
    error.message,
    `cannot serve the metrics: listen EADDRINUSE: address already in use 127.0.0.1:${server.port}`,
  )
  t.is(error.exitCode, 78)
})

test('the server closes while clients are connected', async (t) => {
  await using server = await serving(() => 'text\n')
  const idle = connect(server.port, '127.0.0.1')
  await once(idle, 'connect')
  await server[Symbol.asyncDispose]()
  await once(
    idle.on('error', () => undefined),
    'close',
  )
  t.pass()
})

test('a client with a long header is refused, and the server goes on', async (t) => {
  await using server = await serving(() => 'text\n')
  t.is((await ask(server, '/metrics', { headers: { long: 'x'.repeat(10_000) } })).status, 431)
  t.is((await ask(server, '/metrics')).status, 200)
})

for (const [kind, ...said] of [
  ['without a word'],
  ['with an endless header', 'GET /metrics HTTP/1.1\r\n', 'Host: a\r\n'],
  ['with nothing more to ask', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
] as const) {
  test(`a client ${kind} is cut off`, async (t) => {
    await using server = await serving(() => 'text\n', 100)
    const client = connect(server.port, '127.0.0.1').on('error', () => undefined)
    for (const piece of said) client.write(piece)
    await once(client.resume(), 'close')
    t.is((await ask(server, '/metrics')).status, 200)
  })
}

test('connections beyond 32 are closed, and one of the others still gets the metrics', async (t) => {
  await using server = await serving(() => 'text\n')
  const clients = Array.from({ length: 33 }, () => connect(server.port, '127.0.0.1'))
  t.teardown(() => clients.forEach((client) => client.destroy()))
  const refused = await Promise.race(
    clients.map(async (client) => {
      client.on('error', () => undefined).resume()
      await once(client, 'close')
      return client
    }),
  )
  const other = clients.find((client) => client !== refused)
  other?.write('GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const [answer] = other === undefined ? [] : ((await once(other, 'data')) as Buffer[])
  t.regex(String(answer), /^HTTP\/1\.1 200 OK\r\n/)
})
