/** A server attached to a listener treats given connections like those it accepts itself. */
import { execFileSync } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import * as http from 'node:http'
import { BlockList, createServer, type Server, type Socket } from 'node:net'
import test from 'ava'
import { waitFor } from '../lab/index.js'
import { alike, bothAgree, CapturedPlace, type Place } from './fixtures/places.js'

/** A connection of the place's server, with its client. */
async function connection(place: Place, server: Server) {
  const accepted = once(server, 'connection')
  const client = place.dial()
  const [socket] = (await accepted) as [Socket]
  return { socket, client }
}

function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })
}

alike(
  'a server knows its sockets, and they know their server',
  [true, true, 1, 0],
  async (place) => {
    const server = createServer()
    await place.serve(server)
    const { socket, client } = await connection(place, server)
    const { server: known, _server: counted } = socket as unknown as Record<string, unknown>
    const during = await connections(server)
    socket.destroy()
    client.destroy()
    return [known === server, counted === server, during, await connections(server)]
  },
)

/** SO_KEEPALIVE, TCP_KEEPIDLE and TCP_NODELAY of a socket, as a child process that inherits it reads them. */
function keepAliveOf(socket: Socket): string {
  const { fd } = Reflect.get(socket, '_handle') as { fd: number }
  const ask =
    'import socket; s = socket.socket(fileno=3); print(s.getsockopt(1, 9), s.getsockopt(6, 4), s.getsockopt(6, 1))'
  const stdio = ['ignore', 'pipe', 'inherit', fd] as const
  return execFileSync('python3', ['-c', ask], { stdio: [...stdio], encoding: 'utf8' }).trim()
}

const servers: Record<string, (options: object) => Server> = {
  net: (options) => createServer(options),
  http: (options) => http.createServer(options),
}

for (const [kind, create] of Object.entries(servers)) {
  test.serial(`sockets of a ${kind} server have its keepAlive and noDelay`, async (t) => {
    const options = { keepAlive: true, keepAliveInitialDelay: 77_000, noDelay: true }
    const own = await bothAgree(t, async (place) => {
      const server = create(options)
      await place.serve(server)
      const { socket, client } = await connection(place, server)
      const found = keepAliveOf(socket)
      client.destroy()
      socket.destroy()
      return found
    })
    t.is(own, '1 77 1')
  })
}

alike('a socket has its server’s highWaterMark', [1_000_000, 1_000_000], async (place) => {
  const server = createServer({ highWaterMark: 1_000_000 })
  await place.serve(server)
  const { socket, client } = await connection(place, server)
  client.destroy()
  socket.destroy()
  return [socket.readableHighWaterMark, socket.writableHighWaterMark]
})

alike('a socket has its server’s pauseOnConnect', [true, 0, 'first words'], async (place) => {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
  await place.serve(server)
  const { socket, client } = await connection(place, server)
  await new Promise((resolve) => client.end('first words', () => resolve(undefined)))
  await new Promise(setImmediate)
  const [isPaused, bytes] = [socket.isPaused(), socket.bytesRead]
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += `${chunk}`))
  const ended = once(socket, 'end')
  socket.resume()
  await ended
  socket.destroy()
  return [isPaused, bytes, text]
})

alike('a server drops connections beyond maxConnections', [2, true, 6], async (place) => {
  const server = createServer((socket) => socket.on('error', () => undefined))
  server.maxConnections = 2
  await place.serve(server)
  const two = [await connection(place, server), await connection(place, server)]
  const dropped = once(server, 'drop')
  const third = place.dial().resume()
  let port: number | undefined
  third.once('connect', () => (port = third.localPort))
  const [drop] = (await dropped) as [{ remotePort: number; remoteAddress: string }]
  await once(third, 'close')
  const during = await connections(server)
  for (const { client } of two) client.destroy()
  await waitFor('the connections to go', async () => {
    for (const { socket } of two) socket.destroy()
    return (await connections(server)) === 0
  })
  const last = await connection(place, server)
  last.client.destroy()
  last.socket.destroy()
  return [during, drop.remotePort === port, Object.keys(drop).length]
})

test.serial('a client on its blockList is refused, where Node has block lists', async (t) => {
  const blockList = new BlockList()
  blockList.addAddress('2001:db8::1', 'ipv6')
  const place = await CapturedPlace.create()
  const server = createServer({ blockList } as object, () => t.fail('it was not blocked'))
  // Sets the property by hand, because Node 20 ignores the option.
  Object.assign(server, { blockList })
  await place.serve(server)
  await once(place.dial().resume(), 'close')
  t.is(await connections(server), 0)
  place.close()
})

alike('subscribers of net.server.socket see its sockets', [true, 1], async (place) => {
  const server = createServer()
  await place.serve(server)
  const heard: unknown[] = []
  const hear = (message: unknown): void => void heard.push((message as { socket: Socket }).socket)
  channel('net.server.socket').subscribe(hear)
  const { socket, client } = await connection(place, server)
  await waitFor('the socket to be published', () => heard.length > 0)
  channel('net.server.socket').unsubscribe(hear)
  client.destroy()
  socket.destroy()
  return [heard[0] === socket, heard.length]
})

const each = ['connection', 'tick', 'microtask', 'tick after']

alike(
  'microtasks and ticks of a handler run before the next connection',
  [...each, ...each, ...each, ...each],
  async (place) => {
    const log: string[] = []
    const server = createServer((socket) => {
      log.push('connection')
      socket.on('error', () => undefined).destroy()
      process.nextTick(() => log.push('tick'))
      void Promise.resolve()
        .then(() => log.push('microtask'))
        .then(() => process.nextTick(() => log.push('tick after')))
    })
    await place.serve(server)
    await place.dialTogether(4)
    await waitFor('sixteen entries', () => log.length >= 16)
    return log
  },
)

alike('close() waits for its connections', ['closing', 'closed', 'no error', 1], async (place) => {
  const server = createServer({ allowHalfOpen: true })
  await place.serve(server)
  const { socket, client } = await connection(place, server)
  socket.on('error', () => undefined).resume()
  let closes = 0
  server.on('close', () => (closes += 1))
  let state = 'closing'
  const closed = new Promise<string>((resolve) => {
    server.close((error) => {
      state = 'closed'
      resolve(error === undefined ? 'no error' : error.message)
    })
  })
  client.write('still here')
  await once(socket, 'data')
  const during = state
  client.destroy()
  socket.destroy()
  const error = await closed
  return [during, state, error, closes]
})

alike('a server that goes on does not emit close between two connections', 0, async (place) => {
  const server = createServer()
  await place.serve(server)
  let closes = 0
  server.on('close', () => (closes += 1))
  for (let turn = 0; turn < 3; turn += 1) {
    const { socket, client } = await connection(place, server)
    socket.resume()
    client.destroy()
    socket.destroy()
    await once(socket, 'close')
    await new Promise(setImmediate)
  }
  return closes
})

test.serial('a socket that another handler has destroyed is not counted', async (t) => {
  const place = await CapturedPlace.create()
  const server = createServer()
  place.listener.on('connection', (socket) => socket.destroy())
  await place.serve(server)
  const { client } = await connection(place, server)
  client.destroy()
  t.is(await connections(server), 0)
  place.close()
})

test.serial('a closed server still serves while it is attached, and closes again', async (t) => {
  const place = await CapturedPlace.create()
  const server = createServer()
  await place.serve(server)
  let closes = 0
  server.on('close', () => (closes += 1))
  for (const expected of [1, 2]) {
    const { socket, client } = await connection(place, server)
    const closed = once(server, 'close')
    server.close()
    client.destroy()
    socket.destroy()
    await closed
    t.is(closes, expected)
  }
  place.close()
})

test.serial('a server that also listens closes after both have ended', async (t) => {
  const place = await CapturedPlace.create()
  const server = createServer()
  await place.serve(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { socket, client } = await connection(place, server)
  let isClosed = false
  server.close(() => (isClosed = true))
  await new Promise(setImmediate)
  t.false(isClosed)
  client.destroy()
  socket.destroy()
  await waitFor('the server to close', () => isClosed)
  place.close()
})

/** The error code that `close()` passes to its callback. */
async function closeCode(server: Server): Promise<string | undefined> {
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.close(resolve)
  })
  return error?.code
}

test.serial(
  'a detached server closes after its connections, and is then Node’s own again',
  async (t) => {
    const place = await CapturedPlace.create()
    const other = await CapturedPlace.create()
    const server = createServer()
    const close = server.close
    let closes = 0
    server.on('close', () => (closes += 1))
    const attachment = place.listener.attach(server)
    const elsewhere = other.listener.attach(server)
    const { socket, client } = await connection(place, server)

    attachment.detach()
    attachment.detach()
    const gone = once(socket, 'close')
    client.destroy()
    socket.destroy()
    await gone
    t.is(await closeCode(server), undefined, 'the server is attached elsewhere')
    t.is(closes, 1)

    const last = await connection(other, server)
    elsewhere.detach()
    const closed = closeCode(server)
    last.client.destroy()
    last.socket.destroy()
    t.is(await closed, undefined, 'the server had a connection')
    t.is(await closeCode(server), 'ERR_SERVER_NOT_RUNNING')
    t.is(server.close, close)

    const again = place.listener.attach(server)
    t.is(await closeCode(server), undefined, 'the server is attached again')
    again.detach()
    t.is(await closeCode(server), 'ERR_SERVER_NOT_RUNNING')
    place.close()
    other.close()
  },
)
