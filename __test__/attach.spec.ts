import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
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
  return Object.assign(new EventEmitter(), settings)
}

test('a socket is set up as the server sets up its own', (t) => {
  const bare = given(server({}))
  t.deepEqual([bare.allowHalfOpen, bare.calls], [true, []])
  const web = given(server({ allowHalfOpen: false, noDelay: true }))
  t.deepEqual([web.allowHalfOpen, web.calls], [false, [['setNoDelay', true]]])
  const slow = given(server({ allowHalfOpen: true, noDelay: false }))
  t.deepEqual([slow.allowHalfOpen, slow.calls], [true, []])
})

test('a socket that no listener has captured has no destination', (t) => {
  t.is(destinationOf(new Socket()), undefined)
})
