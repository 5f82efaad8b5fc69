/** TLS servers attached to a listener count, close and time out their connections like servers that listen. */
import { once } from 'node:events'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import type { Server } from 'node:net'
import { text } from 'node:stream/consumers'
import * as tls from 'node:tls'
import type { IncomingMessage } from 'node:http'
import { identity } from './fixtures/identity.js'
import { alike, type Place } from './fixtures/places.js'

const trusting = { rejectUnauthorized: false }

function connections(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

/** Opens a TLS connection to the server of the place. */
async function secure(place: Place): Promise<tls.TLSSocket> {
  const client = tls.connect({ host: '127.0.0.1', port: place.port, ...trusting })
  client.on('error', () => undefined)
  await once(client, 'secureConnect')
  return client
}

alike('a TLS server counts and closes', [1, 'hello', 0], async (place) => {
  const server = tls.createServer(identity, (socket) => socket.pipe(socket))
  await place.serve(server)
  const client = await secure(place)
  const during = await connections(server)
  const closed = once(server, 'close')
  server.close()
  client.end('hello')
  const heard = await text(client)
  await closed
  return [during, heard, await connections(server)]
})

alike('an HTTPS server closes all its connections', [true, 0], async (place) => {
  const server = https.createServer(identity, () => undefined)
  await place.serve(server)
  const asked = once(server, 'request')
  const client = await secure(place)
  client.write('GET / HTTP/1.1\r\nHost: faith\r\n\r\n')
  await asked
  const gone = new Promise((resolve) => client.once('close', resolve))
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await gone
  await closed
  return [client.destroyed, await connections(server)]
})

alike(
  'the headersTimeout of an HTTPS server holds',
  'HTTP/1.1 408 Request Timeout',
  async (place) => {
    const settings = { connectionsCheckingInterval: 20, headersTimeout: 50, requestTimeout: 60_000 }
    const server = https.createServer({ ...identity, ...settings })
    await place.serve(server)
    const client = await secure(place)
    client.write('GET / HTTP/1.1\r\n')
    const [status] = (await text(client)).split('\r\n')
    return status
  },
)

alike('an agent keeps its connection', [['GET /1', 'GET /2'], 1], async (place) => {
  let count = 0
  const server = https.createServer(identity, (request, response) => {
    response.end(`${request.method} ${request.url}`)
  })
  server.on('secureConnection', () => (count += 1))
  await place.serve(server)
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ...trusting })
  const answers: string[] = []
  for (const path of ['/1', '/2']) {
    const request = https.get({ host: '127.0.0.1', port: place.port, agent, path })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    answers.push(await text(response))
  }
  agent.destroy()
  return [answers, count]
})

const streams: Record<string, (options: object) => http2.Http2Server> = {
  plain: (options) => http2.createServer(options),
  secure: (options) => http2.createSecureServer(options) as http2.Http2Server,
}

for (const [kind, create] of Object.entries(streams)) {
  alike(`an HTTP/2 server (${kind}) answers streams and closes`, ['/1 /2 /3', 0], async (place) => {
    const server = create(identity)
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      stream.respond({ ':status': 200 })
      stream.end(headers[':path'])
    })
    await place.serve(server)
    const scheme = kind === 'plain' ? 'http' : 'https'
    const client = http2.connect(`${scheme}://127.0.0.1:${place.port}`, trusting)
    const paths = ['/1', '/2', '/3']
    const answers = await Promise.all(paths.map((path) => text(client.request({ ':path': path }))))
    const closed = once(server, 'close')
    server.close()
    client.close()
    await closed
    return [answers.join(' '), await connections(server)]
  })
}
