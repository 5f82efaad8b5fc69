/** This Node has inside what the package looks for there; where one has it no longer, this says which part. */
import { spawnSync } from 'node:child_process'
import { createServer as createWebServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createSecureWebServer } from 'node:https'
import { connect, createServer, type AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import { TLSSocket } from 'node:tls'
import test from 'ava'
import {
  adoptsDescriptors,
  count,
  lender,
  openToCaptured,
  readsUnobserved,
  tlsAround,
  watchHandles,
} from '../lib/inside-node.js'

test('a socket keeps by two known keys what it reads into', (t) => {
  t.not(
    lender(new Uint8Array(1), () => true),
    undefined,
  )
})

test('a socket looks at the descriptor that it is given', (t) => {
  t.true(adoptsDescriptors())
  t.false(adoptsDescriptors(() => new Socket()))
})

test('its handle is an accessor that a class can watch', (t) => {
  class Watched extends Socket {}
  const seen: unknown[] = []
  watchHandles(Watched.prototype, (_socket, handle) => seen.push(handle))
  const socket = new Watched()
  Reflect.set(socket, '_handle', null)
  t.deepEqual(seen, [null])
})

test('its methods are Node’s by their source, and others are not', (t) => {
  const socket = new Socket()
  t.true(readsUnobserved(socket))
  const { push } = socket
  socket.push = (...args) => push.apply(socket, args)
  t.false(readsUnobserved(socket))
})

test('nor are those that were replaced before the library was loaded', (t) => {
  const inside = new URL('../dist/lib/inside-node.js', import.meta.url).href
  const program = `
    import { Socket } from 'node:net'
    import { Readable } from 'node:stream'
    const { push } = Readable.prototype
    if (process.argv[1] === 'replaced') {
      Readable.prototype.push = function observed(...args) { return push.apply(this, args) }
    }
    const { readsUnobserved } = await import('${inside}')
    console.log(readsUnobserved(new Socket()))`
  const answers = ['', 'replaced'].map((how) => {
    const args = ['--input-type=module', '-e', program, how]
    return spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout.trim()
  })
  t.deepEqual(answers, ['true', 'false'])
})

test('a TLS socket is found from the socket inside, which goes on as before', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await accepted
  socket.on('error', () => t.fail('an error that is none'))
  t.is(tlsAround(socket), undefined)
  const secure = new TLSSocket(socket, { isServer: true })
  t.is(tlsAround(socket), secure)
  t.false(secure.destroyed)
  secure.destroy()
  client.destroy()
  server.close()
})

test('servers count their connections, and tell when there are none', (t) => {
  const server = createServer()
  openToCaptured(server)
  count(server, new Socket())
  t.is(Reflect.get(server, '_connections'), 1)
  t.true(Object.hasOwn(server, '_emitCloseIfDrained'))
})

const web = {
  http: createWebServer(),
  https: createSecureWebServer({}),
  http2: createSecureServer({ allowHTTP1: true }),
}

for (const [kind, server] of Object.entries(web)) {
  test(`servers of ${kind} track their connections once they have one`, (t) => {
    const known = Object.getOwnPropertySymbols(server).length
    openToCaptured(server)
    count(server, new Socket())
    t.true(Object.getOwnPropertySymbols(server).length > known)
    server.close()
  })
}
