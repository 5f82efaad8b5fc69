import { EventEmitter } from 'node:events'
import { createServer, Socket } from 'node:net'
import test from 'ava'
import { destinationOf, type FaithServer, type FaithSocket } from '../index.js'
import { giverTo } from '../lib/attach.js'

/** As much of a captured socket as a server is given it by. */
class Given extends EventEmitter {
  readonly calls: unknown[] = []
  allowHalfOpen = true
  setNoDelay(on: boolean): void {
    this.calls.push(['setNoDelay', on])
  }
}

function given(to: FaithServer): Given {
  const socket = new Given()
  giverTo(to)(socket as unknown as FaithSocket)
  return socket
}

function server(settings: object): EventEmitter {
  return Object.assign(
    new EventEmitter().on('connection', () => undefined),
    settings,
  )
}

test('a socket is set up as the server sets up its own', (t) => {
  const web = given(server({ allowHalfOpen: false, noDelay: true }))
  t.deepEqual([web.allowHalfOpen, web.calls], [false, [['setNoDelay', true]]])
  const slow = given(server({ allowHalfOpen: true, noDelay: false }))
  t.deepEqual([slow.allowHalfOpen, slow.calls], [true, []])
})

test('and as Node sets up its own where the server does not say', (t) => {
  for (const silent of [server({}), { injectSocket: () => undefined }]) {
    const socket = given(silent)
    t.deepEqual([socket.allowHalfOpen, socket.calls], [false, []])
  }
})

test('a server around one of Node’s has that one take the connection, and say how', (t) => {
  const taken: unknown[] = []
  const inside = createServer({ allowHalfOpen: true, noDelay: true })
  inside.on('connection', (socket) => taken.push(socket))
  const around = Object.assign(server({ allowHalfOpen: false }), { server: inside })
  around.on('connection', () => t.fail('this is of something else'))
  const socket = given(around)
  t.deepEqual([socket.allowHalfOpen, socket.calls], [true, [['setNoDelay', true]]])
  t.deepEqual(taken, [socket])
})

test('what has something else for a `server` is one itself', (t) => {
  const taken: unknown[] = []
  const cluster = server({ server: 'sts-1' }).on('connection', (socket) => taken.push(socket))
  const socket = given(cluster)
  t.deepEqual(taken, [socket])
})

test('what nobody listens to is refused, unless Node made it to be a server', (t) => {
  const error = t.throws(() => giverTo(new EventEmitter()), { code: 'ERR_FAITH_ARGUMENT' })
  const message = 'listener.attach: nothing listens to the `connection` event of `server`'
  t.is(error.message, message)
  t.notThrows(() => giverTo(createServer()))
})

test('a socket that no listener has captured has no destination', (t) => {
  t.is(destinationOf(new Socket()), undefined)
})
