/**
 * A DNS server over TLS (port 853) or HTTPS (port 443) with habits. It knows one A record of every name, and prints a line
 * for each connection and each query, as `query 128 www.example.net.`
 *
 *   secure-dns.ts HABIT CERTIFICATE KEY
 *
 * | habit | what it does |
 * |---|---|
 * | `answers` | answers every query |
 * | `reverses` | answers two queries in the opposite order |
 * | `closes` | closes each connection after one response |
 * | `stalls` | takes queries on its first connection, and answers those of later ones |
 * | `refuses` | answers over HTTPS with the status 404 |
 */
import { readFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import { createServer, type TLSSocket } from 'node:tls'

const [habit, certificate = '', key = ''] = process.argv.slice(2)
const files = { cert: readFileSync(certificate), key: readFileSync(key) }

let connections = 0

if (habit === 'refuses') {
  const server = createSecureServer(files, (_, response) => {
    console.log('request')
    response.writeHead(404).end()
  })
  server.listen(443, () => console.log('listens'))
} else {
  const server = createServer(files, (socket) => {
    connections += 1
    console.log(`connection ${connections}`)
    socket.on('error', () => {})
    serve(socket, connections)
  })
  server.listen(853, () => console.log('listens'))
}

function serve(socket: TLSSocket, connection: number): void {
  let received = Buffer.alloc(0)
  let held: Buffer | undefined
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data])
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0)
      const query = received.subarray(2, end)
      received = received.subarray(end)
      console.log(`query ${query.length} ${nameOf(query)}`)
      if (habit === 'stalls' && connection === 1) continue
      if (habit === 'reverses' && held === undefined) {
        held = query
        continue
      }
      for (const one of [query, ...(held ? [held] : [])]) socket.write(framed(answer(one)))
      held = undefined
      if (habit === 'closes') socket.end()
    }
  })
}

function endOfName(query: Buffer): number {
  let place = 12
  while (query[place] !== 0) place += 1 + (query[place] as number)
  return place + 1
}

function nameOf(query: Buffer): string {
  let name = ''
  for (let place = 12; query[place] !== 0; place += 1 + (query[place] as number)) {
    name += `${query.subarray(place + 1, place + 1 + (query[place] as number)).toString()}.`
  }
  return name
}

function answer(query: Buffer): Buffer {
  const end = endOfName(query) + 4
  const isA = query.readUInt16BE(end - 4) === 1
  const header = Buffer.from(query.subarray(0, 12))
  header.writeUInt16BE(0x8180, 2)
  for (const [place, count] of [isA ? 1 : 0, 0, 0].entries()) {
    header.writeUInt16BE(count, 6 + 2 * place)
  }
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 51, 100, 2])
  return Buffer.concat([header, query.subarray(12, end), isA ? record : Buffer.alloc(0)])
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}
