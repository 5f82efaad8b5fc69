/** Iterations over one listener share its connections in the order in which they asked. */
import test from 'ava'
import { CapturedPlace } from './fixtures/places.js'

test('the iteration that asked first gets the first connection', async (t) => {
  const place = await CapturedPlace.create()
  const [one, other] = [place.listener.connections(), place.listener.connections()]
  const steps = [one.next(), other.next(), one.next()]
  const clients = await place.dialTogether(3)
  const sockets = await Promise.all(steps)
  t.deepEqual(
    sockets.map(({ value }) => value?.remotePort),
    clients.map(({ localPort }) => localPort),
  )
  for (const { value } of sockets) value?.destroy()
  for (const client of clients) client.destroy()
  place.close()
})

test('an iteration that is left or aborted leaves the others waiting', async (t) => {
  const place = await CapturedPlace.create()
  const stop = new AbortController()
  const left = place.listener.connections()
  const aborted = place.listener.connections({ signal: stop.signal })
  const steps = [left.next(), left.next()]
  const failed = t.throwsAsync(aborted.next(), { name: 'AbortError' })
  const waiting = place.listener.connections().next()
  await left.return?.()
  await left.return?.()
  stop.abort()
  await failed
  t.deepEqual(
    (await Promise.all(steps)).map(({ done }) => done),
    [true, true],
  )
  const client = place.dial()
  const { value: socket } = await waiting
  t.is(socket?.remoteAddress, '2001:db8::1')
  socket?.destroy()
  client.destroy()
  place.close()
})

test('the close of the listener ends every iteration', async (t) => {
  const place = await CapturedPlace.create()
  const steps = [place.listener.connections().next(), place.listener.connections().next()]
  place.close()
  t.deepEqual(
    (await Promise.all(steps)).map(({ done }) => done),
    [true, true],
  )
})
