import { fileURLToPath } from 'node:url'
import test from 'ava'

import { addresses, transfer, waitFor } from '../../lab/index.js'
import { permitted, startFaithd, startWrapped } from '../fixtures/faithd.js'
import type { Faithd } from '../fixtures/faithd.js'
import { socketsLab } from '../fixtures/sockets-lab.js'

const withoutRaw = fileURLToPath(new URL('../programs/relay-without-raw.py', import.meta.url))
const MiB = 2 ** 20

const { lab, client, server } = await socketsLab()

test.before(async () => {
  await lab.server.peer()
})

let places = 0

/** Starts a faithd for this test. */
async function start(...args: string[]): Promise<Faithd> {
  places += 1
  const place = { name: `shutdown${places}`, prefix: `3fff:${places}::` }
  return await startFaithd(lab, [...permitted, ...args], 'by itself', place)
}

let ports = 7300

/** A session on a port of its own, with both ends at hand; the client has received `hello`. */
async function established(faithd: Faithd) {
  ports += 1
  const port = ports
  const listening = await server.listen(port, { greet: 'hello' })
  const near = await client.connect(faithd.address(), port)
  await near.hears('hello')
  return { near, far: await listening.accept(), port, listening }
}

/**
 * Ties a device of the router to a faithd's private namespace: the device is one end of a pair whose other end is
 * inside, so it goes with the namespace.
 */
async function tie({ name, privateNamespaces: [inside = ''] }: Faithd): Promise<string> {
  const tied = `${name}-ns`
  const peer = ['peer', 'name', 'tied', 'netns', inside]
  const { stderr } = await lab.router.run('ip', ['link', 'add', tied, 'type', 'veth', ...peer])
  if (stderr !== '') throw new Error(stderr)
  return tied
}

/** The remaining parts of a faithd in the router: interface, route, namespace and process. */
async function traces({ name, pid }: Faithd, tied: string): Promise<string[]> {
  const found = await Promise.all([
    lab.router.run('ip', ['-o', 'link', 'show', name]),
    lab.router.run('ip', ['-6', 'route', 'show', 'dev', name]),
    lab.router.run('ip', ['-o', 'link', 'show', tied]),
    lab.router.run('ps', ['-o', 'pid=', '-p', String(pid)]),
  ])
  return found.map(({ stdout }) => stdout.trim()).filter((line) => line !== '')
}

async function leavesNothing(faithd: Faithd, tied: string): Promise<void> {
  await waitFor('everything to be gone', async () => (await traces(faithd, tied)).length === 0)
}

for (const [signal, ipv4] of [
  ['SIGINT', addresses.server],
  ['SIGTERM', addresses.serverSecond],
] as const) {
  test(`${signal} ends faithd with 0, and leaves nothing`, async (t) => {
    const faithd = await start()
    const tied = await tie(faithd)
    t.is((await traces(faithd, tied)).length, 4)
    const { near, far } = await established(faithd)
    near.ends()
    await far.sees('end')
    far.ends()
    await near.sees('end')

    faithd.process.kill(signal)

    t.deepEqual(await faithd.end(), { code: 0, signal: null })
    await leavesNothing(faithd, tied)
    t.true(faithd.log.some(({ msg }) => msg.startsWith(`${signal}: no longer capturing`)))
  })

  test(`after ${signal} a transfer continues to its end, within --drain`, async (t) => {
    const faithd = await start('--drain', '60')
    const bytes = 256 * MiB
    const moving = transfer(lab.client, { address: faithd.address(ipv4), up: bytes, down: bytes })
    await waitFor('the transfer to be under way', async () => {
      const { stdout } = await lab.server.run('ss', ['-Htni', 'sport = :7000', 'src', ipv4])
      return /\bbytes_received:\d{6}/.test(stdout)
    })

    faithd.process.kill(signal)

    const { up, down } = await moving
    t.like(up, { bytes, received: up.sent })
    t.like(down, { bytes, received: down.sent })
    t.deepEqual(await faithd.end(), { code: 0, signal: null })
    const told = faithd.log.findIndex(({ msg }) => msg.startsWith(signal))
    const ended = faithd.log.findIndex(({ session }) => session?.reason === 'closed')
    t.true(told >= 0 && ended > told, 'the transfer ended after the signal')
  })

  test(`a second ${signal} ends faithd at once`, async (t) => {
    const faithd = await start('--drain', '600')
    const tied = await tie(faithd)
    await established(faithd)
    faithd.process.kill(signal)
    await faithd.process.line(/draining/)
    faithd.process.kill(signal)
    const code = signal === 'SIGINT' ? 130 : 143
    t.deepEqual(await faithd.end(), { code, signal: null })
    t.true(faithd.log.some(({ msg }) => msg.startsWith(`${signal} again: `)))
    await leavesNothing(faithd, tied)
  })
}

test('while faithd drains, sessions go on and new connections are refused', async (t) => {
  const faithd = await start('--drain', '600')
  const { near, far, port, listening } = await established(faithd)
  faithd.process.kill('SIGTERM')
  await faithd.process.line(/draining/)

  await waitFor('new connections to be refused', async () => {
    const late = client.dial(faithd.address(), port)
    const outcome = await late.outcome()
    late.resets()
    return outcome === 'ECONNREFUSED'
  })
  const taken = listening.accepted
  t.is(await client.dial(faithd.address(), port).outcome(), 'ECONNREFUSED')
  t.is(listening.accepted, taken)
  near.says('still')
  await far.hears('still')
  far.says('there')
  await near.hears('hellothere')
  t.true(faithd.process.running)

  near.ends()
  await far.sees('end')
  far.ends()
  await near.sees('end')
  t.deepEqual(await faithd.end(), { code: 0, signal: null })
})

test('a session that does not end within --drain is reset on both sides', async (t) => {
  const faithd = await start('--drain', '0.3')
  const { near, far, port } = await established(faithd)
  near.says('unfinished')
  await far.hears('unfinished')
  faithd.process.kill('SIGTERM')
  await near.sees('ECONNRESET')
  await far.sees('ECONNRESET')
  t.deepEqual(await faithd.end(), { code: 0, signal: null })
  t.like(await faithd.sessionTo(port), { bytesUp: 10, bytesDown: 5, reason: 'aborted' })
})

test('kill -9 leaves no interface, route, namespace or process, and faithd can start again', async (t) => {
  const place = { name: 'killed0', prefix: '3fff:dead::' }
  const faithd = await startFaithd(lab, permitted, 'by itself', place)
  const tied = await tie(faithd)
  await established(faithd)
  t.is((await traces(faithd, tied)).length, 4)

  faithd.process.kill('SIGKILL')

  t.deepEqual(await faithd.end(), { code: null, signal: 'SIGKILL' })
  await leavesNothing(faithd, tied)
  const again = await startFaithd(lab, permitted, 'by itself', place)
  const { near, far } = await established(again)
  near.says('again')
  await far.hears('again')
})

test('a transfer cut short by kill -9 does not look complete to the server', async (t) => {
  const faithd = await start()
  const { near, far } = await established(faithd)
  near.says('half a')
  await far.hears('half a')
  faithd.process.kill('SIGKILL')
  await far.sees('ECONNRESET')
  t.false(far.history.includes('end'))
})

test('when its interface is deleted, faithd ends with 69 and logs the reason', async (t) => {
  const faithd = await start('--drain', '600')
  const tied = await tie(faithd)
  const { far } = await established(faithd)
  await lab.router.run('ip', ['link', 'del', faithd.name])
  t.deepEqual(await faithd.end(), { code: 69, signal: null })
  const fatal = faithd.log.filter(({ level }) => level === 'fatal')
  t.is(fatal.length, 1)
  t.regex(fatal[0]?.msg ?? '', new RegExp(`^${faithd.name}\\b.*deleted`))
  await far.sees('ECONNRESET')
  await leavesNothing(faithd, tied)
})

test('without raw sockets, faithd warns that clients of a deleted interface are not reset', async (t) => {
  const place = { name: 'untold0', prefix: '3fff:beef::' }
  const faithd = await startWrapped(lab, [withoutRaw], permitted, place)
  await established(faithd)
  await lab.router.run('ip', ['link', 'del', faithd.name])
  t.deepEqual(await faithd.end(), { code: 69, signal: null })
  const warned = faithd.log.filter(({ level }) => level === 'warn').map(({ msg }) => msg)
  t.true(warned.some((msg) => msg.startsWith('untold0: ') && msg.includes('CAP_NET_RAW')))
})
