/** After a failed spliceTo() the program has its socket back, and reading goes on as before. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import test from 'ava'
import type { FaithSocket } from '../index.js'
import { CapturedPlace } from './fixtures/places.js'

interface Pair {
  socket: FaithSocket
  client: Socket
  /** Splices the socket to a server that refuses. */
  fail(): Promise<void>
  close(): void
}

/** A captured socket and its client. */
async function pair(): Promise<Pair> {
  const place = await CapturedPlace.create({ pauseOnConnect: true })
  const refusal = { failed: true, code: 'ECONNREFUSED', message: 'the server refuses' }
  Object.assign(place.addon, { connect: () => Promise.resolve(refusal) })
  const taken = place.listener.connections().next()
  const client = place.dial({ allowHalfOpen: true })
  const { value: socket } = await taken
  if (socket === undefined) throw new Error('the listener is closed')
  const fail = async (): Promise<void> => {
    try {
      await socket.spliceTo({ host: '192.0.2.1', port: 80 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return
      throw error
    }
    throw new Error('it was spliced')
  }
  const close = (): void => {
    socket.destroy()
    client.destroy()
    place.close()
  }
  return { socket, client, fail, close }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a socket that is drained without a `data` handler is drained again, to its end', async (t) => {
  const { socket, client, fail, close } = await pair()
  socket.resume()
  client.write('before')
  while (socket.bytesRead < 6) await turn()
  await fail()
  const ended = once(socket, 'end')
  client.end('after')
  await ended
  t.is(socket.bytesRead, 11)
  t.is(socket.readableLength, 0)
  close()
})

test('a socket with a `data` handler gives it what comes during the splice and after', async (t) => {
  const { socket, client, fail, close } = await pair()
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString())).resume()
  client.write('before ')
  while (socket.bytesRead < 7) await turn()
  const failed = fail()
  client.write('during ')
  await failed
  client.end('after')
  await once(socket, 'end')
  t.is(heard, 'before during after')
  close()
})

test('bytes that were put back wait for a handler', async (t) => {
  const { socket, client, fail, close } = await pair()
  client.write('head')
  const [head] = (await once(socket.resume(), 'data')) as [Buffer]
  socket.unshift(head)
  await fail()
  await turn()
  t.is(socket.readableLength, 4)
  const ended = once(socket, 'end')
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString())).resume()
  client.end(' and body')
  await ended
  t.is(heard, 'head and body')
  close()
})

test('a paused socket stays paused', async (t) => {
  const { socket, client, fail, close } = await pair()
  socket.pause()
  await fail()
  client.end('bytes')
  await turn()
  t.true(socket.isPaused())
  const ended = once(socket, 'end')
  socket.resume()
  await ended
  close()
  t.is(socket.bytesRead, 5)
})
