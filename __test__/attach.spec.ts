import { EventEmitter } from 'node:events'
import { createServer, Socket } from 'node:net'
import test from 'ava'
import { destinationOf, type FaithServer, type FaithSocket } from '../index.js'
import { takingBy } from '../lib/attach.js'
import type { SocketMaking } from '../lib/socket.js'

/** The part of a captured socket that the code under test uses. */
class Given extends EventEmitter {
  readonly calls: unknown[] = []
  setNoDelay(...args: unknown[]): void {
    this.calls.push(['setNoDelay', ...args])
  }
  setKeepAlive(...args: unknown[]): void {
    this.calls.push(['setKeepAlive', ...args])
  }
}

/** A socket given to a server, and the options it would be made with. */
function given(to: FaithServer): { socket: Given; making: SocketMaking } {
  const socket = new Given()
  const taking = takingBy(to)
  const making = taking.making({ allowHalfOpen: true, pauseOnConnect: false })
  taking.take(socket as unknown as FaithSocket)
  return { socket, making }
}

function server(settings: object): EventEmitter {
  return Object.assign(
    new EventEmitter().on('connection', () => undefined),
    settings,
  )
}

const bare = { allowHalfOpen: false, pauseOnConnect: false, highWaterMark: undefined }

test('a socket gets the options that the server gives its own sockets', (t) => {
  const web = given(server({ allowHalfOpen: false, noDelay: true, highWaterMark: 1_000 }))
  t.deepEqual(web.making, { ...bare, highWaterMark: 1_000 })
  t.deepEqual(web.socket.calls, [['setNoDelay', true]])
  const slow = given(
    server({
      allowHalfOpen: true,
      noDelay: false,
      pauseOnConnect: true,
      keepAlive: true,
      keepAliveInitialDelay: 77,
    }),
  )
  t.deepEqual(slow.making, { ...bare, allowHalfOpen: true, pauseOnConnect: true })
  t.deepEqual(slow.socket.calls, [['setKeepAlive', true, 77_000]])
})

test('a socket gets Node’s defaults where the server sets none', (t) => {
  for (const silent of [server({}), { injectSocket: () => undefined }]) {
    const { socket, making } = given(silent)
    t.deepEqual([making, socket.calls], [bare, []])
  }
})

test('the listener’s pauseOnConnect wins over the server’s', (t) => {
  const { making } = takingBy(server({ pauseOnConnect: false }))
  t.true(making({ allowHalfOpen: true, pauseOnConnect: true }).pauseOnConnect)
})

test('a wrapper around a Node server passes the connection to that server, with its options', (t) => {
  const taken: unknown[] = []
  const inside = createServer({ allowHalfOpen: true, noDelay: true })
  inside.on('connection', (socket) => taken.push(socket))
  const around = Object.assign(server({ allowHalfOpen: false }), { server: inside })
  around.on('connection', () => t.fail('this is of something else'))
  const { socket, making } = given(around)
  t.true(making.allowHalfOpen)
  t.deepEqual(socket.calls, [['setNoDelay', true]])
  t.deepEqual(taken, [socket])
})

test('an object whose `server` is not a server is used itself', (t) => {
  const taken: unknown[] = []
  const cluster = server({ server: 'sts-1' }).on('connection', (socket) => taken.push(socket))
  const { socket } = given(cluster)
  t.deepEqual(taken, [socket])
})

test('an emitter without a `connection` listener is refused, unless it is a Node server', (t) => {
  const error = t.throws(() => takingBy(new EventEmitter()), { code: 'ERR_FAITH_ARGUMENT' })
  const message = 'listener.attach: nothing listens to the `connection` event of `server`'
  t.is(error.message, message)
  t.notThrows(() => takingBy(createServer()))
})

test('a socket that no listener captured has no destination', (t) => {
  t.is(destinationOf(new Socket()), undefined)
})
