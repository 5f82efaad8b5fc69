/** Events of the diagnostics channels become spans and metrics of OpenTelemetry. */
import { EventEmitter } from 'node:events'
import { metrics, SpanKind, trace } from '@opentelemetry/api'
import test from 'ava'
import type { FaithRefusal, FaithSession, FaithSocket } from '../index.js'
import { type FaithDiagnostics, isHeard, publish } from '../lib/diagnostics.js'
import { instrument } from '../lib/otel.js'
import { Telemetry } from './fixtures/telemetry.js'

const client = { address: '2001:db8:1::2', port: 40_000 }
const destination = { address: '64:ff9b::c633:6402', port: 80 }
const server = { address: '198.51.100.2', port: 8080 }
const startedAt = new Date('2026-01-02T03:04:05.678Z')

const session: FaithSession = {
  id: 1,
  protocol: 'tcp',
  client,
  destination,
  server,
  bytesUp: 12,
  bytesDown: 17,
  startedAt,
  durationMs: 1234.5,
  reason: 'closed',
}
const refusal: FaithRefusal = {
  id: 2,
  protocol: 'tcp',
  client,
  destination,
  startedAt,
  durationMs: 3,
  reason: 'refused',
}

const ends = {
  'faithd.interface': 'faith0',
  'client.address': '2001:db8:1::2',
  'client.port': 40_000,
  'network.transport': 'tcp',
  'network.type': 'ipv6',
  'network.peer.address': '2001:db8:1::2',
  'network.peer.port': 40_000,
  'network.local.address': '64:ff9b::c633:6402',
  'network.local.port': 80,
}
const behind = { 'server.address': '198.51.100.2', 'server.port': 8080 }

/** Publishes messages, and gives what was exported. */
async function exported(
  tell: (
    say: <N extends keyof FaithDiagnostics>(name: N, message: FaithDiagnostics[N]) => void,
  ) => void,
) {
  const telemetry = new Telemetry()
  const stop = instrument(telemetry.makers)
  tell((name, message) => publish(name, () => message))
  stop()
  const points = await telemetry.points()
  const { spans } = telemetry
  await telemetry.close()
  return { spans, points }
}

test.serial('a session is a span with both ends, its bytes and its times', async (t) => {
  const { spans } = await exported((say) =>
    say('faithd:session', { interface: 'faith0', session: { ...session, tag: 'mine' } }),
  )
  const [{ durationMs = 0, ...span } = {}, ...more] = spans
  t.deepEqual(more, [])
  t.deepEqual<unknown, unknown>(span, {
    name: 'faithd session',
    kind: SpanKind.SERVER,
    isRoot: true,
    isError: false,
    message: undefined,
    attributes: {
      ...ends,
      ...behind,
      'faithd.tag': 'mine',
      'faithd.end_reason': 'closed',
      'faithd.bytes_up': 12,
      'faithd.bytes_down': 17,
    },
    startMs: startedAt.getTime(),
  })
  t.true(Math.abs(durationMs - 1234.5) < 0.001, `${durationMs}`)
})

for (const [reason, isError] of [
  ['closed', false],
  ['client-reset', false],
  ['client-gone', false],
  ['idle-timeout', false],
  ['max-bytes', false],
  ['aborted', false],
  ['server-reset', true],
  ['server-gone', true],
  ['error', true],
] as const) {
  const status = isError ? 'an error' : 'no error'
  test.serial(`the span of a session that ends as ${reason} is ${status}`, async (t) => {
    const { spans } = await exported((say) =>
      say('faithd:session', { interface: 'faith0', session: { ...session, reason } }),
    )
    t.deepEqual(
      spans.map(({ isError: is, attributes }) => [is, attributes['error.type']]),
      [[isError, reason === 'closed' ? undefined : reason]],
    )
  })
}

test.serial(
  'a refusal is a span, which is an error if the server or the host is at fault',
  async (t) => {
    const { spans } = await exported((say) => {
      const tell = (more: Partial<FaithRefusal>) =>
        say('faithd:refused', { interface: 'faith0', refusal: { ...refusal, ...more } })
      tell({ reason: 'refused', code: 'ECONNREFUSED', server })
      tell({ reason: 'denied', cause: 'denied-by-rule' })
      tell({ reason: 'connect-timeout' })
    })
    t.deepEqual<unknown, unknown>(
      spans.map(({ name, isError, message, attributes }) => ({
        name,
        isError,
        message,
        attributes,
      })),
      [
        {
          name: 'faithd refused',
          isError: true,
          message: 'ECONNREFUSED',
          attributes: {
            ...ends,
            ...behind,
            'error.type': 'refused',
            'faithd.code': 'ECONNREFUSED',
          },
        },
        {
          name: 'faithd refused',
          isError: false,
          message: undefined,
          attributes: { ...ends, 'error.type': 'denied-by-rule' },
        },
        {
          name: 'faithd refused',
          isError: true,
          message: 'connect-timeout',
          attributes: { ...ends, 'error.type': 'connect-timeout' },
        },
      ],
    )
  },
)

/** The part of a captured socket that the spans read. */
function fakeSocket(errored: Error | null = null): FaithSocket {
  return Object.assign(new EventEmitter(), {
    remoteAddress: client.address,
    remotePort: client.port,
    destination: { ...destination, prefix: '64:ff9b::/96', interface: 'faith0' },
    bytesRead: 5,
    bytesWritten: 7,
    errored,
  }) as unknown as FaithSocket
}

test.serial(
  'a captured socket is a span until it closes, also after the end of the instrumentation',
  async (t) => {
    const telemetry = new Telemetry()
    const stop = instrument(telemetry.makers)
    const socket = fakeSocket()
    const failing = fakeSocket(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
    for (const one of [socket, failing]) {
      publish('faithd:connection', () => ({ interface: 'faith0', socket: one }))
    }
    const connections = async () =>
      (await telemetry.points()).find(({ metric }) => metric === 'faithd.connections')?.value
    t.deepEqual(telemetry.spans, [])
    t.is(await connections(), 2)
    failing.emit('close', true)
    stop()
    socket.emit('close', false)
    t.is(await connections(), 0)
    const bytes = { 'faithd.bytes_up': 5, 'faithd.bytes_down': 7 }
    const toItself = { 'server.address': destination.address, 'server.port': 80 }
    t.deepEqual<unknown, unknown>(
      telemetry.spans.map(({ name, attributes }) => ({ name, attributes })),
      [
        {
          name: 'faithd connection',
          attributes: { ...ends, ...toItself, ...bytes, 'error.type': 'ECONNRESET' },
        },
        { name: 'faithd connection', attributes: { ...ends, ...toItself, ...bytes } },
      ],
    )
    await telemetry.close()
  },
)

function point(metric: string, unit: string, attributes: object, value: unknown) {
  return { metric, unit, attributes, value }
}

test.serial('events are counted, with no attribute that a client can multiply', async (t) => {
  const { points } = await exported((say) => {
    say('faithd:keepfaith', { on: true })
    say('faithd:prefix', { interface: 'faith0', action: 'add', prefix: '64:ff9b::/96' })
    say('faithd:session', { interface: 'faith0', session })
    say('faithd:session', { interface: 'faith0', session: { ...session, reason: 'client-reset' } })
    say('faithd:refused', { interface: 'faith0', refusal })
    say('faithd:refused', { interface: 'faith0', refusal })
    say('faithd:exhausted', { interface: 'faith0', resource: 'ports', message: '…' })
    say('faithd:warning', { interface: 'faith0', code: 'shortcut-lost', message: '…' })
  })
  const of = { 'faithd.interface': 'faith0' }
  const lasted = { count: 1, sum: 1.2345 }
  t.deepEqual<unknown, unknown>(points, [
    point('faithd.session.duration', 's', of, lasted),
    point('faithd.session.duration', 's', { ...of, 'error.type': 'client-reset' }, lasted),
    point('faithd.session.io', 'By', { ...of, 'network.io.direction': 'receive' }, 24),
    point('faithd.session.io', 'By', { ...of, 'network.io.direction': 'transmit' }, 34),
    point('faithd.refusals', '{attempt}', { ...of, 'error.type': 'refused' }, 2),
    point('faithd.shortages', '{shortage}', { ...of, 'faithd.resource': 'ports' }, 1),
    point('faithd.warnings', '{warning}', { ...of, 'faithd.warning': 'shortcut-lost' }, 1),
    point('faithd.prefix.changes', '{change}', { ...of, 'faithd.action': 'add' }, 1),
    point('faithd.keepfaith', '1', {}, 1),
  ])
})

test.serial('without makers, those that the program has registered are used', async (t) => {
  const telemetry = new Telemetry()
  trace.setGlobalTracerProvider(telemetry.tracers)
  metrics.setGlobalMeterProvider(telemetry.meters)
  const stop = instrument()
  publish('faithd:session', () => ({ interface: 'faith0', session }))
  stop()
  t.is(telemetry.spans.length, 1)
  const names = (await telemetry.points()).map(({ metric }) => metric)
  t.true(names.includes('faithd.session.duration'))
  trace.disable()
  metrics.disable()
  await telemetry.close()
})

test.serial('a program without a provider loses nothing but the spans', (t) => {
  const stop = instrument()
  t.notThrows(() => publish('faithd:session', () => ({ interface: 'faith0', session })))
  stop()
})

test.serial('only an instrumented program has messages made', (t) => {
  t.false(isHeard('faithd:session'))
  const stop = instrument()
  t.true(isHeard('faithd:session'))
  stop()
  t.false(isHeard('faithd:session'))
})
