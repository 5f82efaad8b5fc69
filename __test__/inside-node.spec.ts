/** This Node has the internals that the package relies on. A failure names the missing part. */
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

test('a socket keeps its read buffer under two known keys', (t) => {
  t.not(
    lender(new Uint8Array(1), () => true),
    undefined,
  )
})

test('a socket adopts the descriptor that it is given', (t) => {
  t.true(adoptsDescriptors())
  t.false(adoptsDescriptors(() => new Socket()))
})

test('a class can watch the handle of a socket through an accessor', (t) => {
  class Watched extends Socket {}
  const seen: unknown[] = []
  watchHandles(Watched.prototype, (_socket, handle) => seen.push(handle))
  const socket = new Watched()
  Reflect.set(socket, '_handle', null)
  t.deepEqual(seen, [null])
})

test('Node’s own methods are recognised by their source, and others are not', (t) => {
  const socket = new Socket()
  t.true(readsUnobserved(socket))
  const { push } = socket
  socket.push = (...args) => push.apply(socket, args)
  t.false(readsUnobserved(socket))
})

test('methods replaced before the library was loaded are not taken for Node’s own', (t) => {
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

test('the TLS socket around a socket is found, and works as before', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await accepted
  socket.on('error', () => t.fail('there should be no error'))
  t.is(tlsAround(socket), undefined)
  const secure = new TLSSocket(socket, { isServer: true })
  t.is(tlsAround(socket), secure)
  t.false(secure.destroyed)
  secure.destroy()
  client.destroy()
  server.close()
})

test('servers count their connections, and report when none is left', (t) => {
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
  test(`servers of ${kind} track their connections from the first one on`, (t) => {
    const known = Object.getOwnPropertySymbols(server).length
    openToCaptured(server)
    count(server, new Socket())
    t.true(Object.getOwnPropertySymbols(server).length > known)
    server.close()
  })
}
