/** Observers see captured sockets read exactly like Node's own. */
import { once } from 'node:events'
import { type AddressInfo, createServer, Socket } from 'node:net'
import { Readable } from 'node:stream'
import test from 'ava'
import type { FaithSocket } from '../index.js'
import { waitFor } from '../lab/index.js'
import { alike, bothAgree, CapturedPlace, type Place } from './fixtures/places.js'

/** A socket of the place and its client. */
async function pair(place: Place, options = {}): Promise<{ socket: Socket; client: Socket }> {
  const server = createServer({ allowHalfOpen: true, ...options })
  await place.serve(server)
  const client = place.dial()
  const [socket] = (await once(server, 'connection')) as [Socket]
  return { socket, client }
}

/** Sends each text after the one before was read, and collects the `data` events. */
async function converse(socket: Socket, client: Socket, texts: readonly string[]) {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (const text of texts) {
    const heard = once(socket, 'data')
    client.write(text)
    await heard
  }
  return chunks
}

function isWhole({ buffer, byteOffset, byteLength }: Buffer): boolean {
  return byteOffset === 0 && buffer.byteLength === byteLength
}

const sizes = [1, 64, 65, 1000, 4000, 20_000]

alike('each chunk has its own memory', true, async (place) => {
  const { socket, client } = await pair(place)
  const texts = sizes.map((size) => 'x'.repeat(size))
  const chunks = await converse(socket, client, texts)
  client.destroy()
  socket.destroy()
  return chunks.length >= sizes.length && chunks.every(isWhole)
})

alike(
  'transferring a chunk transfers nothing else',
  ['first', '', 'third', 'fourth', 'fourth', 'a bystander', 'the next'],
  async (place) => {
    const { socket, client } = await pair(place)
    const chunks = await converse(socket, client, ['first', 'second', 'third'])
    const bystander = Buffer.from('a bystander')
    const [, second] = chunks
    structuredClone(second?.buffer, { transfer: [second?.buffer as ArrayBuffer] })
    const later = await converse(socket, client, ['fourth'])
    client.destroy()
    socket.destroy()
    const texts = [...chunks, ...later, bystander].map(String)
    return [...texts, `${Buffer.from('the next')}`]
  },
)

type Method = 'push' | 'pause' | 'resume' | 'read'
const methods: readonly Method[] = ['push', 'pause', 'resume', 'read']

/** Replaces a method with one that records each call and does the same. */
function observe(object: object, method: Method, log: string[], socket: () => unknown): () => void {
  const own = Object.getOwnPropertyDescriptor(object, method)
  const inner = Reflect.get(object, method) as (...args: unknown[]) => unknown
  Object.defineProperty(object, method, {
    configurable: true,
    writable: true,
    value(this: unknown, ...args: unknown[]) {
      if (this === socket()) log.push(`${method} ${args.map(shown).join(' ')}`.trim())
      return inner.apply(this, args)
    },
  })
  return () => {
    if (own) Object.defineProperty(object, method, own)
    else Reflect.deleteProperty(object, method)
  }
}

function shown(value: unknown): string {
  return Buffer.isBuffer(value) ? `a buffer of ${value.length}` : `${value as number}`
}

/** The calls while a socket reads two messages, rests, reads another, and gets the end. */
async function calls(place: Place, observed: (socket: Socket) => object): Promise<string[]> {
  const { socket, client } = await pair(place, { pauseOnConnect: true })
  const log: string[] = []
  const target = observed(socket)
  const undo = methods.map((method) => observe(target, method, log, () => socket))
  try {
    socket.resume()
    await converse(socket, client, ['a', 'bc'])
    socket.pause()
    client.write('def')
    await waitFor('the bytes to be buffered', () => socket.readableLength === 3)
    socket.resume()
    const ended = once(socket, 'end')
    client.end()
    await ended
  } finally {
    for (const each of undo) each()
  }
  socket.destroy()
  return log
}

const observed: Record<string, (socket: Socket) => object> = {
  'the socket': (socket) => socket,
  'net.Socket': () => Socket.prototype,
  'stream.Readable': () => Readable.prototype,
}

/** Counts calls, because their order depends on when the kernel has the bytes. */
function tally(log: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const call of log) counts[call] = (counts[call] ?? 0) + 1
  return counts
}

for (const [what, target] of Object.entries(observed)) {
  test.serial(`replaced methods of ${what} are called as Node calls them`, async (t) => {
    const own = await bothAgree(t, async (place) => tally(await calls(place, target)))
    t.is(own['push a buffer of 1'], 1)
    t.is(own['push a buffer of 2'], 1)
    t.is(own['push null'], 1)
    t.is(own['pause'], 1)
  })
}

alike(
  'a method that is replaced while a socket flows is called from then on',
  ['push a buffer of 3', 'push a buffer of 4'],
  async (place) => {
    const { socket, client } = await pair(place)
    await converse(socket, client, ['a', 'bc'])
    const log: string[] = []
    observe(socket, 'push', log, () => socket)
    await converse(socket, client, ['def', 'ghij'])
    client.destroy()
    socket.destroy()
    return log.slice(0, 2)
  },
)

alike(
  'a socket that takes over another’s handle reads on',
  ['one', 'two', 'three', 'four', 'no more'],
  async (place) => {
    const { socket, client } = await pair(place)
    const texts = (await converse(socket, client, ['one', 'two'])).map(String)
    const { _handle: handle } = socket as unknown as { _handle: object }
    const successor = new Socket({ handle, allowHalfOpen: true } as object)
    texts.push(...(await converse(successor, client, ['three', 'four'])).map(String))
    successor.pause()
    client.write('five')
    await new Promise(setImmediate)
    texts.push(successor.readableLength > 64_000 ? 'too much' : 'no more')
    const five = once(successor, 'data')
    successor.resume()
    await five
    const ended = once(successor, 'end')
    client.end()
    await ended
    successor.destroy()
    return texts
  },
)

alike(
  'a socket with its own buffer that takes over a handle reads into that buffer',
  ['true six'],
  async (place) => {
    const { socket, client } = await pair(place, { pauseOnConnect: true })
    const { _handle: handle } = socket as unknown as { _handle: object }
    const buffer = Buffer.alloc(10)
    const read: string[] = []
    const successor = new Socket({
      handle,
      onread: {
        buffer,
        callback: (length: number, memory: Buffer) => {
          read.push(`${memory === buffer} ${memory.subarray(0, length)}`)
          return true
        },
      },
    } as object)
    successor.resume()
    client.write('six')
    await waitFor('the bytes to be read', () => read.length > 0)
    client.destroy()
    successor.destroy()
    return read
  },
)

alike(
  'a reset reaches a paused socket, and one in mid-conversation',
  'ECONNRESET',
  async (place) => {
    const { socket, client } = await pair(place)
    await converse(socket, client, ['hello'])
    socket.pause()
    const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
    client.resetAndDestroy()
    const [{ code }] = await failed
    return code
  },
)

/** A socket whose connection has ended, and that has connected to another server. */
async function connectedAgain(place: Place) {
  const { socket, client } = await pair(place)
  const ended = once(socket, 'close')
  client.destroy()
  socket.destroy()
  await ended
  const other = createServer((peer) => peer.on('error', () => undefined).resume())
  await once(other.listen(0, '127.0.0.1'), 'listening')
  const { port } = other.address() as AddressInfo
  await once(socket.connect(port, '127.0.0.1'), 'connect')
  const end = (): void => {
    socket.destroy()
    other.close()
  }
  return { socket, port, end }
}

alike(
  'a socket that connects again has the addresses of its new connection',
  [
    { remoteAddress: '127.0.0.1', remoteFamily: 'IPv4', isRemotePort: true },
    { localAddress: '127.0.0.1', localFamily: 'IPv4', isOwn: true },
  ],
  async (place) => {
    const { socket, port, end } = await connectedAgain(place)
    const { remoteAddress, remoteFamily, remotePort } = socket
    const { localAddress, localFamily, localPort } = socket
    const own = socket.address()
    end()
    return [
      { remoteAddress, remoteFamily, isRemotePort: remotePort === port },
      { localAddress, localFamily, isOwn: 'port' in own && localPort === own.port },
    ]
  },
)

test('a socket that connects again is no captured connection, and cannot be spliced', async (t) => {
  const place = await CapturedPlace.create()
  const { socket, port, end } = await connectedAgain(place)
  const splicing = (socket as FaithSocket).spliceTo({ host: '127.0.0.1', port, allowAny: true })
  await t.throwsAsync(splicing, { code: 'ERR_FAITH_SOCKET', message: /another connection/ })
  end()
  place.close()
})
