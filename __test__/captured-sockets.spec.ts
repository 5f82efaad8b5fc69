/** Captured sockets read, write, end, fail and time out like Node's own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer, type Server, type ServerOpts, type Socket } from 'node:net'
import { finished, pipeline } from 'node:stream/promises'
import { buffer, text } from 'node:stream/consumers'
import { Transform } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../lab/index.js'
import { alike, type Place } from './fixtures/places.js'

interface Pair {
  server: Server
  socket: Socket
  client: Socket
}

/** A socket of the place and its client. */
async function pair(place: Place, options: ServerOpts = {}): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, ...options })
  await place.serve(server)
  const accepted = once(server, 'connection')
  const client = place.dial({ allowHalfOpen: true })
  const [socket] = (await accepted) as [Socket]
  return { server, socket, client }
}

/** The events of a socket, in order. */
function events(socket: Socket): string[] {
  const log: string[] = []
  for (const name of ['end', 'finish', 'timeout', 'close']) socket.on(name, () => log.push(name))
  socket.on('error', ({ code }: NodeJS.ErrnoException) => log.push(`error ${code}`))
  return log
}

/** Everything a stream receives until its end. The end does not destroy it. */
async function heardOf(socket: Socket): Promise<string> {
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += `${chunk}`)).resume()
  await once(socket, 'end')
  return heard
}

/** Waits until a socket is closed, with or without an error. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

alike(
  'a half-open socket answers after its client has ended',
  ['question', 'answer'],
  async (place) => {
    const { socket, client } = await pair(place)
    client.end('question')
    const heard = await heardOf(socket)
    socket.end('answer')
    return [heard, await text(client)]
  },
)

alike(
  'a socket without allowHalfOpen ends with its client',
  ['end', 'finish', 'close'],
  async (place) => {
    const { socket, client } = await pair(place, { allowHalfOpen: false })
    const log = events(socket)
    socket.resume()
    client.end()
    client.resume()
    await closed(socket)
    return log
  },
)

alike('a client can end before it sends anything', ['end', 'finish', 'close'], async (place) => {
  const { socket, client } = await pair(place)
  const log = events(socket)
  const ended = once(socket, 'end')
  client.end()
  socket.resume()
  await ended
  client.resume()
  socket.end()
  await closed(socket)
  return log
})

alike('an ended socket refuses writes', ['ERR_STREAM_WRITE_AFTER_END', 'first'], async (place) => {
  const { socket, client } = await pair(place)
  socket.end('first')
  const heard = text(client)
  const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
  socket.write('second')
  const [{ code }] = await failed
  return [code, await heard]
})

alike('a write after the client’s full close fails with EPIPE', ['EPIPE', true], async (place) => {
  const { socket, client } = await pair(place, { allowHalfOpen: false })
  socket.resume()
  client.resume()
  const ended = once(socket, 'end')
  client.end()
  await ended
  await finished(socket)
  const [{ code }] = await new Promise<[NodeJS.ErrnoException]>((resolve) => {
    socket.on('error', () => undefined)
    socket.write('too late', (error) => resolve([error as NodeJS.ErrnoException]))
  })
  return [code, socket.destroyed]
})

alike('pausing and resuming neither loses nor doubles bytes', 'abcdefghij', async (place) => {
  const { socket, client } = await pair(place)
  let heard = ''
  socket.on('data', (chunk: Buffer) => {
    heard += `${chunk}`
    socket.pause()
    setImmediate(() => socket.resume())
  })
  const ended = once(socket, 'end')
  for (const letter of 'abcdefghij') {
    client.write(letter)
    await new Promise(setImmediate)
  }
  client.end()
  await ended
  socket.destroy()
  return heard
})

alike('a socket with an encoding joins split characters', ['€', '漢'], async (place) => {
  const { socket, client } = await pair(place)
  socket.setEncoding('utf8')
  const chunks: string[] = []
  socket.on('data', (chunk: string) => chunks.push(chunk))
  const ended = once(socket, 'end')
  for (const byte of Buffer.from('€漢')) {
    const before = socket.bytesRead
    client.write(Buffer.of(byte))
    await waitFor('the byte', () => socket.bytesRead > before)
  }
  client.end()
  await ended
  socket.destroy()
  return chunks
})

alike('read() gives as many bytes as requested', ['ab', 'cd', 'e', null], async (place) => {
  const { socket, client } = await pair(place)
  const readable = once(socket, 'readable')
  client.end('abcde')
  await readable
  await waitFor('five bytes', () => socket.readableLength === 5)
  const pieces = [socket.read(2), socket.read(2), socket.read(2) ?? socket.read()] as Buffer[]
  const last = socket.read() as unknown
  socket.destroy()
  client.destroy()
  return [...pieces.map(String), last]
})

alike('unshifted bytes are read again', 'headbody', async (place) => {
  const { socket, client } = await pair(place)
  const first = once(socket, 'data')
  client.write('head')
  const [head] = (await first) as [Buffer]
  socket.pause()
  socket.removeAllListeners('data')
  socket.unshift(head)
  client.end('body')
  const heard = await heardOf(socket)
  socket.destroy()
  return heard
})

alike('bytesRead and bytesWritten count both directions', [5, 7, 5, 7], async (place) => {
  const { socket, client } = await pair(place)
  client.end('12345')
  await heardOf(socket)
  const during = [socket.bytesRead]
  socket.end('1234567')
  await text(client)
  await waitFor('the socket to close', () => socket.destroyed)
  return [...during, socket.bytesWritten, socket.bytesRead, client.bytesRead]
})

alike('corked writes leave together', ['abc', 1], async (place) => {
  const { socket, client } = await pair(place)
  const chunks: Buffer[] = []
  client.on('data', (chunk: Buffer) => chunks.push(chunk))
  const ended = once(client, 'end')
  socket.cork()
  for (const letter of 'abc') socket.write(letter)
  await new Promise(setImmediate)
  const none = chunks.length === 0
  socket.uncork()
  await waitFor('three bytes', () => Buffer.concat(chunks).length === 3)
  socket.end()
  await ended
  client.destroy()
  return [`${Buffer.concat(chunks)}`, none ? chunks.length : 0]
})

alike(
  'a client that does not read makes write() return false, then drain',
  [false, true],
  async (place) => {
    const { socket, client } = await pair(place)
    client.pause()
    const block = Buffer.alloc(1_000_000)
    let taken = true
    let blocks = 0
    while (taken) {
      taken = socket.write(block)
      blocks += 1
    }
    const drained = once(socket, 'drain')
    client.resume()
    await drained
    socket.end()
    const heard = client.bytesRead
    await once(client, 'end')
    client.destroy()
    return [taken, heard <= blocks * block.length && client.bytesRead === blocks * block.length]
  },
)

alike('a handler that destroys the socket gets no more data', ['data', 'close'], async (place) => {
  const { socket, client } = await pair(place)
  const log: string[] = []
  socket.on('data', () => {
    log.push('data')
    socket.destroy()
  })
  socket.on('end', () => log.push('end'))
  socket.on('close', () => log.push('close'))
  client.write('one')
  await closed(socket)
  client.destroy()
  return log
})

alike('a socket emits the error it is destroyed with', ['error MINE', 'close'], async (place) => {
  const { socket, client } = await pair(place)
  const log = events(socket)
  socket.destroy(Object.assign(new Error('mine'), { code: 'MINE' }))
  await closed(socket)
  client.destroy()
  return log
})

alike(
  'destroySoon() sends everything first',
  ['x'.repeat(300_000).length, 'finish', 'close'],
  async (place) => {
    const { socket, client } = await pair(place)
    const log = events(socket)
    socket.write('x'.repeat(300_000))
    socket.destroySoon()
    const { length } = await buffer(client)
    await waitFor('the socket to close', () => log.includes('close'))
    return [length, ...log]
  },
)

alike('a silent client causes a timeout, not an end', ['timeout'], async (place) => {
  const { socket, client } = await pair(place)
  const log = events(socket)
  socket.setTimeout(20)
  await once(socket, 'timeout')
  socket.setTimeout(0)
  const seen = [...log]
  client.destroy()
  socket.destroy()
  return seen
})

alike(
  'a reset is an error of a socket that reads or writes',
  ['error ECONNRESET', 'close'],
  async (place) => {
    const { socket, client } = await pair(place)
    const log = events(socket)
    socket.resume()
    client.resetAndDestroy()
    await closed(socket)
    return log
  },
)

alike('resetAndDestroy() resets the client', 'ECONNRESET', async (place) => {
  const { socket, client } = await pair(place)
  client.resume()
  const failed = once(client, 'error') as Promise<[NodeJS.ErrnoException]>
  socket.resetAndDestroy()
  const [{ code }] = await failed
  return code
})

alike('a pipeline through a socket carries everything and the end', 'ONE TWO', async (place) => {
  const { socket, client } = await pair(place)
  const shout = new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, `${chunk}`.toUpperCase()),
  })
  const piped = pipeline(socket, shout, socket)
  client.write('one ')
  client.end('two')
  const heard = await text(client)
  await piped.catch(() => undefined)
  return heard
})

alike('async iteration of a socket reaches its end', 'one two three', async (place) => {
  const { socket, client } = await pair(place)
  for (const word of ['one ', 'two ', 'three']) client.write(word)
  client.end()
  let heard = ''
  for await (const chunk of socket) heard += `${chunk as Buffer}`
  socket.destroy()
  return heard
})

const child = fileURLToPath(new URL('fixtures/takes-sockets.mjs', import.meta.url))
const many = 20

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

function connections(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

alike('a socket sent to a child process is closed here', many, async (place) => {
  const server = createServer()
  await place.serve(server)
  const taker = fork(child, { execArgv: [] })
  await once(taker, 'message')
  const before = descriptors()
  const sent: Promise<unknown>[] = []
  server.on('connection', (socket) => {
    sent.push(new Promise((done) => taker.send('take it', socket, done)))
  })
  let heard = 0
  for (let index = 0; index < many; index += 1) {
    heard += Number((await text(place.dial())) === 'from the child')
  }
  await Promise.all(sent)
  await waitFor('the descriptors to be closed', () => descriptors() <= before)
  await waitFor('the child to have closed them', async () => (await connections(server)) === 0)
  await new Promise((done) => server.close(done))
  taker.disconnect()
  await once(taker, 'exit')
  return heard
})
