/** The spans and metrics of OpenTelemetry say what clients and servers did. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { addresses, captured, createLab } from '../../../lab/index.js'
import type { Exported, Point } from '../../fixtures/telemetry.js'
import { Sockets } from '../../fixtures/sockets.js'

const program = fileURLToPath(new URL('../../programs/telemetry.ts', import.meta.url))

const lab = await createLab()
test.after.always(() => lab.close())

const client = Sockets.of(lab.client)
const server = Sockets.of(lab.server)

/** Attributes of a span of a connection to a port. */
function to(port: number) {
  return {
    'faithd.interface': 'faith0',
    'client.address': addresses.client,
    'network.local.address': '64:ff9b::c633:6402',
    'network.local.port': port,
  }
}

function behind(port: number) {
  return { 'server.address': addresses.server, 'server.port': port }
}

function bytes(up: number, down: number) {
  return { 'faithd.bytes_up': up, 'faithd.bytes_down': down }
}

test('a session, a refusal and a captured socket are spans, and are counted', async (t) => {
  const instrumented = lab.router.node(program)
  await instrumented.line(/^ready$/)

  const listening = await server.listen(7001)
  const near = await client.connect(captured(), 7001)
  const far = await listening.accept()
  near.says('twelve bytes')
  await far.hears('twelve bytes')
  far.says('and seventeen now')
  await near.hears('and seventeen now')
  near.ends()
  await far.sees('end')
  far.ends()
  await near.sees('end')
  t.is(await client.dial(captured(), 7002).outcome(), 'ECONNREFUSED')
  const taken = await client.connect(captured(), 80)
  await taken.sees('end')
  taken.ends()
  instrumented.stdin.end()
  t.deepEqual(await instrumented.exited, { code: 0, signal: null })
  const { spans, points } = JSON.parse(await instrumented.line(/^\{/)) as {
    spans: Exported[]
    points: Point[]
  }

  const names = ['faithd session', 'faithd refused', 'faithd connection']
  t.deepEqual(spans.map(({ name }) => name).toSorted(), names.toSorted())
  const [session, refused, connection] = names.map((name) => spans.find((one) => one.name === name))
  t.like(session?.attributes, {
    ...to(7001),
    ...behind(7001),
    ...bytes(12, 17),
    'client.port': await near.port(),
    'faithd.end_reason': 'closed',
  })
  t.like(refused, { isError: true, message: 'ECONNREFUSED' })
  t.like(refused?.attributes, { ...to(7002), ...behind(7002), 'error.type': 'refused' })
  t.like(connection?.attributes, { ...to(80), ...bytes(0, 5), 'client.port': await taken.port() })

  const valueOf = (metric: string, label?: string) =>
    points.find(
      (one) =>
        one.metric === metric &&
        (label === undefined || Object.values(one.attributes).includes(label)),
    )?.value
  t.like(valueOf('faithd.session.duration'), { count: 1 })
  t.is(valueOf('faithd.session.io', 'receive'), 12)
  t.is(valueOf('faithd.session.io', 'transmit'), 17)
  t.is(valueOf('faithd.refusals', 'refused'), 1)
  t.is(valueOf('faithd.connections'), 0)
  t.is(
    valueOf('faithd.prefix.changes', 'add'),
    undefined,
    'the prefixes of the start are no change',
  )
  t.is(valueOf('faithd.keepfaith'), 1)
})
