/** writeUrgent() sends an urgent byte in its place, or says that it is an ordinary one. */
import { once } from 'node:events'
import { connect, createServer, type Server, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import { writeUrgent } from '../index.js'
import { CapturedPlace } from './fixtures/places.js'

/** A socket to write to, and its peer, whose socket leaves urgent bytes out of the stream as Linux does by default. */
interface Pair {
  socket: Socket
  peer: Socket
}

async function plain(t: ExecutionContext): Promise<Pair> {
  const server: Server = createServer({ pauseOnConnect: true })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const socket = connect({ port, host: '127.0.0.1' })
  const [peer] = (await once(server, 'connection')) as [Socket]
  if (socket.connecting) await once(socket, 'connect')
  return ending(t, { socket, peer }, () => server.close())
}

async function captured(t: ExecutionContext): Promise<Pair> {
  const place = await CapturedPlace.create({ pauseOnConnect: true })
  const taken = place.listener.connections().next()
  const peer = place.dial()
  const { value: socket } = await taken
  if (socket === undefined) throw new Error('the listener is closed')
  return ending(t, { socket, peer }, () => place.close())
}

function ending(t: ExecutionContext, pair: Pair, close: () => void): Pair {
  t.teardown(() => {
    for (const one of [pair.socket, pair.peer]) one.destroy()
    close()
  })
  return pair
}

/** Everything that arrives by the end of the stream. */
async function heard(peer: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of peer) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

for (const [kind, pair] of Object.entries({ 'a captured': captured, 'another connected': plain })) {
  test(`the last byte of ${kind} socket's data is urgent`, async (t) => {
    const { socket, peer } = await pair(t)
    socket.write('before ')
    t.true(writeUrgent(socket, Buffer.from('the mark!')))
    socket.end(' after')
    t.is(await heard(peer), 'before the mark after')
  })
}

test('one byte alone is urgent', async (t) => {
  const { socket, peer } = await plain(t)
  t.true(writeUrgent(socket, Uint8Array.of(0x21)))
  socket.end('after')
  t.is(await heard(peer), 'after')
})

test('behind bytes that wait in Node, the byte keeps its place and is ordinary', async (t) => {
  const { socket, peer } = await plain(t)
  const block = 'x'.repeat(1 << 20)
  let blocks = 0
  while (socket.writableLength === 0) {
    socket.write(block)
    blocks += 1
  }
  t.false(writeUrgent(socket, Buffer.from('the mark!')))
  socket.end(' after')
  t.is(await heard(peer), `${block.repeat(blocks)}the mark! after`)
})

test('on a corked socket the byte keeps its place and is ordinary', async (t) => {
  const { socket, peer } = await plain(t)
  socket.cork()
  t.false(writeUrgent(socket, Buffer.from('the mark!')))
  socket.uncork()
  socket.end(' after')
  t.is(await heard(peer), 'the mark! after')
})

test('a reset connection is an error of the socket', async (t) => {
  const { socket, peer } = await plain(t)
  const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
  peer.resetAndDestroy()
  while (!socket.destroyed) {
    writeUrgent(socket, Uint8Array.of(0x21))
    await new Promise(setImmediate)
  }
  const [{ code }] = await failed
  t.true(['ECONNRESET', 'EPIPE'].includes(code ?? ''), code)
})

const byte = Uint8Array.of(0x21)

test('arguments that are no socket, or no bytes, are refused', async (t) => {
  const { socket } = await plain(t)
  for (const [first, second] of [
    [undefined, byte],
    [{}, byte],
    [socket, undefined],
    [socket, 'text'],
    [socket, new Uint8Array()],
  ] as [never, never][]) {
    t.throws(() => writeUrgent(first, second), { code: 'ERR_FAITH_ARGUMENT' })
  }
})

test('sockets that cannot be written are refused', async (t) => {
  const refuses = (socket: Socket, message: RegExp): void => {
    t.throws(() => writeUrgent(socket, byte), { code: 'ERR_FAITH_SOCKET', message })
  }
  refuses(new Socket(), /it is closed/)
  const connecting = new Socket().connect(1, '127.0.0.1')
  connecting.on('error', () => undefined)
  refuses(connecting, /not connected yet/)

  const secured = await plain(t)
  const secure = new TLSSocket(secured.socket)
  secure.on('error', () => undefined)
  refuses(secure, /not plain TCP/)

  const ended = await plain(t)
  ended.socket.end()
  refuses(ended.socket, /ended writing/)

  const destroyed = await plain(t)
  destroyed.socket.destroy()
  refuses(destroyed.socket, /closed/)
})
