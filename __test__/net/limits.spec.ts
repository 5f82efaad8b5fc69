/** What a client may take up, and what becomes of it when the host itself has no more to give. */
import test from 'ava'

import { addresses, createLab, waitFor } from '../../lab/index.js'
import type { Host, Lab } from '../../lab/index.js'
import { leaveDescriptors } from '../fixtures/descriptors.js'
import { permitted, startFaithd } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { type End, Sockets } from '../fixtures/sockets.js'

/**
 * Addresses of the server. Which of them the client dials decides which of its own it dials from: its only
 * one, another one of the same /64, or one of another /64.
 */
const from = {
  itself: addresses.server,
  neighbour: addresses.serverSecond,
  stranger: '198.51.100.4',
} as const
const neighbour = '2001:db8:1::22'
const stranger = '2001:db8:9::2'

let lab: Lab
let client: Sockets
let server: Sockets

test.before(async () => {
  lab = await createLab()
  await ip(lab.client, `addr add ${neighbour}/128 dev eth0 nodad`)
  await ip(lab.client, `addr add ${stranger}/128 dev eth0 nodad`)
  await ip(lab.router, `route add ${stranger}/128 via ${addresses.client}`)
  await ip(lab.server, `addr add ${from.stranger}/24 dev eth0`)
  client = Sockets.of(lab.client)
  server = Sockets.of(lab.server)
})

test.after.always(() => lab.close())

async function ip(host: Host, command: string): Promise<void> {
  const { code, stderr } = await host.run('ip', command.split(' '))
  if (code !== 0) throw new Error(`ip ${command}: ${stderr}`)
}

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

/** Refused; or, where its SYN came before others had used up the limit, connected and reset at once. */
function turnedAway({ history }: End): boolean {
  return /^(ECONNREFUSED|(connected,)?ECONNRESET)$/.test(history.join())
}

let ports = 7400

/** A port that the server listens to, and what dialling it through faithd is like. */
async function busyPort(faithd: Faithd) {
  ports += 1
  const port = ports
  const listening = await server.listen(port)
  return {
    listening,
    port,
    dial: (ipv4: string = from.itself) => client.dial(faithd.address(ipv4), port),
    // How it ended for each client: one that missed the first answer, because its neighbour was still being
    // resolved, has asked again.
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

  test(`beyond the sessions there may be a client is refused, and one that ends makes room${mode}`, async (t) => {
    const faithd = await faithdWith('--max-sessions', '2', ...args)
    const { listening, dial, reasons } = await busyPort(faithd)
    const first = dial()
    await first.sees('connected')
    const [far, second] = [await listening.accept(), dial(from.stranger)]
    await listening.accept()

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

test('the sessions of one client are limited, and those of another are not its business', async (t) => {
  const faithd = await faithdWith('--max-sessions-per-client', '2')
  const { listening, dial, reasons } = await busyPort(faithd)
  const first = dial()
  await first.sees('connected')
  const far = await listening.accept()
  // An address of the same /64 is the same client.
  await dial(from.neighbour).sees('connected')
  await listening.accept()
  t.is(await dial().outcome(), 'ECONNREFUSED')
  t.is(await dial(from.neighbour).outcome(), 'ECONNREFUSED')
  for (let count = 0; count < 2; count += 1) {
    t.is(await dial(from.stranger).outcome(), 'connected')
    await listening.accept()
  }
  t.is(await dial(from.stranger).outcome(), 'ECONNREFUSED')
  first.says('still here')
  await far.hears('still here')

  first.ends()
  far.ends()
  await waitFor('the first session to end', () => reasons().includes('closed'))
  t.is(await dial(from.neighbour).outcome(), 'connected')
  await listening.accept()
  t.is(await dial().outcome(), 'ECONNREFUSED')
})

test('how much of an address makes a client is a setting', async (t) => {
  const args = ['--max-sessions-per-client', '1', '--client-prefix-length', '128']
  const { listening, dial } = await busyPort(await faithdWith(...args))
  for (const ipv4 of Object.values(from)) {
    t.is(await dial(ipv4).outcome(), 'connected')
    await listening.accept()
    t.is(await dial(ipv4).outcome(), 'ECONNREFUSED')
  }
})

test('a client that dials too often is refused, and is let in again when it has waited', async (t) => {
  const faithd = await faithdWith('--max-rate-per-client', '3')
  const { listening, dial, reasons } = await busyPort(faithd)
  const ends = Array.from({ length: 60 }, () => dial())
  await Promise.all(ends.map((end) => end.outcome()))
  const served = () => ends.filter((end) => !turnedAway(end))
  await waitFor('the server to see the others', () => listening.accepted === served().length)
  // Three, and three more for every second that it took to dial.
  t.true(listening.accepted >= 3 && listening.accepted < 30, `${listening.accepted}`)
  for (const { history } of served()) t.deepEqual(history, ['connected'])
  t.is(await dial(from.stranger).outcome(), 'connected')
  await waitFor('it to be let in', async () => (await dial().outcome()) === 'connected')
  await waitFor('a refusal to be logged', () => reasons().length > 0)
  t.true(reasons().every((reason) => reason === 'limit'))
})

test('without limits nobody is refused', async (t) => {
  const { dial } = await busyPort(await faithdWith())
  const outcomes = await Promise.all(Array.from({ length: 60 }, () => dial().outcome()))
  t.deepEqual(new Set(outcomes), new Set(['connected']))
})

for (const [mode, args] of modes) {
  test(`out of descriptors, faithd loses no session, says so once and recovers by itself${mode}`, async (t) => {
    const faithd = await faithdWith(...args)
    const { listening, dial } = await busyPort(faithd)
    // From here on a session needs no descriptors but its own.
    const warm = dial()
    await warm.sees('connected')
    // A client that is answered first may be connected before its server is.
    await waitFor('its server to have it', () => listening.accepted === 1)
    await leaveDescriptors(lab.router, faithd.pid, 12)

    const clients = Array.from({ length: 100 }, () => dial())
    await Promise.all(clients.map((end) => end.outcome()))
    // Sessions in good order, half of the descriptors each, and no more of them come.
    const heard = async () => {
      for (; greeted < listening.accepted; greeted += 1) (await listening.accept()).says('welcome')
      const texts = await Promise.all(
        [warm, ...clients].map(async (end) => (await end.status()).text),
      )
      return texts.filter((text) => text === 'welcome').length
    }
    let greeted = 0
    // Whoever is connected after the server has one there; otherwise those wait that there is no room for.
    const connected = [warm, ...clients].filter(({ history }) => history[0] === 'connected').length
    const room = args.length === 0 ? connected : 4
    await waitFor(
      'those to be served that there is room for',
      async () => (await heard()) >= room,
      {
        interval: 200,
      },
    )
    // What was established stays so.
    const lost = clients.filter(({ history }) => {
      return history[0] === 'connected' && history.includes('end')
    })
    t.deepEqual(lost, [])
    t.deepEqual(warm.history, ['connected'])

    for (const end of [warm, ...clients]) end.resets()
    await waitFor('it to be served again', async () => (await dial().outcome()) === 'connected')
    const late = dial()
    await late.sees('connected')
    late.says('at last')
    t.true(faithd.process.running)
    const told = () => faithd.log.filter(({ msg }) => msg.includes('descriptors')).length
    await waitFor('it to be said', () => told() > 0)
    t.is(told(), 1)
  })
}
