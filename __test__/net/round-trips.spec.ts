/** The waiting time of a client: with connect-first it is one round trip to the server. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { ExecutionContext } from 'ava'

import { addresses, createLab } from '../../lab/index.js'
import type { Lab } from '../../lab/index.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { Watch, isSyn, isSynAck } from '../fixtures/segments.js'
import type { Segment } from '../fixtures/segments.js'
import { slowDown } from '../fixtures/slow-link.js'
import { Sockets } from '../fixtures/sockets.js'

/** One-way delays in milliseconds, far above a busy machine's own delays. */
const delays = { client: 100, server: 150 }
const roundTrip = { client: 2 * delays.client, server: 2 * delays.server }
/** The round trip from the client to the server. */
const whole = roundTrip.client + roundTrip.server

/** A figure is the median of this many measurements. */
const times = 5

let lab: Lab
let devices: { client: string; server: string }
let connectFirst: Faithd
let acceptFirst: Faithd
let server: Sockets

test.before(async () => {
  lab = await createLab({ ipv4Client: true })
  devices = await slowDown(lab, delays)
  server = Sockets.of(lab.server)
  const place = { name: 'faith2', prefix: '3fff:65::' }
  connectFirst = await startFaithd(lab)
  acceptFirst = await startFaithd(lab, [...permitted, '--no-connect-first'], 'by itself', place)
})

test.after.always(() => lab.close())

let ports = 8100

function freshPort(): number {
  ports += 1
  return ports
}

const dial = fileURLToPath(new URL('../programs/dial.py', import.meta.url))

interface Dialled {
  outcome: string
  /** Seconds of the machine's monotonic clock. */
  began: number
  ended: number
}

async function dialled(address: string, port: number): Promise<Dialled> {
  const { stdout } = await lab.client.run('python3', [dial, address, String(port)])
  return JSON.parse(stdout) as Dialled
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

/** Measures a duration several times, in milliseconds, and logs the results. */
async function measure(
  t: ExecutionContext,
  what: string,
  once: () => Promise<number>,
): Promise<number> {
  const taken: number[] = []
  while (taken.length < times) taken.push(await once())
  const middle = median(taken)
  t.log(
    `${what}: ${middle.toFixed(1)} ms, ${(middle / whole).toFixed(2)} round trips to the server`,
  )
  return middle
}

async function connecting(t: ExecutionContext, what: string, address: string): Promise<number> {
  const port = freshPort()
  await server.listen(port)
  return await measure(t, what, async () => {
    const { outcome, began, ended } = await dialled(address, port)
    t.is(outcome, 'connected')
    return (ended - began) * 1000
  })
}

const isReset = ({ flags }: Segment) => flags.includes('R')

test.serial('a client connects within a round trip to its server, as in plain IPv4', async (t) => {
  const plain = await connecting(t, 'plain IPv4', addresses.server)
  const first = await connecting(t, 'connect-first', connectFirst.address())
  const accepted = await connecting(t, 'accept-first', acceptFirst.address())
  t.true(plain >= whole, `${plain}`)
  t.true(first >= whole && first < 1.5 * whole, `${first}`)
  t.true(accepted >= roundTrip.client && accepted < whole, `${accepted}`)
})

test.serial('a client’s handshake is answered after its server has answered', async (t) => {
  const port = freshPort()
  await server.listen(port)
  const near = await Watch.on(lab.client, devices.client, port)
  const far = await Watch.on(lab.server, devices.server, port)
  t.is((await dialled(connectFirst.address(), port)).outcome, 'connected')
  const answered = { server: await far.sees(isSynAck), client: await near.sees(isSynAck) }
  t.deepEqual([answered.server.way, answered.client.way], ['out', 'in'])
  const later = (answered.client.at - answered.server.at) * 1000
  t.true(later >= delays.client + delays.server, `${later}`)
  await Promise.all([near.stop(), far.stop()])
})

test.serial('a client is refused within a round trip of its server’s refusal', async (t) => {
  const taken = await measure(t, 'from the RST of the server to ECONNREFUSED', async () => {
    const port = freshPort()
    const near = await Watch.on(lab.client, devices.client, port)
    const far = await Watch.on(lab.server, devices.server, port)
    const { outcome, ended } = await dialled(connectFirst.address(), port)
    t.is(outcome, 'ECONNREFUSED')
    const [syn, reset] = [await near.sees(isSyn), await near.sees(isReset)]
    t.like(reset, { way: 'in', flags: 'RA', seq: 0, ack: (syn.seq + 1) % 2 ** 32, data: '' })
    const refused = await far.sees(isReset)
    await Promise.all([near.stop(), far.stop()])
    return (ended - refused.at) * 1000
  })
  t.true(taken < whole, `${taken}`)
})

test.serial('the refusal of a SYN with data acknowledges the data too', async (t) => {
  const port = freshPort()
  const near = await Watch.on(lab.client, devices.client, port)
  const address = connectFirst.address()
  await lab.client.run('sysctl', ['-qw', 'net.ipv4.tcp_fastopen=5'])
  await lab.client.run('python3', [dial, address, String(port), 'early words'])
  const [syn, reset] = [await near.sees(isSyn), await near.sees(isReset)]
  t.is(Buffer.from(syn.data, 'hex').toString(), 'early words')
  t.is(reset.ack, (syn.seq + 1 + 'early words'.length) % 2 ** 32)
  await near.stop()
})
