/** Tests examples/recording-relay.mjs. */
import { createHash, randomFillSync } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { addresses, captured, createLab, waitFor } from '../../lab/index.js'
import { type Example, startExample } from '../fixtures/examples.js'
import { Sockets } from '../fixtures/sockets.js'

const lab = await createLab()
test.after.always(() => lab.close())

const client = Sockets.of(lab.client)
const servers = Sockets.of(lab.server)

interface Record {
  name: string
  client: { address: string; port: number }
  destination: { address: string; port: number; ipv4: string }
  ended: string
}

let runs = 0

/** Starts the relay with a new folder. */
async function start(networks: readonly string[] = ['198.51.100.0/24']) {
  runs += 1
  const directory = join(lab.directory, `records${runs}`)
  const relay = await startExample(lab.router, 'recording-relay', [directory, ...networks])
  const file = (name: string, way: 'up' | 'down') => join(directory, `${name}.${way}`)
  return { relay, directory, file, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() }
}

const recordOf = (relay: Example, port: number) =>
  relay.logs<Record>(({ destination }) => destination?.port === port)

let ports = 7800

/** A connection through the relay, with both ends at hand. */
async function connection() {
  ports += 1
  const listening = await servers.listen(ports)
  const near = await client.connect(captured(), ports)
  return { port: ports, near, far: await listening.accept() }
}

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')

/** Sends one file and receives another at the same time, as client (`connect`) or server (`listen`) at ADDRESS PORT. */
const exchange = `
  const [as, host, port, sent, received] = process.argv.slice(1)
  const { createReadStream, createWriteStream } = require('node:fs')
  const exchange = (socket) => {
    createReadStream(sent).pipe(socket)
    socket.pipe(createWriteStream(received)).on('finish', () => console.log('received'))
  }
  if (as === 'connect') exchange(require('node:net').connect({ host, port, allowHalfOpen: true }))
  else require('node:net').createServer({ allowHalfOpen: true }, exchange).listen(port, host, () => console.log('listening'))`

test.serial('both directions arrive and are recorded byte for byte, at once', async (t) => {
  await using run = await start()
  const sent = {
    up: randomFillSync(Buffer.alloc(50_000_000)),
    down: randomFillSync(Buffer.alloc(30_000_001)),
  }
  const path = (name: string) => join(lab.directory, name)
  for (const way of ['up', 'down'] as const) writeFileSync(path(way), sent[way])

  const serving = [
    '-e',
    exchange,
    'listen',
    addresses.server,
    '7000',
    path('down'),
    path('up.received'),
  ]
  const server = lab.server.spawn(process.execPath, serving)
  await server.line(/^listening$/)
  const dialling = [
    '-e',
    exchange,
    'connect',
    captured(),
    '7000',
    path('up'),
    path('down.received'),
  ]
  const dialler = lab.client.spawn(process.execPath, dialling)
  await Promise.all([server.line(/^received$/), dialler.line(/^received$/)])

  const { name, ended } = await recordOf(run.relay, 7000)
  t.is(ended, 'closed')
  for (const way of ['up', 'down'] as const) {
    const hash = sha256(sent[way])
    t.is(sha256(readFileSync(path(`${way}.received`))), hash, `received ${way}`)
    t.is(sha256(readFileSync(run.file(name, way))), hash, `recorded ${way}`)
  }
  t.like(await run.relay.process.stop('SIGTERM'), { code: 0 })
})

test.serial('each connection has its own files, and a line that names its ends', async (t) => {
  await using run = await start()
  const both = [await connection(), await connection()]
  for (const { port, near, far } of both) {
    near.says(`question ${port}`)
    await far.hears(`question ${port}`)
    far.says(`answer ${port}`)
    await near.hears(`answer ${port}`)
    near.ends()
    far.ends()
    const { name, client: guest, destination, ended } = await recordOf(run.relay, port)
    t.deepEqual(guest, { address: addresses.client, port: await near.port() })
    t.like(destination, { port, ipv4: addresses.server })
    t.is(ended, 'closed')
    t.is(readFileSync(run.file(name, 'up'), 'latin1'), `question ${port}`)
    t.is(readFileSync(run.file(name, 'down'), 'latin1'), `answer ${port}`)
    t.is(statSync(run.file(name, 'up')).mode & 0o777, 0o600, 'only its owner may read it')
  }
  t.is(readdirSync(run.directory).length, 4)
})

test.serial('a half-close is passed on, from either side', async (t) => {
  await using run = await start()
  for (const whose of ['near', 'far'] as const) {
    const { port, near, far } = await connection()
    const [first, other] = whose === 'near' ? [near, far] : [far, near]
    first.says('that is all')
    first.ends()
    await other.sees('end')
    await other.hears('that is all')
    other.says('not yet for me')
    await first.hears('not yet for me')
    other.ends()
    await first.sees('end')
    t.is((await recordOf(run.relay, port)).ended, 'closed')
  }
})

test.serial('an abort is passed on as one, and the bytes before it are recorded', async (t) => {
  await using run = await start()
  for (const whose of ['near', 'far'] as const) {
    const { port, near, far } = await connection()
    const [first, other] = whose === 'near' ? [near, far] : [far, near]
    near.says('question')
    await far.hears('question')
    far.says('answer')
    await near.hears('answer')
    first.resets()
    await other.sees('ECONNRESET')
    t.false(other.history.includes('end'))
    const { name, ended } = await recordOf(run.relay, port)
    t.is(ended, 'ECONNRESET')
    t.is(readFileSync(run.file(name, 'up'), 'latin1'), 'question')
    t.is(readFileSync(run.file(name, 'down'), 'latin1'), 'answer')
  }
})

test.serial('an aborted flood is recorded up to the last byte that arrived', async (t) => {
  await using run = await start()
  const { port, near, far } = await connection()
  near.floods()
  await waitFor('some of it', async () => (await far.status()).received > 20_000_000)
  near.resets()
  // Node decides which of both the server sees when a reset comes right behind data.
  await waitFor('the end of the flood', () => far.history.length > 1)
  far.ends()
  const { name } = await recordOf(run.relay, port)
  const recorded = readFileSync(run.file(name, 'up'))
  t.true(recorded.length >= (await far.status()).received)
  // The client floods with this text, repeated.
  const piece = Buffer.alloc(64 * 1024, 'faith')
  const pieces = Math.ceil(recorded.length / piece.length)
  const sent = Buffer.concat(Array.from({ length: pieces }, () => piece)).subarray(
    0,
    recorded.length,
  )
  t.is(sha256(recorded), sha256(sent))
})

test.serial('a server that does not read stops the client, and the record', async (t) => {
  await using _ = await start()
  const { near, far } = await connection()
  far.pauses()
  near.floods()
  await near.isBlocked()
  far.resumes()
  await waitFor('the transfer to continue', async () => (await far.status()).received > 20_000_000)
  t.pass()
})

test.serial('without a server the client is reset, and nothing is recorded', async (t) => {
  await using run = await start()
  const near = client.dial(captured(), 7)
  await near.sees('ECONNRESET')
  const { name, ended } = await recordOf(run.relay, 7)
  t.is(ended, 'ECONNREFUSED')
  t.is(readFileSync(run.file(name, 'up'), 'latin1'), '')
})

test.serial(
  'denied destinations are not relayed, such as the router’s own addresses',
  async (t) => {
    await using run = await start(['198.51.100.3', '203.0.113.0/24'])
    const own = await Sockets.of(lab.router).listen(7901)
    const listening = await servers.listen(7902)
    for (const [ipv4, port] of [
      ['127.0.0.1', 7901],
      [addresses.routerIPv4, 7901],
      [addresses.server, 7902],
    ] as const) {
      const near = client.dial(captured(ipv4), port)
      await near.sees('ECONNRESET')
    }
    await waitFor(
      'three lines',
      () => run.relay.log.filter(({ ended }) => ended === 'not permitted').length === 3,
    )
    t.is(own.accepted + listening.accepted, 0)
    t.deepEqual(readdirSync(run.directory), [])

    const near = await client.connect(captured(addresses.serverSecond), 7902)
    await (await listening.accept()).sees('accepted')
    near.ends()
  },
)

test.serial('on a full disk both sides are reset', async (t) => {
  const directory = join(lab.directory, 'small')
  const script = 'mkdir "$0" && mount -t tmpfs -o size=4k tmpfs "$0" && exec "$@"'
  const wrap = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, directory]
  const args = [directory, '198.51.100.0/24']
  await using relay = await startExample(lab.router, 'recording-relay', args, { wrap })
  const { port, near, far } = await connection()
  near.says('more than a page'.repeat(1000))
  await Promise.all([near.sees('ECONNRESET'), far.sees('ECONNRESET')])
  t.false(far.history.includes('end'))
  t.is((await far.status()).received, 0, 'nothing passes unrecorded')
  t.is((await recordOf(relay, port)).ended, 'ENOSPC')
})

test.serial('an ending relay resets clients and servers, and keeps the records', async (t) => {
  await using run = await start()
  const { port, near, far } = await connection()
  near.says('question')
  await far.hears('question')
  t.like(await run.relay.process.stop('SIGINT'), { code: 0 })
  await Promise.all([near.sees('ECONNRESET'), far.sees('ECONNRESET')])
  const { name } = await recordOf(run.relay, port)
  t.is(readFileSync(run.file(name, 'up'), 'latin1'), 'question')
  t.true(existsSync(run.file(name, 'down')))
})
