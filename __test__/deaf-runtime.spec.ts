/** Tests a runtime whose sockets ignore given descriptors, as Bun's do. */
import net from 'node:net'
import { syncBuiltinESMExports } from 'node:module'
import test from 'ava'
import type { NativeInterface } from '../lib/native.js'

/** A socket that ignores its descriptor. */
class DeafSocket extends net.Socket {
  constructor({ fd: _fd, ...options }: net.SocketConstructorOpts = {}) {
    super(options)
  }
}
net.Socket = DeafSocket as typeof net.Socket
syncBuiltinESMExports()
const { FaithListener } = await import('../lib/listener.js')
const { FaithRelay } = await import('../lib/relay.js')

/** A fake addon that records its calls. */
function addon() {
  const asked: string[] = []
  const faith = {
    listen: () => Promise.resolve(void asked.push('listen')),
    relay: () => {
      asked.push('relay')
      return Promise.resolve({ close: () => Promise.resolve() })
    },
  } as unknown as NativeInterface
  return { asked, faith }
}

const refused = { code: 'ERR_FAITH_PLATFORM', message: /cannot make sockets/ }

test('a listener is refused at once, and captures nothing', async (t) => {
  const { asked, faith } = addon()
  const opening = FaithListener.open(faith, { port: 80 }, () => undefined)
  const error = await t.throwsAsync(opening, refused)
  t.regex(String(error?.stack), /let faith\.relay\(\) carry them/)
  t.deepEqual(asked, [])
})

test('a relay carries connections, and refuses to give sockets', async (t) => {
  const { asked, faith } = addon()
  const relay = await FaithRelay.open(faith, { port: 80 }, () => undefined)
  t.deepEqual(asked, ['relay'])
  t.throws(() => relay.on('connection', () => undefined), refused)
  t.is(relay.listenerCount('connection'), 0)
  t.notThrows(() => relay.on('session', () => undefined))
})
