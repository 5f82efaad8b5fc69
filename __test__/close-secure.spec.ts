/** A close of the interface delivers the ended connections of TLS servers, as of plain ones, and resets the others. */
import { once } from 'node:events'
import * as https from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import * as tls from 'node:tls'
import test from 'ava'
import { Ending } from '../lab/programs/ending.js'
import { identity } from './fixtures/identity.js'
import { interfaceOver } from './fixtures/interfaces.js'
import { CapturedPlace } from './fixtures/places.js'

const size = 1_000_000
const body = Buffer.alloc(size, 'z')

/** Serves TLS without a TLS server, as STARTTLS does. */
function upgrade(respond: (socket: tls.TLSSocket) => void): Server {
  return createServer((socket) => {
    socket.on('error', () => undefined)
    const secureContext = tls.createSecureContext(identity)
    const secure = new tls.TLSSocket(socket, { isServer: true, secureContext })
    secure.on('error', () => undefined).once('secure', () => respond(secure))
  })
}

/** The client's view of a server that `respond`s and then has the interface closed. */
async function hear(serve: (close: () => void) => Server) {
  const place = await CapturedPlace.create()
  let gone: Promise<unknown> = Promise.resolve()
  const addon = { beforeResets: () => undefined, deliver: () => gone }
  const { faith } = await interfaceOver(Object.assign(place.addon, addon))
  let closed: Promise<void> = Promise.resolve()
  await place.serve(serve(() => (closed = faith.close({ drainMs: 60_000 }))))
  const client = tls.connect({ host: '127.0.0.1', port: place.port, rejectUnauthorized: false })
  const ending = new Ending(client)
  let bytes = 0
  client.on('data', (chunk: Buffer) => (bytes += chunk.length))
  gone = finished(client).catch(() => undefined)
  const end = new Promise<string>((resolve) => {
    client.prependOnceListener('end', () => resolve(ending.event))
    client.once('error', ({ code }: NodeJS.ErrnoException) => resolve(String(code)))
  })
  await once(client, 'secureConnect')
  client.write('GET / HTTP/1.1\r\nHost: faith\r\nConnection: close\r\n\r\n')
  const heard = { end: await end, all: bytes >= size }
  await closed
  place.close()
  return heard
}

function endAndClose(socket: Socket, close: () => void): void {
  socket.end(body)
  close()
}

const servers: Record<string, (close: () => void) => Server> = {
  'a TLS socket that was told to end': (close) =>
    tls.createServer(identity, (socket) => endAndClose(socket, close)),
  'a TLS socket made without a TLS server': (close) =>
    upgrade((socket) => endAndClose(socket, close)),
  'an HTTPS server’s last response': (close) =>
    https.createServer(identity, (_request, response) => {
      response.end(body)
      response.once('finish', close)
    }),
}

for (const [what, serve] of Object.entries(servers)) {
  test.serial(`${what} arrives whole`, async (t) => {
    t.deepEqual(await hear(serve), { end: 'end', all: true })
  })
}

function writeOnly(close: () => void): Server {
  return tls.createServer(identity, (socket) => {
    socket.on('error', () => undefined)
    socket.write(body, () => close())
  })
}

test.serial('a TLS socket that is not ended is reset', async (t) => {
  t.is((await hear(writeOnly)).end, 'ECONNRESET')
})
