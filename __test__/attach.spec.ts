import { EventEmitter } from 'node:events'
import { createServer, Socket } from 'node:net'
import test from 'ava'
import { destinationOf, type FaithServer, type FaithSocket } from '../index.js'
import { takingBy } from '../lib/attach.js'
import type { SocketMaking } from '../lib/socket.js'

/** As much of a captured socket as a server is given it by. */
class Given extends EventEmitter {
  readonly calls: unknown[] = []
  setNoDelay(...args: unknown[]): void {
    this.calls.push(['setNoDelay', ...args])
  }
  setKeepAlive(...args: unknown[]): void {
    this.calls.push(['setKeepAlive', ...args])
  }
}

/** A socket that was given to a server, and how it would have been made. */
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

test('a socket is set up as the server sets up its own', (t) => {
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

test('and as Node sets up its own where the server does not say', (t) => {
  for (const silent of [server({}), { injectSocket: () => undefined }]) {
    const { socket, making } = given(silent)
    t.deepEqual([making, socket.calls], [bare, []])
  }
})

test('a socket is paused where the listener says so, whatever the server says', (t) => {
  const { making } = takingBy(server({ pauseOnConnect: false }))
  t.true(making({ allowHalfOpen: true, pauseOnConnect: true }).pauseOnConnect)
})

test('a server around one of Node’s has that one take the connection, and say how', (t) => {
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

test('what has something else for a `server` is one itself', (t) => {
  const taken: unknown[] = []
  const cluster = server({ server: 'sts-1' }).on('connection', (socket) => taken.push(socket))
  const { socket } = given(cluster)
  t.deepEqual(taken, [socket])
})

test('what nobody listens to is refused, unless Node made it to be a server', (t) => {
  const error = t.throws(() => takingBy(new EventEmitter()), { code: 'ERR_FAITH_ARGUMENT' })
  const message = 'listener.attach: nothing listens to the `connection` event of `server`'
  t.is(error.message, message)
  t.notThrows(() => takingBy(createServer()))
})

test('a socket that no listener has captured has no destination', (t) => {
  t.is(destinationOf(new Socket()), undefined)
})
