/** Limits per client, and faithd's behaviour when the host itself runs out of resources. */
import test from 'ava'

import { addresses, waitFor } from '../../lab/index.js'
import { leaveDescriptors } from '../fixtures/descriptors.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { ip } from '../fixtures/ip.js'
import type { End } from '../fixtures/sockets.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

/**
 * Addresses of the server. The dialled address selects the client's source address: its only one, another of the same
 * /64, or one of another /64.
 */
const from = {
  itself: addresses.server,
  neighbour: addresses.serverSecond,
  stranger: '198.51.100.4',
} as const
const neighbour = '2001:db8:1::22'
const stranger = '2001:db8:9::2'

const { lab, client, server } = await socketsLab()

test.before(async () => {
  await ip(lab.client, `addr add ${neighbour}/128 dev eth0 nodad`)
  await ip(lab.client, `addr add ${stranger}/128 dev eth0 nodad`)
  await ip(lab.router, `route add ${stranger}/128 via ${addresses.client}`)
  await ip(lab.server, `addr add ${from.stranger}/24 dev eth0`)
})

let started = 0

async function faithdWith(...args: string[]): Promise<Faithd> {
  started += 1
  const place = { name: `limit${started}`, prefix: `3fff:${started}::` }
  const faithd = await startFaithd(lab, [...permitted, ...args], 'by itself', place)
  for (const [ipv4, source] of [
    [from.itself, addresses.client],
    [from.neighbour, neighbour],
    [from.stranger, stranger],
  ] as const) {
    const to = faithd.address(ipv4)
    await ip(lab.client, `route add ${to}/128 via ${addresses.gateway} src ${source}`)
  }
  return faithd
}

/**
 * True for a refused client. A client whose SYN came before others had used up the limit is connected and reset at
 * once.
 */
function turnedAway({ history }: End): boolean {
  return /^(ECONNREFUSED|(connected,)?ECONNRESET)$/.test(history.join())
}

let ports = 7400

/** A port on which the server listens, and functions that dial it through faithd. */
async function busyPort(faithd: Faithd) {
  ports += 1
  const port = ports
  const listening = await server.listen(port)
  return {
    listening,
    port,
    // Accepts a client, and waits until its session counts.
    accept: async (near: End): Promise<End> => {
      const far = await listening.accept()
      await near.reaches(far)
      return far
    },
    dial: (ipv4: string = from.itself) => client.dial(faithd.address(ipv4), port),
    // Reasons by client: a client asks again if it missed the first answer, because its neighbour was still being
    // resolved.
    reasons: () => {
      const ended = new Map<string, string>()
      const ends = [...faithd.refusals, ...faithd.sessions]
      for (const { client: caller, destination, reason } of ends) {
        if (destination.port === port) ended.set(`${caller.address} ${caller.port}`, reason)
      }
      return Array.from(ended.values())
    },
  }
}

const modes = [
  ['', []],
  [', without connect-first', ['--no-connect-first']],
] as const

for (const [mode, args] of modes) {
  const refusal = args.length === 0 ? 'ECONNREFUSED' : 'ECONNRESET'

  test(`a client beyond --max-sessions is refused, and an ended session makes room${mode}`, async (t) => {
    const faithd = await faithdWith('--max-sessions', '2', ...args)
    const { listening, accept, dial, reasons } = await busyPort(faithd)
    const first = dial()
    await first.sees('connected')
    const [far, second] = [await accept(first), dial(from.stranger)]
    await accept(second)

    for (const ipv4 of Object.values(from)) await dial(ipv4).sees(refusal)
    t.is(listening.accepted, 2)
    await waitFor('the refusals to be logged', () => reasons().length === 3)
    t.deepEqual(reasons(), ['limit', 'limit', 'limit'])

    first.ends()
    far.ends()
    await waitFor('the first session to end', () => reasons().includes('closed'))
    await dial(from.neighbour).sees('connected')
    const third = await listening.accept()
    third.says('welcome')
    t.deepEqual(second.history, ['connected'])
  })
}

test('sessions are limited per client, and clients do not affect each other', async (t) => {
  const faithd = await faithdWith('--max-sessions-per-client', '2')
  const { accept, dial, reasons } = await busyPort(faithd)
  const first = dial()
  await first.sees('connected')
  const far = await accept(first)
  // Addresses of the same /64 are one client.
  await accept(dial(from.neighbour))
  t.is(await dial().outcome(), 'ECONNREFUSED')
  t.is(await dial(from.neighbour).outcome(), 'ECONNREFUSED')
  for (let count = 0; count < 2; count += 1) {
    await accept(dial(from.stranger))
  }
  t.is(await dial(from.stranger).outcome(), 'ECONNREFUSED')
  first.says('still here')
  await far.hears('.still here')

  first.ends()
  far.ends()
  await waitFor('the first session to end', () => reasons().includes('closed'))
  await accept(dial(from.neighbour))
  t.is(await dial().outcome(), 'ECONNREFUSED')
})

test('--client-prefix-length sets the network that counts as one client', async (t) => {
  const args = ['--max-sessions-per-client', '1', '--client-prefix-length', '128']
  const { accept, dial } = await busyPort(await faithdWith(...args))
  for (const ipv4 of Object.values(from)) {
    await accept(dial(ipv4))
    t.is(await dial(ipv4).outcome(), 'ECONNREFUSED')
  }
})

test('a client that dials too often is refused, and accepted again later', async (t) => {
  const faithd = await faithdWith('--max-rate-per-client', '3')
  const { listening, dial, reasons } = await busyPort(faithd)
  const ends = Array.from({ length: 60 }, () => dial())
  await Promise.all(ends.map((end) => end.outcome()))
  const served = () => ends.filter((end) => !turnedAway(end))
  await waitFor('the server to see the others', () => listening.accepted === served().length)
  // Three, and three more for every second of dialling.
  t.true(listening.accepted >= 3 && listening.accepted < 30, `${listening.accepted}`)
  for (const { history } of served()) t.deepEqual(history, ['connected'])
  t.is(await dial(from.stranger).outcome(), 'connected')
  await waitFor('the client to be accepted', async () => (await dial().outcome()) === 'connected')
  await waitFor('a refusal to be logged', () => reasons().length > 0)
  t.true(reasons().every((reason) => reason === 'limit'))
})

test('without limits no client is refused', async (t) => {
  const { dial } = await busyPort(await faithdWith())
  const outcomes = await Promise.all(Array.from({ length: 60 }, () => dial().outcome()))
  t.deepEqual(new Set(outcomes), new Set(['connected']))
})

for (const [mode, args] of modes) {
  test(`out of descriptors, faithd loses no session, warns once and recovers by itself${mode}`, async (t) => {
    const faithd = await faithdWith(...args)
    const { listening, accept, dial } = await busyPort(faithd)
    // Opens a first session: a later one needs only its own descriptors.
    const warm = dial()
    await warm.sees('connected')
    const first = await accept(warm)
    await leaveDescriptors(lab.router, faithd.pid, 12)

    const clients = Array.from({ length: 100 }, () => dial())
    await Promise.all(clients.map((end) => end.outcome()))
    // Serves the sessions, with half of the descriptors each; no more are accepted.
    const heard = async () => {
      for (; greeted < listening.accepted; greeted += 1) (await listening.accept()).says('welcome')
      const texts = await Promise.all(
        [warm, ...clients].map(async (end) => (await end.status()).text),
      )
      return texts.filter((text) => text === 'welcome').length
    }
    first.says('welcome')
    let greeted = 1
    // With connect-first, every connected client has a server. With accept-first, the others wait for room.
    const connected = [warm, ...clients].filter(({ history }) => history[0] === 'connected').length
    const room = args.length === 0 ? connected : 4
    await waitFor('the clients with room to be served', async () => (await heard()) >= room, {
      interval: 200,
    })
    // Established connections stay.
    const lost = clients.filter(({ history }) => {
      return history[0] === 'connected' && history.includes('end')
    })
    t.deepEqual(lost, [])
    t.deepEqual(warm.history, ['connected'])

    for (const end of [warm, ...clients]) end.resets()
    await waitFor(
      'a client to be served again',
      async () => (await dial().outcome()) === 'connected',
    )
    const late = dial()
    await late.sees('connected')
    late.says('at last')
    t.true(faithd.process.running)
    const told = () => faithd.log.filter(({ msg }) => msg.includes('descriptors')).length
    await waitFor('the warning', () => told() > 0)
    t.is(told(), 1)
  })
}
