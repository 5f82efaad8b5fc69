/** HTTP servers attached to a listener: Node's own clients and servers must behave the same over captured sockets. */
import { once } from 'node:events'
import * as http from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import test from 'ava'
import { waitFor } from '../lab/index.js'
import { alike, CapturedPlace, type Place } from './fixtures/places.js'

/** Sends the server of the place a request, and returns its answer. */
async function ask(place: Place, options: http.RequestOptions = {}, body?: string) {
  const request = http.request({ host: '127.0.0.1', port: place.port, agent: false, ...options })
  request.on('error', () => undefined)
  const answered = once(request, 'response')
  request.end(body)
  const [response] = (await answered) as [http.IncomingMessage]
  return { request, response }
}

async function answer(place: Place, options: http.RequestOptions = {}, body?: string) {
  const { response } = await ask(place, options, body)
  return await text(response)
}

/** Writes raw bytes to the server, and returns everything it sends until its end. */
async function raw(place: Place, ...parts: string[]): Promise<string> {
  const client = place.dial()
  const heard = text(client)
  for (const part of parts) {
    client.write(part)
    await new Promise(setImmediate)
  }
  return await heard
}

function answering(options: http.ServerOptions = {}): http.Server {
  return http.createServer({ keepAliveTimeout: 60_000, ...options }, (request, response) => {
    if (request.url === '/busy') return
    response.end(`${request.method} ${request.url}`)
  })
}

/** A kept connection to the server: an idle one, or one whose request is unanswered. */
async function kept(place: Place, server: http.Server, path: '/busy' | '/idle') {
  const connected = once(server, 'connection')
  const agent = new http.Agent({ keepAlive: true })
  const asked = once(server, 'request')
  const request = http.request({ host: '127.0.0.1', port: place.port, agent, path })
  request.on('error', () => undefined)
  request.end()
  const [socket] = (await connected) as [Socket]
  await asked
  if (path === '/idle') {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    await text(response)
  }
  const end = (): void => {
    agent.destroy()
    socket.destroy()
  }
  return { socket, end }
}

alike('closeAllConnections() closes all', [true, true], async (place) => {
  const server = answering()
  await place.serve(server)
  const both = [await kept(place, server, '/busy'), await kept(place, server, '/idle')]
  const closed = both.map(({ socket }) => once(socket, 'close'))
  server.closeAllConnections()
  await Promise.all(closed)
  for (const { end } of both) end()
  return both.map(({ socket }) => socket.destroyed)
})

alike(
  'closeIdleConnections() closes idle connections and leaves busy ones',
  [false, true],
  async (place) => {
    const server = answering()
    await place.serve(server)
    const [busy, idle] = [await kept(place, server, '/busy'), await kept(place, server, '/idle')]
    const closed = once(idle.socket, 'close')
    server.closeIdleConnections()
    await closed
    const destroyed = [busy, idle].map(({ socket }) => socket.destroyed)
    busy.end()
    idle.end()
    return destroyed
  },
)

alike('close() closes idle connections and waits for the others', [1, true], async (place) => {
  const server = answering()
  await place.serve(server)
  const [busy, idle] = [await kept(place, server, '/busy'), await kept(place, server, '/idle')]
  const idleCloses = once(idle.socket, 'close')
  const closes = once(server, 'close')
  server.close()
  await idleCloses
  const left = await new Promise((resolve) => server.getConnections((_e, count) => resolve(count)))
  busy.end()
  await closes
  idle.end()
  return [left, true]
})

const checking = { connectionsCheckingInterval: 20 }

alike('headersTimeout holds', 'HTTP/1.1 408 Request Timeout', async (place) => {
  const options = { ...checking, headersTimeout: 50, requestTimeout: 60_000 }
  await place.serve(answering(options))
  const [status] = (await raw(place, 'GET / HTTP/1.1\r\n')).split('\r\n')
  return status
})

alike('requestTimeout holds', 'HTTP/1.1 408 Request Timeout', async (place) => {
  const options = { ...checking, headersTimeout: 40, requestTimeout: 50 }
  const server = http.createServer(options, (request) => request.resume())
  await place.serve(server)
  const head = 'POST / HTTP/1.1\r\nHost: faith\r\nContent-Length: 10\r\n\r\n'
  const [status] = (await raw(place, head, 'half')).split('\r\n')
  return status
})

test.serial('timeouts still hold while a closed server serves on', async (t) => {
  const place = await CapturedPlace.create()
  const server = answering({ ...checking, headersTimeout: 50, requestTimeout: 60_000 })
  await place.serve(server)
  t.is(await answer(place, { path: '/before' }), 'GET /before')
  await new Promise((resolve) => server.close(resolve))
  t.regex(await raw(place, 'GET / HTTP/1.1\r\n'), /^HTTP\/1.1 408/)
  place.close()
})

alike('timeouts of a server reach its connections', true, async (place) => {
  const server = answering()
  server.setTimeout(30)
  await place.serve(server)
  const timedOut = once(server, 'timeout')
  const client = place.dial()
  await once(client, 'connect')
  const [socket] = (await timedOut) as [Socket]
  client.destroy()
  socket.destroy()
  return true
})

alike(
  'an agent uses the same connection again',
  [['GET /1', 'GET /2', 'GET /3'], 1],
  async (place) => {
    const server = answering()
    let connections = 0
    server.on('connection', () => (connections += 1))
    await place.serve(server)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const paths = ['/1', '/2', '/3']
    const answers = await Promise.all(paths.map((path) => answer(place, { path, agent })))
    agent.destroy()
    return [answers, connections]
  },
)

alike('pipelined requests are answered in order', ['GET /1', 'GET /2'], async (place) => {
  await place.serve(answering())
  const heard = await raw(
    place,
    'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  )
  return heard.match(/GET \/\d/g)
})

alike('a body comes in chunks, with trailers', ['one two', 'at the end'], async (place) => {
  const server = http.createServer((request, response) => {
    void text(request).then((body) =>
      response.end(JSON.stringify([body, request.trailers['x-last']])),
    )
  })
  await place.serve(server)
  const request = http.request({
    host: '127.0.0.1',
    port: place.port,
    method: 'POST',
    agent: false,
  })
  request.setHeader('Trailer', 'x-last')
  const answered = once(request, 'response')
  request.write('one ')
  request.write('two')
  request.addTrailers({ 'x-last': 'at the end' })
  request.end()
  const [response] = (await answered) as [http.IncomingMessage]
  return JSON.parse(await text(response)) as unknown
})

alike(
  'a client that expects 100 Continue is told to continue',
  ['continue', 'POST / with a body'],
  async (place) => {
    const server = http.createServer()
    server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
      response.writeContinue()
      void text(request).then((body) =>
        response.end(`${request.method} ${request.url} with ${body}`),
      )
    })
    await place.serve(server)
    const headers = { Expect: '100-continue' }
    const options = { host: '127.0.0.1', port: place.port, method: 'POST', agent: false } as const
    const request = http.request({ ...options, headers })
    const answered = once(request, 'response')
    request.flushHeaders()
    await once(request, 'continue')
    request.end('a body')
    const [response] = (await answered) as [http.IncomingMessage]
    return ['continue', await text(response)]
  },
)

alike('an upgraded connection is the socket itself', ['101', 'early', 'HELLO'], async (place) => {
  const server = http.createServer()
  server.on('upgrade', (_request, socket: Socket, head: Buffer) => {
    socket.on('error', () => undefined)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    socket.write(head)
    socket.on('data', (chunk: Buffer) => socket.end(`${chunk}`.toUpperCase()))
  })
  await place.serve(server)
  const client = place.dial()
  let heard = ''
  client.on('data', (chunk: Buffer) => (heard += `${chunk}`))
  const ended = once(client, 'end')
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly')
  await waitFor('the early bytes', () => heard.endsWith('early'))
  client.write('hello')
  await ended
  return [heard.slice(9, 12), 'early', heard.slice(-5)]
})

alike('CONNECT hands over the socket', ['example.org:443', 'PING'], async (place) => {
  const server = http.createServer()
  const asked: (string | undefined)[] = []
  server.on('connect', (request: http.IncomingMessage, socket: Socket) => {
    asked.push(request.url)
    socket.on('error', () => undefined).write('HTTP/1.1 200 OK\r\n\r\n')
    socket.on('data', (chunk: Buffer) => socket.end(`${chunk}`.toUpperCase()))
  })
  await place.serve(server)
  const request = http.request({
    host: '127.0.0.1',
    port: place.port,
    method: 'CONNECT',
    path: 'example.org:443',
    agent: false,
  })
  request.end()
  const [, tunnel] = (await once(request, 'connect')) as [unknown, Socket]
  tunnel.write('ping')
  const heard = await text(tunnel)
  return [...asked, heard]
})

alike(
  'a client that leaves in the middle of an answer closes the response',
  true,
  async (place) => {
    const server = http.createServer((_request, response) => {
      response.write('a beginning')
    })
    await place.serve(server)
    const asked = once(server, 'request')
    const client = place.dial()
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const [, response] = (await asked) as [unknown, http.ServerResponse]
    const closed = once(response, 'close')
    client.resetAndDestroy()
    await closed
    return response.destroyed
  },
)

alike(
  'a malformed request is a clientError with its socket',
  ['HPE_INVALID_METHOD', true],
  async (place) => {
    const server = answering()
    await place.serve(server)
    const failed = once(server, 'clientError')
    const client = place.dial()
    client.write('nonsense\r\n\r\n')
    const [{ code }, socket] = (await failed) as [NodeJS.ErrnoException, Socket]
    const isWritable = socket.writable
    socket.destroy()
    client.destroy()
    return [code, isWritable]
  },
)
