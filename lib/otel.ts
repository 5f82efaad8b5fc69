/// <reference types="node" preserve="true" />
/**
 * Spans and metrics of OpenTelemetry, made from the diagnostics channels of faithd. It needs the package
 * `@opentelemetry/api`, which `faithd` does not install, and an SDK of your choice that exports them.
 *
 * @module faithd/otel
 * @packageDocumentation
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  type Attributes,
  type Meter,
  metrics,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api'
import type { FaithDiagnostics } from './diagnostics.js'
import type { FaithEndpoint } from './endpoint.js'
import type { FaithRefusalReason } from './refusal.js'
import type { FaithSessionEndReason } from './session.js'

/** The makers of spans and metrics. */
export interface FaithInstrumentOptions {
  /** Makes the spans. Default: the tracer `faithd` of the provider that the program has registered. */
  tracer?: Tracer
  /** Makes the metrics. Default: the meter `faithd` of the provider that the program has registered. */
  meter?: Meter
}

type Message<Name extends keyof FaithDiagnostics> = FaithDiagnostics[Name]

/**
 * Turns the events of all interfaces of this process into spans and metrics. Call it after your SDK has registered its
 * providers, and before you create an interface.
 *
 * Each ended session, each refused attempt and each captured socket is a span of kind `SERVER` without a parent:
 * `faithd session`, `faithd refused`, `faithd connection`. `client.*` and `network.peer.*` are the client, `network.local.*`
 * the address and port that it dialled, `server.*` the server behind. A span has the status `ERROR` if the server or the
 * host is at fault, and not if the client or a policy is; `error.type` is the reason of any end but `closed`, or the cause
 * of the refusal.
 *
 * | metric | unit | attributes |
 * |---|---|---|
 * | `faithd.session.duration`, a histogram | s | `faithd.interface`, `error.type` |
 * | `faithd.session.io` | By | `faithd.interface`, `network.io.direction`: `receive` from clients, `transmit` to clients |
 * | `faithd.refusals` | `{attempt}` | `faithd.interface`, `error.type` |
 * | `faithd.connections`, open captured sockets | `{connection}` | `faithd.interface` |
 * | `faithd.shortages` | `{shortage}` | `faithd.interface`, `faithd.resource` |
 * | `faithd.warnings` | `{warning}` | `faithd.interface`, `faithd.warning` |
 * | `faithd.prefix.changes` | `{change}` | `faithd.interface`, `faithd.action` |
 * | `faithd.keepfaith`, a gauge: 1 if interfaces capture | 1 | |
 *
 * No metric has an attribute that clients can multiply. Sessions and refusals are those that have an event: the relays tell
 * at most 50 refusals a second for each reason, and none with `sessionEvents: false`. `relay.stats()` counts all.
 *
 * @returns a function that ends this; spans of open sockets still end with them
 *
 * @example
 * ```ts
 * import { instrument } from 'faithd/otel'
 *
 * const stop = instrument()
 * ```
 */
export function instrument(options: FaithInstrumentOptions = {}): () => void {
  const { tracer = trace.getTracer('faithd'), meter = metrics.getMeter('faithd') } = options
  const subscriptions = [...spans(tracer), ...counts(meter)]
  for (const [name, hear] of subscriptions) subscribe(name, hear)
  return () => {
    for (const [name, hear] of subscriptions) unsubscribe(name, hear)
  }
}

type Subscription = readonly [name: string, hear: (message: unknown) => void]

function on<Name extends keyof FaithDiagnostics>(
  name: Name,
  hear: (message: Message<Name>) => void,
): Subscription {
  return [name, (message) => hear(message as Message<Name>)]
}

/** Reasons for which the server or the host is at fault, and neither the client nor a policy. */
const FAULTS: ReadonlySet<FaithRefusalReason | FaithSessionEndReason> = new Set([
  'refused',
  'unreachable',
  'connect-timeout',
  'exhausted',
  'error',
  'server-reset',
  'server-gone',
])

function spans(tracer: Tracer): Subscription[] {
  return [
    on('faithd:session', ({ interface: name, session }) => {
      const { reason, startedAt, durationMs, bytesUp, bytesDown } = session
      const span = tracer.startSpan('faithd session', {
        ...ROOT,
        startTime: startedAt,
        attributes: {
          ...endsOf(name, session),
          ...errorType(reason),
          'faithd.end_reason': reason,
          'faithd.bytes_up': bytesUp,
          'faithd.bytes_down': bytesDown,
        },
      })
      if (FAULTS.has(reason)) span.setStatus({ code: SpanStatusCode.ERROR, message: reason })
      span.end(startedAt.getTime() + durationMs)
    }),
    on('faithd:refused', ({ interface: name, refusal }) => {
      const { reason, cause = reason, code, startedAt, durationMs } = refusal
      const span = tracer.startSpan('faithd refused', {
        ...ROOT,
        startTime: startedAt,
        attributes: {
          ...endsOf(name, refusal),
          ...errorType(cause),
          ...(code === undefined ? {} : { 'faithd.code': code }),
        },
      })
      if (FAULTS.has(reason)) span.setStatus({ code: SpanStatusCode.ERROR, message: code ?? cause })
      span.end(startedAt.getTime() + durationMs)
    }),
    on('faithd:connection', ({ interface: name, socket }) => {
      const { remoteAddress, remotePort, destination } = socket
      const span = tracer.startSpan('faithd connection', {
        ...ROOT,
        attributes: endsOf(name, {
          client: { address: remoteAddress, port: remotePort },
          destination,
          server: destination,
        }),
      })
      socket.once('close', () => {
        const { bytesRead, bytesWritten, errored } = socket
        span.setAttributes({ 'faithd.bytes_up': bytesRead, 'faithd.bytes_down': bytesWritten })
        if (errored !== null) {
          span.setAttributes(errorType((errored as NodeJS.ErrnoException).code ?? errored.name))
        }
        span.end()
      })
    }),
  ]
}

const ROOT = { kind: SpanKind.SERVER, root: true }

/** The attributes of the two ends, by the semantic conventions for an intermediary. */
function endsOf(
  name: string,
  ends: { client: FaithEndpoint; destination: FaithEndpoint; server?: FaithEndpoint; tag?: string },
): Attributes {
  const { client, destination, server, tag } = ends
  return {
    'faithd.interface': name,
    'client.address': client.address,
    'client.port': client.port,
    'network.transport': 'tcp',
    'network.type': 'ipv6',
    'network.peer.address': client.address,
    'network.peer.port': client.port,
    'network.local.address': destination.address,
    'network.local.port': destination.port,
    ...(server === undefined
      ? {}
      : { 'server.address': server.address, 'server.port': server.port }),
    ...(tag === undefined ? {} : { 'faithd.tag': tag }),
  }
}

function errorType(reason: string): Attributes {
  return reason === 'closed' ? {} : { 'error.type': reason }
}

function counts(meter: Meter): Subscription[] {
  const duration = meter.createHistogram('faithd.session.duration', {
    unit: 's',
    description: 'Time from the start of an attempt to the end of its session.',
    advice: { explicitBucketBoundaries: [0.01, 0.1, 1, 10, 60, 600, 3600, 36_000] },
  })
  const io = meter.createCounter('faithd.session.io', {
    unit: 'By',
    description: 'Bytes of ended sessions.',
  })
  const refusals = meter.createCounter('faithd.refusals', {
    unit: '{attempt}',
    description: 'Attempts that became no session.',
  })
  const connections = meter.createUpDownCounter('faithd.connections', {
    unit: '{connection}',
    description: 'Captured sockets that are open.',
  })
  const shortages = meter.createCounter('faithd.shortages', {
    unit: '{shortage}',
    description: 'Reports that the host lacks a resource for new connections.',
  })
  const warnings = meter.createCounter('faithd.warnings', {
    unit: '{warning}',
    description: 'Restrictions of interfaces that go on, and their ends.',
  })
  const changes = meter.createCounter('faithd.prefix.changes', {
    unit: '{change}',
    description: 'Prefixes that were added or deleted.',
  })
  const keepfaith = meter.createGauge('faithd.keepfaith', {
    unit: '1',
    description: '1 if faith interfaces capture, 0 if not; known when it was switched.',
  })
  return [
    on('faithd:session', ({ interface: name, session }) => {
      const { durationMs, bytesUp, bytesDown, reason } = session
      const of = { 'faithd.interface': name }
      duration.record(durationMs / 1000, { ...of, ...errorType(reason) })
      io.add(bytesUp, { ...of, 'network.io.direction': 'receive' })
      io.add(bytesDown, { ...of, 'network.io.direction': 'transmit' })
    }),
    on('faithd:refused', ({ interface: name, refusal: { cause, reason } }) => {
      refusals.add(1, { 'faithd.interface': name, 'error.type': cause ?? reason })
    }),
    on('faithd:connection', ({ interface: name, socket }) => {
      const of = { 'faithd.interface': name }
      connections.add(1, of)
      socket.once('close', () => connections.add(-1, of))
    }),
    on('faithd:exhausted', ({ interface: name, resource }) => {
      shortages.add(1, { 'faithd.interface': name, 'faithd.resource': resource })
    }),
    on('faithd:warning', ({ interface: name, code }) => {
      warnings.add(1, { 'faithd.interface': name, 'faithd.warning': code })
    }),
    on('faithd:prefix', ({ interface: name, action }) => {
      changes.add(1, { 'faithd.interface': name, 'faithd.action': action })
    }),
    on('faithd:keepfaith', ({ on: isOn }) => keepfaith.record(Number(isOn))),
  ]
}
